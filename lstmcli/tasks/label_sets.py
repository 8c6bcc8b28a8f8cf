"""Sets of labels: which labels a text is given, and how good the sets are.

A text is given each label whose probability reaches the threshold of the label. Of a label, let t be the texts that
have it, g those that are given it, h both: precision is h / g, recall h / t, F1 2h / (g + t).
"""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from lstmcli.tasks import intervals
from lstmcli.types import Measure, Metrics

Array = np.ndarray[Any, np.dtype[Any]]
HALF = 0.5  # the threshold of a label that none is chosen for
PRIOR = 50  # texts


def best_thresholds(probabilities: Array, targets: Array) -> Array:
    """Return for each label the threshold with the best F1 on these texts, ``[label]``.

    Where few texts have a label, a threshold with the best F1 of these few has it by luck. So a text counts as having
    the label to the degree (1 - λ) y + λ p, y its target, p its calibrated probability, λ = ``PRIOR`` / (``PRIOR`` +
    texts with the label): from the expected F1 under the model, where no text has it, to the F1 itself, where many do.

    It lies midway between two neighbouring probabilities; of several best ones the middle one is taken.
    probabilities, targets: ``[text, label]``.
    """
    return np.array([_best(*columns) for columns in zip(probabilities.T, targets.T, strict=True)])


def _best(scores: Array, has: Array) -> float:
    """As ``best_thresholds``, of one label: ``[text]`` each."""
    order = np.argsort(-scores, kind="stable")
    prior = PRIOR / (PRIOR + int(has.sum()))
    scores = scores[order]
    hits = ((1 - prior) * has[order] + prior * scores).cumsum()
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + hits[-1])  # if the first so many texts are given the label
    f1[:-1][scores[:-1] == scores[1:]] = -1  # equal scores pass together
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    at = best[len(best) // 2]
    below = scores[at + 1] if at + 1 < len(scores) else 0.0
    return float(np.clip((scores[at] + below) / 2, np.nextafter(below, 1), scores[at]))


def measured(given: Array, targets: Array, *, seed: int = 0) -> Metrics:
    """Compute each metric with its percentile interval. given, targets: ``[text, label]``, 1 or 0.

    macro_f1: the mean F1 over the labels that a text has or is given. micro_f1: F1 of all pairs of text and label.
    exact_match: the fraction of texts whose set is right. hamming_loss: the fraction of pairs of text and label that
    are wrong.
    """
    count = len(targets)
    statistic = partial(_figures, given.astype(bool), targets.astype(bool))
    values = statistic(np.ones((1, count)))
    sampled = intervals.by_weight(statistic, count, np.full(count, 1 / count), intervals.generator(seed))
    metrics = {}
    for name, value in values.items():
        low, high = intervals.covering(sampled[name])
        if low == high:  # all alike: resampling cannot show those not seen
            low, high = intervals.wilson(float(value[0]), count)
        metrics[name] = Measure(float(value[0]), low, high)
    return metrics


def _figures(given: Array, targets: Array, weights: Array) -> dict[str, Array]:
    """Compute each metric, ``[draw]``, for weights ``[draw, text]``."""
    weights = weights.astype(np.float64)
    hits, both = weights @ (given & targets), weights @ given + weights @ targets  # [draw, label]
    wrong = given != targets
    present = both > 0
    f1 = 2 * hits / np.where(present, both, 1)
    total = weights.sum(axis=1)
    return {
        "macro_f1": f1.sum(axis=1) / np.maximum(present.sum(axis=1), 1),
        "micro_f1": 2 * hits.sum(axis=1) / np.maximum(both.sum(axis=1), 1),
        "exact_match": weights @ ~wrong.any(axis=1) / total,
        "hamming_loss": weights @ wrong.mean(axis=1) / total,
    }


def macro_f1(given: Array, targets: Array) -> float:
    """Compute macro F1 alone, as ``measured``."""
    return float(_figures(given.astype(bool), targets.astype(bool), np.ones((1, len(targets))))["macro_f1"][0])


def by_label(
    given: Array, targets: Array, labels: Sequence[str], thresholds: Array, *, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """Compute of each label the texts that have it, precision, recall and F1 with intervals, and its threshold."""
    found = {}
    for index, label in enumerate(labels):
        groups = given[:, index].astype(int) + 2 * targets[:, index].astype(int)  # 0 to 3: neither, given, has, both
        counts = np.bincount(groups, minlength=4)
        figures = {name: asdict(measure) for name, measure in _of_label(counts, seed).items()}
        found[label] = {"texts": int(counts[2:].sum())} | figures | {"threshold": round(float(thresholds[index]), 6)}
    return found


def _of_label(counts: Array, seed: int) -> Metrics:
    """Compute precision, recall and F1 from the counts of the groups of ``by_label``, ``[4]``."""

    def statistic(drawn: Array) -> dict[str, Array]:
        _, wrong, missed, hits = drawn.T
        return {
            "precision": hits / np.maximum(hits + wrong, 1),
            "recall": hits / np.maximum(hits + missed, 1),
            "f1": 2 * hits / np.maximum(2 * hits + wrong + missed, 1),
        }

    total = int(counts.sum())
    sampled = intervals.by_weight(statistic, total, counts / total, intervals.generator(seed))
    out_of = {"precision": counts[1] + counts[3], "recall": counts[2] + counts[3], "f1": counts[1:].sum()}
    metrics = {}
    for name, value in statistic(counts[None]).items():
        low, high = intervals.covering(sampled[name])
        if low == high:
            low, high = intervals.wilson(float(value[0]), float(out_of[name])) if out_of[name] else (0.0, 1.0)
        metrics[name] = Measure(float(value[0]), low, high)
    return metrics
