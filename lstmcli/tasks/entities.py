"""Precision, recall and F1 over entities, as conlleval computes them: correct is the same span and the same type.

Tjong Kim Sang & Buchholz (2000). Intervals resample texts, since the entities of one text are not independent.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lstmcli.tags import spans
from lstmcli.tasks import intervals
from lstmcli.types import Measure, Metrics

Array = np.ndarray[Any, np.dtype[Any]]
RIGHT, FOUND, TRUE = range(3)  # columns of the counts: correct, predicted and true entities


@dataclass(frozen=True)
class Compared:
    """Predicted and true entities.

    found, true: as ``tags.spans``; counts: ``[text, type, 3]``, the correct, predicted and true entities.
    """

    found: Array
    true: Array
    counts: Array

    def details(self, kinds: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
        """Compute precision, recall and F1 of each type, the number of true entities, and the confusions."""
        types = {}
        missing = max(0, len(kinds) - self.counts.shape[1])  # types with neither predicted nor true entities
        counts = np.pad(self.counts, ((0, 0), (0, missing), (0, 0)))
        for index, kind in enumerate(kinds):
            of_kind = counts[:, index]
            figures = {name: asdict(measure) for name, measure in resampled(of_kind, seed=seed).items()}
            types[kind] = figures | {"entities": int(of_kind[:, TRUE].sum())}
        return {"types": types, "confusions": self._confusions(kinds)}

    def _confusions(self, kinds: Sequence[str]) -> dict[str, dict[str, int]]:
        """Count the errors by kind and type of entity, the most frequent first.

        wrong_type: the span of a true entity with another type. wrong_boundary: it overlaps a true entity, but none has
        this span. invented: it overlaps no true entity. missed: a true entity that no predicted one overlaps.
        """
        right = {tuple(row) for row in self.true.tolist()} & {tuple(row) for row in self.found.tolist()}
        false_positives = [row for row in self.found.tolist() if tuple(row) not in right]
        false_negatives = [row for row in self.true.tolist() if tuple(row) not in right]
        kind_of = {(begin, end): kind for begin, end, kind in false_negatives}
        errors: dict[str, Counter[str]] = {
            name: Counter() for name in ("wrong_type", "wrong_boundary", "missed", "invented")
        }
        for begin, end, kind in false_positives:
            if (begin, end) in kind_of:
                errors["wrong_type"][f"{kinds[kind_of[begin, end]]} as {kinds[kind]}"] += 1
            elif _overlaps((begin, end), self.true):
                errors["wrong_boundary"][kinds[kind]] += 1
            else:
                errors["invented"][kinds[kind]] += 1
        for begin, end, kind in false_negatives:
            if not _overlaps((begin, end), self.found):
                errors["missed"][kinds[kind]] += 1
        return {name: dict(counter.most_common()) for name, counter in errors.items()}


def _overlaps(span: tuple[int, int], others: Array) -> bool:
    """Return True if the span overlaps one of the others, which are sorted and disjoint."""
    index = int(np.searchsorted(others[:, 1], span[0], side="right"))
    return index < len(others) and bool(others[index, 0] < span[1])


def compared(tags: Array, targets: Array, lengths: Array) -> Compared:
    """Compare predicted with true tags. tags, targets: ``[word]``, of all texts concatenated; lengths: ``[text]``."""
    found, true = spans(tags, lengths), spans(targets, lengths)
    types = 1 + max(int(rows[:, 2].max(initial=0)) for rows in (found, true))
    text = np.repeat(np.arange(len(lengths)), lengths)  # of each word
    counts = np.zeros((len(lengths), types, 3), np.int64)
    # One number per entity, of its first word, its end and its type: equal entities have equal numbers.
    codes = [(rows[:, 0] * (len(text) + 1) + rows[:, 1]) * types + rows[:, 2] for rows in (found, true)]
    right = found[np.isin(codes[0], codes[1])]
    for rows, column in ((right, RIGHT), (found, FOUND), (true, TRUE)):
        indices = np.ravel_multi_index((text[rows[:, 0]], rows[:, 2]), counts.shape[:2])
        counts[:, :, column] = np.bincount(indices, minlength=len(lengths) * types).reshape(counts.shape[:2])
    return Compared(found, true, counts)


def resampled(counts: Array, *, seed: int = 0) -> Metrics:
    """Precision, recall and F1 with percentile intervals. counts: ``[text, 3]``.

    Where all resamples agree they tell nothing of entities not seen: the interval is then that of a share of so many
    entities, and from 0 to 1 where there are none.
    """
    texts = len(counts)
    held = counts[counts.any(axis=1)]  # texts without any entity change nothing but how often the others are drawn
    shares = np.append(np.full(len(held), 1 / texts), 1 - len(held) / texts)

    def statistic(weights: Array) -> dict[str, Array]:
        draws = weights[:, :-1] @ held
        return _figures(draws[draws.any(axis=1)] if len(held) else draws)  # a draw without any entity does not count

    total = held.sum(axis=0)
    values, sampled = _figures(total[None]), intervals.by_weight(statistic, texts, shares, intervals.generator(seed))
    of = {"precision": total[FOUND], "recall": total[TRUE], "f1": (total[FOUND] + total[TRUE]) / 2}
    metrics = {}
    for name, value in values.items():
        low, high = intervals.covering(sampled[name])
        if low == high:
            low, high = intervals.wilson(float(value[0]), of[name]) if of[name] else (0.0, 1.0)
        metrics[name] = Measure(float(value[0]), low, high)
    return metrics


def _figures(counts: Array) -> dict[str, Array]:
    """Compute precision, recall and F1, ``[draw]``, from counts ``[draw, 3]``; 0 where a denominator is 0."""
    right, found, true = counts.T
    return {
        "precision": right / np.maximum(found, 1),
        "recall": right / np.maximum(true, 1),
        "f1": 2 * right / np.maximum(found + true, 1),
    }
