"""Decisions: which label a text is given, if any, and what each threshold gives on labelled texts.

A model abstains on a text that it gives no label. Of n labelled texts, let a be given a label, and r of these the right
one: coverage is a / n, precision r / a, recall r / n, error (a - r) / n. Chow (1970), "On Optimum Recognition Error and
Reject Tradeoff"; El-Yaniv & Wiener (2010), "On the Foundations of Noise-free Selective Classification".
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from lstmcli.tasks import intervals
from lstmcli.types import Measure

Array = np.ndarray[Any, np.dtype[Any]]
Row = dict[str, Any]
ABSTAINED = -1
CONFIDENCES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
PROBABILITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
FIGURES = ("coverage", "precision", "recall", "error")


def decide(
    probabilities: Array,
    thresholds: Mapping[int, float],
    min_confidence: float = 0.0,
    *,
    weights: Array | None = None,
) -> Array:
    """Return the index of the label that each text is given, ``ABSTAINED`` for none, ``[text]``.

    Of the labels whose probability reaches their threshold, the likeliest is given. Where none does, it is the
    likeliest of the labels that have no threshold; none, if all have one. With weights, the one of the largest product
    of weight and probability is given in place of the likeliest; thresholds are still of the probability. Then no label
    whose probability is below ``min_confidence`` is given.

    Of two labels, a threshold P of one thus gives that label where its probability is at least P, else the other; a
    threshold of both leaves texts between them without a label.

    Args:
        probabilities: ``[text, label]``.
        thresholds: By index of the label.
        min_confidence: Probability of the label; 0: never abstain.
        weights: ``[label]``; None: all alike.
    """
    labels = np.arange(probabilities.shape[1])
    limited = np.isin(labels, list(thresholds))
    reached = limited & (probabilities >= np.array([thresholds.get(label, 0.0) for label in labels.tolist()]))
    eligible = np.where(reached.any(axis=1, keepdims=True), reached, ~limited)
    best = np.where(eligible, probabilities if weights is None else probabilities * weights, -1.0).argmax(axis=1)
    confidence = np.where(eligible, probabilities, -1.0)[np.arange(len(best)), best]
    decided: Array = np.where(confidence >= min_confidence, best, ABSTAINED)
    return decided


def agreement(decide: Callable[[Array], Array], probabilities: Array, others: Array) -> tuple[float, float]:
    """Return the fraction of equal decisions, and the largest difference of a probability. decide: on probabilities."""
    equal = decide(probabilities) == decide(others)
    return float(equal.mean()), float(np.abs(probabilities - others).max())


def operating_points(
    probabilities: Array,
    targets: Array,
    labels: Sequence[str],
    more: Collection[float] = (),
    *,
    seed: int = 0,
    weights: Array | None = None,
) -> dict[str, Any]:
    """Return coverage, precision, recall and error by threshold, each with its 95 % interval.

    Under ``min_confidence``, one row per ``decide(probabilities, {}, threshold, weights=weights)``. Under ``labels``,
    for each label one row per threshold of that label: coverage is the fraction of texts with at least that
    probability, precision and recall are those of the label, and error the fraction of texts that have the label
    wrongly or lack it wrongly.
    Precision is none where no text reaches the threshold; recall is none where no text has the label.

    Args:
        probabilities: ``[text, label]``.
        targets: ``[text]``.
        labels: The names of the labels.
        more: Further thresholds of confidence.
        seed: Of the resamples.
        weights: As of ``decide``.
    """
    decided = decide(probabilities, {}, weights=weights)
    confidence, correct = probabilities[np.arange(len(decided)), decided], decided == targets
    confidences = sorted({*CONFIDENCES, *more})
    by_label = {
        label: _points(probabilities[:, index], targets == index, PROBABILITIES, seed, of_label=True)
        for index, label in enumerate(labels)
    }
    return {
        "min_confidence": _points(confidence, correct, confidences, seed, of_label=False),
        "labels": by_label,
    }


def _points(scores: Array, right: Array, thresholds: Sequence[float], seed: int, *, of_label: bool) -> list[Row]:
    """Return a row per threshold.

    Args:
        scores: ``[text]``; a text passes a threshold that they reach.
        right: Whether the text is right to pass, ``[text]``.
        thresholds: In ascending order.
        seed: Of the resamples.
        of_label: What does not pass is given another label, not none.
    """
    count, levels = len(scores), len(thresholds) + 1
    # Texts that pass as many thresholds, and are right or wrong alike, are one group of the resamples.
    groups = np.searchsorted(np.asarray(thresholds), scores, side="right") * 2 + right
    sizes = np.bincount(groups, minlength=2 * levels)

    def figures(weights: Array) -> dict[str, Array]:
        by_level = weights.reshape(-1, levels, 2).astype(np.float64)  # [draw, thresholds passed, right]
        passing = by_level[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # [draw, threshold, right]
        hits, passed = passing[:, :, 1], passing.sum(axis=2)
        total = by_level.sum(axis=(1, 2))[:, None]
        to_find = by_level[:, :, 1].sum(axis=1)[:, None] if of_label else total
        wrong = passed - hits + (to_find - hits if of_label else 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = passed / total, hits / passed, hits / to_find, wrong / total
        return dict(zip(FIGURES, values, strict=True))

    values = figures(sizes[None])
    sampled = intervals.by_weight(figures, count, sizes / count, intervals.generator(seed))
    rows = []
    for index, threshold in enumerate(thresholds):
        passed = round(float(values["coverage"][0, index]) * count)
        counts = (count, passed, int(right.sum()) if of_label else count, count)  # of which each figure is a fraction
        row: Row = {"threshold": threshold}
        for name, out_of in zip(FIGURES, counts, strict=True):
            row[name] = _measured(float(values[name][0, index]), sampled[name][:, index], out_of)
        rows.append(row)
    return rows


def _measured(value: float, drawn: Array, count: int) -> dict[str, float] | None:
    """Return a fraction of so many texts with its interval; None where it is a fraction of no text."""
    if not count:
        return None
    low, high = intervals.covering(drawn)
    if low == high:  # all alike: resampling cannot show those not seen
        low, high = intervals.wilson(value, count)
    return asdict(Measure(value, low, high))
