"""Classification: one label per text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.tasks import decisions
from lstmcli.tasks.baselines import baseline_probabilities, fit_baselines
from lstmcli.tasks.class_weights import Weighted
from lstmcli.tasks.decisions import decide, operating_points
from lstmcli.tasks.few_shot import episode_figures, over_episodes, support_probabilities, text_features
from lstmcli.tasks.metrics import bootstrapped, calibration_error
from lstmcli.types import Mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from lstmcli.contracts import Reads
    from lstmcli.types import Batch, ClassScores

Array = np.ndarray[Any, np.dtype[Any]]
READS: Reads = "text"
HEADING = "sentiment"
PRIMARY = OVERALL = "accuracy"  # the metric by which the best checkpoint is chosen and baselines are compared

__all__ = [
    "HEADING",
    "OVERALL",
    "PRIMARY",
    "READS",
    "agreement",
    "baseline_probabilities",
    "blank",
    "calibrate",
    "decide",
    "describe",
    "divergence",
    "entropy",
    "episode_figures",
    "fit_baselines",
    "loss",
    "measure",
    "operating_points",
    "outputs",
    "outputs_of",
    "over_episodes",
    "probabilities",
    "summary",
    "support_probabilities",
    "text_features",
    "weighted",
]


def loss(scores: ClassScores, batch: Batch) -> Mean:
    """Compute the cross-entropy with the true labels or with probabilities of each label; a text whose probabilities
    are all zero does not count."""
    from torch.nn import functional as F

    assert batch.targets is not None  # set in every training batch
    if batch.targets.is_floating_point():
        known = batch.targets.any(dim=1).sum().clamp_min(1)
        return Mean(F.cross_entropy(scores.logits, batch.targets, reduction="sum") / known, known)
    return Mean(F.cross_entropy(scores.logits, batch.targets), len(batch.targets))


def entropy(scores: ClassScores) -> Tensor:
    """Compute the entropy -Σ p log p, a mean over texts in nats. Grandvalet & Bengio (2004), "Semi-supervised Learning
    by Entropy Minimization"."""
    log_probs = scores.logits.log_softmax(dim=1)
    return -(log_probs.exp() * log_probs).sum(dim=1).mean()


def divergence(scores: ClassScores, before: ClassScores) -> Tensor:
    """Compute the KL divergence Σ p log (p / q) of the scores q from those before, p; a mean over texts in nats."""
    from torch.nn import functional as F

    log_q, log_p = scores.logits.log_softmax(dim=1), before.logits.log_softmax(dim=1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def outputs(scores: ClassScores) -> Array:
    """Return the logits of a batch, ``[batch, label]``."""
    return scores.logits.float().cpu().numpy()


def outputs_of(arrays: Mapping[str, Array], lengths: Array) -> Array:  # noqa: ARG001 (one signature)
    """Return the logits of a batch that a graph has computed."""
    return arrays["logits"]


def probabilities(logits: Array, temperature: float) -> Array:
    """Compute softmax(logits / temperature), ``[text, label]``."""
    scaled = logits.astype(np.float64) / temperature
    shares: Array = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


def agreement(probabilities: Array, others: Array) -> tuple[float, float]:
    """Return the fraction of equal labels, and the largest difference of a probability."""
    return decisions.agreement(lambda rows: decide(rows, {}), probabilities, others)


def calibrate(logits: Array, targets: Array) -> float:
    """Find the temperature T that minimises the cross-entropy of softmax(logits / T) on held-out data.

    Guo et al. (2017), "On Calibration of Modern Neural Networks", section 4.2. Targets are smoothed as by Platt (1999):
    among N texts and K classes, the target of the true class is (N + 2 / K) / (N + 2) and that of every other
    (2 / K) / (N + 2), so that a few texts, all classified correctly, do not make the model certain. 1/T is found by
    Newton's method, since the cross-entropy is convex in it; T is kept within [0.05, 20].
    """
    import torch

    scores = torch.from_numpy(logits).double()
    count, labels = scores.shape
    smoothed = torch.from_numpy((np.eye(labels)[targets] * count + 2 / labels) / (count + 2))
    target_scores = (smoothed * scores).sum(-1)
    inverse = torch.ones((), dtype=torch.float64)  # 1 / T
    for _ in range(50):
        probabilities = (inverse * scores).softmax(dim=-1)
        expected = (probabilities * scores).sum(-1)
        slope = (expected - target_scores).mean()
        curvature = ((probabilities * scores.square()).sum(-1) - expected.square()).mean()
        if curvature < 1e-12:  # all logits equal: no temperature is better than another
            break
        # A Newton step changes 1/T by at most a factor of two: where the curve is flat, a full step would diverge.
        new = (inverse - slope / curvature).clamp(inverse / 2, inverse * 2).clamp(0.05, 20)
        if torch.isclose(new, inverse, rtol=1e-9):
            break
        inverse = new
    return float(1 / inverse)


def describe(logits: Array, labels: Sequence[str], temperature: float) -> list[dict[str, Any]]:
    """Return the answer of ``predict`` to each text: the label, its probability, and those of all labels."""
    rows = probabilities(logits, temperature)
    best = decide(rows, {}).tolist()
    return [
        {
            "label": labels[index],
            "probability": round(float(row[index]), 6),
            "probabilities": {
                label: round(float(probability), 6) for label, probability in zip(labels, row, strict=True)
            },
        }
        for row, index in zip(rows, best, strict=True)
    ]


def blank(labels: Sequence[str]) -> dict[str, Any]:
    """Return the answer of ``predict`` to a row without a text."""
    return {"label": "", "probability": None, "probabilities": dict.fromkeys(labels)}


weighted = Weighted
measure = bootstrapped  # accuracy, balanced accuracy, macro F1, AUC (two classes), calibration error


def summary(logits: Array, targets: Array, temperature: float = 1.0) -> dict[str, float]:
    """Return the figures for the training loop: ``score`` (higher is better), loss, accuracy, calibration error."""
    import torch
    from torch.nn import functional as F

    rows = probabilities(logits, temperature)
    accuracy = float((rows.argmax(axis=1) == targets).mean())
    nll = float(F.cross_entropy(torch.from_numpy(logits).double() / temperature, torch.from_numpy(targets)))
    return {"score": accuracy, "accuracy": accuracy, "loss": nll, "ece": calibration_error(rows, targets)}
