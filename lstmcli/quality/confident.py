"""Confident learning: find the label errors among texts by out-of-fold probabilities.

Northcutt, Jiang & Chuang (2021), "Confident Learning: Estimating Uncertainty in Dataset Labels", sections 3.1 and 3.2:

    threshold_j  =  the mean of p(j | x) over the texts labelled j                                      (equation 2)
    x is counted in C[i, j]  where its label is i, and j is the most probable of the labels with p(j | x) >= threshold_j

The sum of the confident joint C off its diagonal is the number of errors. Those are the texts with the lowest
normalised margin: p(label | x) - the maximum of p(. | x) over the other labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
ROUNDING = 1e-6  # a label whose texts all have one probability reaches its threshold, their mean


def confident_labels(probabilities: Array, targets: Array) -> Array:
    """Return the label j that each text is counted for, ``[text]``; -1 where no label reaches its threshold.

    Args:
        probabilities: Out of fold, ``[text, label]``.
        targets: The labels that the texts have, ``[text]``; each label has at least one text.
    """
    of_targets = probabilities[np.arange(len(targets)), targets]
    labels = probabilities.shape[1]
    thresholds = np.bincount(targets, of_targets, minlength=labels) / np.bincount(targets, minlength=labels)
    confident = probabilities >= thresholds - ROUNDING
    best = np.where(confident, probabilities, -1.0).argmax(axis=1)
    return np.where(confident.any(axis=1), best, -1)


def joint(probabilities: Array, targets: Array) -> Array:
    """Return the confident joint C, counts ``[label, confident label]``."""
    counted = confident_labels(probabilities, targets)
    labels, sure = probabilities.shape[1], counted >= 0
    return np.bincount(targets[sure] * labels + counted[sure], minlength=labels * labels).reshape(labels, labels)


def margins(probabilities: Array, targets: Array) -> Array:
    """Return the normalised margin of each text in [-1, 1], ``[text]``."""
    texts = np.arange(len(targets))
    others = probabilities.copy()
    others[texts, targets] = -1.0
    found: Array = probabilities[texts, targets] - others.max(axis=1)
    return found


def errors(probabilities: Array, targets: Array) -> Array:
    """Return the indices of the texts whose label is probably wrong, the most probable errors first."""
    counts = joint(probabilities, targets)
    found = margins(probabilities, targets)
    lowest = np.argsort(found, kind="stable")[: counts.sum() - counts.trace()]
    chosen: Array = lowest[found[lowest] < 0]
    return chosen


def pooled(log_probs: Sequence[Array], targets: Array) -> Array:
    """Return the probabilities of several models together, ``[text, label]``.

    They are proportional to exp(sum of weight times log probability): a logarithmic opinion pool (Genest & Zidek 1986,
    "Combining Probability Distributions"). The non-negative weights, one per model, maximise the likelihood of the
    targets; equal ones would let a weak model cover up a strong one.

    Args:
        log_probs: Of each model out of fold, ``[text, label]``.
        targets: ``[text]``.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    stacked = np.stack(log_probs)  # [model, text, label]
    texts = np.arange(len(targets))

    def loss(weights: Array) -> tuple[float, Array]:
        scores = log_softmax(np.tensordot(weights, stacked, 1), axis=1)
        expected = (np.exp(scores) * stacked).sum(axis=2)  # [model, text]
        slope = (expected - stacked[:, texts, targets]).mean(axis=1)
        return -float(scores[texts, targets].mean()), slope

    count = len(log_probs)
    best = minimize(loss, np.full(count, 1 / count), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * count)
    found: Array = np.exp(log_softmax(np.tensordot(best.x, stacked, 1), axis=1))
    return found
