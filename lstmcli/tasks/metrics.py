"""Metrics of classification with bootstrap intervals, vectorised over resamples.

A resample of the examples is a row of weights, how often each was drawn. Every metric is defined on weights
``[draw, example]``, and the figure itself is the row of ones.
"""

from functools import partial
from typing import Any

import numpy as np

from lstmcli.tasks import intervals
from lstmcli.types import Measure, Metrics

Array = np.ndarray[Any, np.dtype[Any]]
BINS = 15  # of confidence, for the calibration error (Guo et al. 2017)


def bootstrapped(probabilities: Array, targets: Array, *, seed: int = 0, predicted: Array | None = None) -> Metrics:
    """Each metric with its percentile interval. probabilities: ``[example, label]``; targets: ``[example]``; predicted:
    as ``weighted``."""
    count = len(targets)
    statistic = partial(weighted, probabilities, targets, predicted=predicted)
    values = statistic(np.ones((1, count)))
    sampled = intervals.by_weight(statistic, count, np.full(count, 1 / count), intervals.generator(seed))
    metrics = {}
    for name, value in values.items():
        drawn = sampled[name]
        if name == "ece":  # a sum of absolute values: resampling raises it, by as much as is taken off here
            drawn = np.maximum(drawn - (drawn.mean() - value[0]), 0)
        low, high = intervals.covering(drawn)
        if low == high and name != "ece":  # all answers alike: resampling shows no variation
            low, high = intervals.wilson(float(value[0]), count)
        metrics[name] = Measure(float(value[0]), low, high)
    return metrics


def weighted(probabilities: Array, targets: Array, weights: Array, predicted: Array | None = None) -> dict[str, Array]:
    """Compute each metric, ``[draw]``, for weights ``[draw, example]``; a class that a draw lacks does not count in
    it. predicted: the label of each example, ``[example]``; None: the most probable."""
    labels = probabilities.shape[1]
    weights = weights.astype(np.float64)
    predicted = probabilities.argmax(axis=1) if predicted is None else predicted
    correct = predicted == targets
    # By class, [draw, label]: weight of its true, its predicted, and its correctly predicted examples.
    of_class = weights @ np.eye(labels)[targets]
    of_prediction = weights @ np.eye(labels)[predicted]
    hits = weights @ (np.eye(labels)[targets] * correct[:, None])
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / of_class
        f1 = 2 * hits / (of_class + of_prediction)  # not a number if the class has neither true nor predicted examples
    metrics = {
        "accuracy": hits.sum(axis=1) / total,
        "balanced_accuracy": np.nanmean(recall, axis=1),
        "macro_f1": np.nanmean(f1, axis=1),
    }
    if labels == 2 and len(np.unique(targets)) == 2:
        metrics["auc"] = _auc(probabilities[:, 1], targets, weights)
    confidence = probabilities[np.arange(len(targets)), predicted]
    metrics["ece"] = _ece(confidence, correct, weights) / total
    return metrics


def calibration_error(probabilities: Array, targets: Array) -> float:
    """Compute the expected calibration error. probabilities: ``[example, label]``; targets: ``[example]``."""
    correct = probabilities.argmax(axis=1) == targets
    return float(_ece(probabilities.max(axis=1), correct, np.ones((1, len(targets))))[0] / len(targets))


def _ece(confidence: Array, correct: Array, weights: Array) -> Array:
    """Sum |accuracy - confidence| over bins, each weighted by its examples, ``[draw]``."""
    index = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.eye(BINS)[index] * (correct - confidence)[:, None]  # [example, bin]
    return np.asarray(np.abs(weights @ gap).sum(axis=1))


def _auc(score: Array, targets: Array, weights: Array) -> Array:
    """Compute the probability that a positive scores above a negative, ties counted half, ``[draw]``."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])  # where each run of equal scores begins
    positive = np.add.reduceat(weights[:, order] * (targets[order] == 1), starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * (targets[order] == 0), starts, axis=1)
    below = negative.cumsum(axis=1) - negative / 2
    with np.errstate(invalid="ignore"):  # a draw of one class only has no AUC
        return np.asarray((positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1)))
