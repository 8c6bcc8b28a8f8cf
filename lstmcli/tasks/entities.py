"""Entities found against entities there are, counted as conlleval counts them: right is the same words and type.

Tjong Kim Sang & Buchholz (2000). Intervals resample texts, since entities of one text stand or fall together.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lstmcli.tags import spans
from lstmcli.tasks.metrics import COVERED, DRAWS, wilson
from lstmcli.types import Measure, Metrics

Array = np.ndarray[Any, np.dtype[Any]]
RIGHT, FOUND, TRUE = range(3)


@dataclass(frozen=True)
class Compared:
    """found, true: as ``tags.spans``; counts: ``[text, type, 3]``, entities that are right, found and true."""

    found: Array
    true: Array
    counts: Array

    def details(self, kinds: Sequence[str]) -> dict[str, Any]:
        """Precision, recall and F1 of each type with the entities there are, and how often what went wrong."""
        types = {}
        missing = max(0, len(kinds) - self.counts.shape[1])  # types that are neither there nor found
        counts = np.pad(self.counts, ((0, 0), (0, missing), (0, 0)))
        for place, kind in enumerate(kinds):
            own = counts[:, place]
            figures = {name: asdict(measure) for name, measure in resampled(own).items()}
            types[kind] = figures | {"entities": int(own[:, TRUE].sum())}
        return {"types": types, "confusions": self._confusions(kinds)}

    def _confusions(self, kinds: Sequence[str]) -> dict[str, dict[str, int]]:
        """By what went wrong, and of which types, how often; the most frequent first.

        wrong_type: the same words, another type. wrong_boundary: words in common, none the same and of the same type.
        missed: no found entity touches it. invented: it touches no true one.
        """
        right = {tuple(row) for row in self.true.tolist()} & {tuple(row) for row in self.found.tolist()}
        wrong = [row for row in self.found.tolist() if tuple(row) not in right]
        lost = [row for row in self.true.tolist() if tuple(row) not in right]
        words = {(begin, end): kind for begin, end, kind in lost}
        told: dict[str, Counter[str]] = {
            name: Counter() for name in ("wrong_type", "wrong_boundary", "missed", "invented")
        }
        for begin, end, kind in wrong:
            if (begin, end) in words:
                told["wrong_type"][f"{kinds[words[begin, end]]} as {kinds[kind]}"] += 1
            elif _touches((begin, end), self.true):
                told["wrong_boundary"][kinds[kind]] += 1
            else:
                told["invented"][kinds[kind]] += 1
        for begin, end, kind in lost:
            if not _touches((begin, end), self.found):
                told["missed"][kinds[kind]] += 1
        return {name: dict(counter.most_common()) for name, counter in told.items()}


def _touches(span: tuple[int, int], others: Array) -> bool:
    """True where the span has words in common with one of the others, which are in order and apart."""
    place = int(np.searchsorted(others[:, 1], span[0], side="right"))
    return place < len(others) and bool(others[place, 0] < span[1])


def compared(tags: Array, targets: Array, lengths: Array) -> Compared:
    """tags, targets: ``[word]``, of all texts end to end; lengths: ``[text]``."""
    found, true = spans(tags, lengths), spans(targets, lengths)
    types = 1 + max(int(rows[:, 2].max(initial=0)) for rows in (found, true))
    text = np.repeat(np.arange(len(lengths)), lengths)  # of each word
    counts = np.zeros((len(lengths), types, 3), np.int64)
    # An entity's first word, its end and its type as one number, so that equal entities are equal numbers.
    codes = [(rows[:, 0] * (len(text) + 1) + rows[:, 1]) * types + rows[:, 2] for rows in (found, true)]
    right = found[np.isin(codes[0], codes[1])]
    for rows, place in ((right, RIGHT), (found, FOUND), (true, TRUE)):
        where = np.ravel_multi_index((text[rows[:, 0]], rows[:, 2]), counts.shape[:2])
        counts[:, :, place] = np.bincount(where, minlength=len(lengths) * types).reshape(counts.shape[:2])
    return Compared(found, true, counts)


def resampled(counts: Array, *, seed: int = 0) -> Metrics:
    """Precision, recall and F1 with percentile intervals. counts: ``[text, 3]``.

    Where all resamples agree they tell nothing of entities not seen: the interval is then that of a share of so many
    entities, and from 0 to 1 where there are none.
    """
    random = np.random.default_rng(seed)
    texts = len(counts)
    held = counts[counts.any(axis=1)]  # texts without any entity change nothing but how often the others are drawn
    shares = np.append(np.full(len(held), 1 / texts), 1 - len(held) / texts)
    draws = random.multinomial(texts, shares, size=DRAWS)[:, :-1] @ held
    if len(held):
        draws = draws[draws.any(axis=1)]  # one without any entity tells nothing
    total = held.sum(axis=0)
    values, sampled = _figures(total[None]), _figures(draws)
    of = {"precision": total[FOUND], "recall": total[TRUE], "f1": (total[FOUND] + total[TRUE]) / 2}
    metrics = {}
    for name, value in values.items():
        low, high = np.percentile(sampled[name], COVERED)
        if low == high:
            low, high = wilson(float(value[0]), of[name]) if of[name] else (0.0, 1.0)
        metrics[name] = Measure(float(value[0]), float(low), float(high))
    return metrics


def _figures(counts: Array) -> dict[str, Array]:
    """counts: ``[draw, 3]``; no entity found, or none to find, counts as zero."""
    right, found, true = counts.T
    return {
        "precision": right / np.maximum(found, 1),
        "recall": right / np.maximum(true, 1),
        "f1": 2 * right / np.maximum(found + true, 1),
    }
