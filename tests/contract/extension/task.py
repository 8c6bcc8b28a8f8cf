"""Ratings: labels with an order, such as 1 to 5 stars, that sort from the lowest to the highest.

Trained as classification. The prediction is the median of the probabilities, which has the smallest expected distance
to the true rating; the score is that distance as a fraction of the scale, averaged over texts: 0 is best.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.tasks import classify, intervals
from lstmcli.tasks.classify import (  # a rating is a label too
    baseline_probabilities,
    blank,
    calibrate,
    divergence,
    entropy,
    fit_baselines,
    loss,
    outputs,
    over_episodes,
    probabilities,
    support_probabilities,
    text_features,
)
from lstmcli.types import Measure, Metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lstmcli.contracts import Reads

Array = np.ndarray[Any, np.dtype[Any]]
READS: Reads = "text"
HEADING = "ratings"
PRIMARY = "distance"
LOWER_IS_BETTER = True

__all__ = [
    "HEADING",
    "LOWER_IS_BETTER",
    "PRIMARY",
    "READS",
    "baseline_probabilities",
    "blank",
    "calibrate",
    "describe",
    "divergence",
    "entropy",
    "episode_figures",
    "fit_baselines",
    "loss",
    "measure",
    "outputs",
    "over_episodes",
    "probabilities",
    "summary",
    "support_probabilities",
    "text_features",
]


def medians(probabilities: Array) -> Array:
    """The lowest rating that is not exceeded with a probability of one half, ``[text]``."""
    ratings: Array = (probabilities.cumsum(axis=1) >= 0.5).argmax(axis=1)
    return ratings


def distances(probabilities: Array, targets: Array) -> Array:
    """Of the median to the target as a fraction of the scale, ``[text]``. probabilities: ``[text, label]``."""
    found: Array = np.abs(medians(probabilities) - targets) / (probabilities.shape[1] - 1)
    return found


def measure(probabilities: Array, targets: Array, *, seed: int = 0) -> Metrics:
    """The mean distance with its interval."""
    found = distances(probabilities, targets)
    means = intervals.by_index(lambda drawn: found[drawn].mean(axis=1), len(found), intervals.generator(seed))
    return {PRIMARY: Measure(float(found.mean()), *intervals.covering(means))}


def episode_figures(probabilities: Array, targets: Array) -> dict[str, float]:
    """The mean distance in one episode."""
    return {PRIMARY: float(distances(probabilities, targets).mean())}


def summary(logits: Array, targets: Array, temperature: float = 1.0) -> dict[str, float]:
    """Figures for the training loop; of the score, higher is better."""
    distance = float(distances(probabilities(logits, temperature), targets).mean())
    loss = classify.summary(logits, targets, temperature)["loss"]
    return {"score": -distance, PRIMARY: distance, "loss": loss}


def describe(logits: Array, labels: Sequence[str], temperature: float) -> list[dict[str, Any]]:
    """The answer of ``predict``: as of classification, with the median for a label."""
    described = classify.describe(logits, labels, temperature)
    chosen = [labels[rating] for rating in medians(probabilities(logits, temperature))]
    return [answer | {"label": label, "probability": answer["probabilities"][label]}
            for answer, label in zip(described, chosen, strict=True)]  # fmt: skip
