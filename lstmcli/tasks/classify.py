"""Classification: one label a text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lstmcli.tasks.baselines import baseline_probabilities, fit_baselines
from lstmcli.tasks.few_shot import episode_figures, over_episodes, support_probabilities, text_features
from lstmcli.tasks.metrics import bootstrapped, calibration_error
from lstmcli.types import Batch, ClassScores, Mean

Array = np.ndarray[Any, np.dtype[Any]]
PRIMARY = "accuracy"  # what the best checkpoint is chosen by, and what stands beside the baselines

__all__ = [
    "PRIMARY",
    "baseline_probabilities",
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


def loss(scores: ClassScores, batch: Batch) -> Mean:
    """Cross-entropy of the true labels, or with the probabilities of each; texts of which none is known do not
    count."""
    assert batch.targets is not None  # batches to learn from carry targets
    if batch.targets.is_floating_point():
        known = batch.targets.any(dim=1).sum().clamp_min(1)
        return Mean(F.cross_entropy(scores.logits, batch.targets, reduction="sum") / known, known)
    return Mean(F.cross_entropy(scores.logits, batch.targets), len(batch.targets))


def entropy(scores: ClassScores) -> Tensor:
    """How much the scores leave open, a mean over texts in nats: -Σ p log p. Grandvalet & Bengio (2004),
    "Semi-supervised Learning by Entropy Minimization"."""
    logs = scores.logits.log_softmax(dim=1)
    return -(logs.exp() * logs).sum(dim=1).mean()


def divergence(scores: ClassScores, before: ClassScores) -> Tensor:
    """How far the scores are from those before, a mean over texts in nats: Σ p log (p / q), p before."""
    logs, known = scores.logits.log_softmax(dim=1), before.logits.log_softmax(dim=1)
    return F.kl_div(logs, known, reduction="batchmean", log_target=True)


def outputs(scores: ClassScores) -> Array:
    """What evaluation keeps of a batch: logits ``[batch, label]``."""
    return scores.logits.float().cpu().numpy()


def probabilities(logits: Array, temperature: float) -> Array:
    """``[example, label]``, rows sum to one."""
    return torch.from_numpy(logits).double().div(temperature).softmax(dim=-1).numpy()


def calibrate(logits: Array, targets: Array) -> float:
    """The temperature T that makes softmax(logits / T) most likely on held-out data.

    Guo et al. (2017), "On Calibration of Modern Neural Networks", section 4.2, with targets smoothed as Platt (1999)
    does: among N examples and K classes, each counts as (N + 2 / K) / (N + 2) of its own class and (2 / K) / (N + 2) of
    every other, so that a few examples, all right, do not make the model certain. 1/T is found by Newton's method on
    the cross-entropy, which is convex in it; T is kept within [0.05, 20].
    """
    scores = torch.from_numpy(logits).double()
    count, labels = scores.shape
    wanted = torch.from_numpy((np.eye(labels)[targets] * count + 2 / labels) / (count + 2))
    reached = (wanted * scores).sum(-1)
    inverse = torch.ones((), dtype=torch.float64)  # 1 / T
    for _ in range(50):
        probabilities = (inverse * scores).softmax(dim=-1)
        expected = (probabilities * scores).sum(-1)
        slope = (expected - reached).mean()
        curvature = ((probabilities * scores.square()).sum(-1) - expected.square()).mean()
        if curvature < 1e-12:  # all logits equal: no temperature is better than another
            break
        # A Newton step of at most a factor of two, so that a flat far end does not throw it out.
        moved = (inverse - slope / curvature).clamp(inverse / 2, inverse * 2).clamp(0.05, 20)
        if torch.isclose(moved, inverse, rtol=1e-9):
            break
        inverse = moved
    return float(1 / inverse)


def describe(logits: Array, labels: Sequence[str], temperature: float) -> list[dict[str, Any]]:
    """What ``predict`` says of each text: the label, its probability, and those of all labels."""
    rows = probabilities(logits, temperature)
    best = rows.argmax(axis=1)
    return [
        {
            "label": labels[place],
            "probability": round(float(row[place]), 6),
            "probabilities": {
                label: round(float(probability), 6) for label, probability in zip(labels, row, strict=True)
            },
        }
        for row, place in zip(rows, best, strict=True)
    ]


measure = bootstrapped  # accuracy, balanced accuracy, macro F1, AUC (two classes), calibration error


def summary(logits: Array, targets: Array, temperature: float = 1.0) -> dict[str, float]:
    """What training looks at: ``score`` (higher is better), the loss, accuracy and calibration error."""
    rows = probabilities(logits, temperature)
    accuracy = float((rows.argmax(axis=1) == targets).mean())
    nll = float(F.cross_entropy(torch.from_numpy(logits).double() / temperature, torch.from_numpy(targets)))
    return {"score": accuracy, "accuracy": accuracy, "loss": nll, "ece": calibration_error(rows, targets)}
