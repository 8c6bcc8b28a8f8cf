"""The learning curve: accuracy by the number of texts that were learned from, and what twice as many would bring.

The error is fitted by a power law of the number of texts n, a straight line of logarithms (Hestness et al. 2017, "Deep
Learning Scaling is Predictable, Empirically"):

    error(n) = a * n ** -b,    gain = error(n) - error(2 n)

Its interval is that of resampling the scored texts. Other draws of the texts to learn from are not in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmcli.events import Listener, Progress, silent
from lstmcli.tasks import intervals
from lstmcli.types import Measure

Array = np.ndarray[Any, np.dtype[Any]]
FRACTIONS = (0.125, 0.25, 0.5)  # of the texts to learn from, beside all
FEWEST = 200  # texts from which on a curve is measured
SCORED = 5_000  # of more texts, only so many folds as hold these are scored


@dataclass(frozen=True)
class Curve:
    """sizes: texts learned from; accuracies: of each; gain: what twice as many would add to the accuracy."""

    sizes: list[int]
    accuracies: list[float]
    gain: Measure

    def sentence(self) -> str:
        """State the gain in words, or that it cannot be estimated."""
        value, low, high = (100 * part for part in (self.gain.value, self.gain.low, self.gain.high))
        if low <= 0:
            return f"twice the data: no gain is certain ({low:+.1f} to {high:+.1f} points of accuracy)"
        return f"twice the data would bring about {value:.1f} points of accuracy ({low:.1f} to {high:.1f})"


def measured(
    targets: Array,
    folds: Array,
    right: Array,
    score: Callable[[Array, Array], Array],
    *,
    seed: int,
    listener: Listener = silent,
) -> Curve | None:
    """Measure the curve on held-out folds; None of too few texts.

    Args:
        targets: ``[text]``.
        folds: The fold of each text, ``[text]``.
        right: Whether each text was labelled right by the models that learned from all other folds, ``[text]``.
        score: From indices of texts to learn from and to score to probabilities, ``[text, label]``.
        seed: Of the draw of the texts to learn from, and of the resampling.
        listener: Called with each event.
    """
    if len(targets) < FEWEST:
        return None
    count = 1 + int(folds.max())
    used = range(max(1, min(count, -(-SCORED * count // len(targets)))))
    correct: list[list[Array]] = [[] for _ in FRACTIONS]
    for fold in used:
        learned, scored = _spread(np.flatnonzero(folds != fold), targets, seed), np.flatnonzero(folds == fold)
        for index, fraction in enumerate(FRACTIONS):
            step = fold * len(FRACTIONS) + index
            listener(Progress("measuring the learning curve", step, len(used) * len(FRACTIONS)))
            probabilities = score(learned[: round(fraction * len(learned))], scored)
            correct[index].append(probabilities.argmax(axis=1) == targets[scored])
    whole = [right[folds == fold] for fold in used]
    outcomes = np.array([np.concatenate(parts) for parts in (*correct, whole)])  # [size, text]
    sizes = np.array([*FRACTIONS, 1.0]) * len(targets) * (count - 1) / count
    return extrapolated(outcomes, sizes, len(targets), seed=seed)


def _spread(indices: Array, targets: Array, seed: int) -> Array:
    """Order the texts at random so that each beginning has the labels in the same proportions."""
    shuffled = np.random.default_rng(seed).permutation(indices)
    order = shuffled[np.argsort(targets[shuffled], kind="stable")]
    counts = np.bincount(targets[order])
    counts = counts[counts > 0]
    within = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    found: Array = order[np.argsort(within, kind="stable")]
    return found


def extrapolated(correct: Array, sizes: Array, count: int, *, seed: int) -> Curve:
    """Fit the power law, and extrapolate from ``count`` texts to twice as many.

    Args:
        correct: Whether each text was labelled right by the model of each size, ``[size, text]``.
        sizes: Texts learned from, ``[size]``.
        count: Texts that there are.
        seed: Of the resampling.
    """
    texts = correct.shape[1]

    def gain(drawn: Array) -> Array:
        wrong = texts - correct[:, drawn].sum(axis=2)  # [size, draw]
        return gain_of((wrong + 0.5) / (texts + 1), sizes, count)

    value = float(gain(np.arange(texts)[None])[0])
    low, high = intervals.covering(intervals.by_index(gain, texts, intervals.generator(seed)))
    return Curve(sizes.round().astype(int).tolist(), correct.mean(axis=1).tolist(), Measure(value, low, high))


def gain_of(errors: Array, sizes: Array, count: int) -> Array:
    """Return error(count) - error(2 count) of the power law of each column of errors, ``[size, curve]``."""
    x = np.log(sizes / count)
    centred = x - x.mean()
    slopes = centred @ np.log(errors) / (centred @ centred)  # -b
    levels = np.exp(np.log(errors).mean(axis=0) - slopes * x.mean())  # error(count)
    found: Array = levels * (1 - 2**slopes)
    return found
