"""Multi-label classification: a text has several labels, one, or none.

Each label has a probability of its own, σ(z / T) with one temperature T for all, and a threshold from which it is
given. The thresholds are those with the best F1 of each label on held-out data: where a label is rare, hardly any text
reaches 0.5. Lipton et al. (2014), "Optimal Thresholding of Classifiers to Maximize F1 Measure".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.tasks import decisions
from lstmcli.tasks import label_sets as sets
from lstmcli.tasks.classify import outputs_of
from lstmcli.tasks.few_shot import over_episodes, text_features
from lstmcli.tasks.one_vs_rest import baseline_probabilities, fit_baselines, support_probabilities
from lstmcli.types import Mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from lstmcli.contracts import Reads
    from lstmcli.types import Batch, ClassScores, Metrics

Array = np.ndarray[Any, np.dtype[Any]]
READS: Reads = "text"
HEADING = "several labels per text"
PRIMARY = "macro_f1"
OVERALL = "micro_f1"  # one decision on a rare label moves macro F1 by as much as many on a frequent one
LABEL_SETS = True
INVERSE_TEMPERATURES = (0.05, 20.0)

__all__ = [
    "HEADING",
    "LABEL_SETS",
    "OVERALL",
    "PRIMARY",
    "READS",
    "agreement",
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
    "outputs_of",
    "over_episodes",
    "probabilities",
    "summary",
    "support_probabilities",
    "text_features",
    "thresholded",
    "tuned",
]


def loss(scores: ClassScores, batch: Batch) -> Mean:
    """Compute the binary cross-entropy, summed over the labels: a mean over texts in nats."""
    from torch.nn import functional as F

    assert batch.targets is not None  # set in every training batch
    total = F.binary_cross_entropy_with_logits(scores.logits, batch.targets.to(scores.logits), reduction="sum")
    return Mean(total / len(batch.targets), len(batch.targets))


def entropy(scores: ClassScores) -> Tensor:
    """Compute the entropy of the labels, independent of each other: a mean over texts in nats."""
    from torch.nn import functional as F

    logits = scores.logits
    found: Tensor = (F.softplus(logits) - logits * logits.sigmoid()).sum(dim=1).mean()
    return found


def divergence(scores: ClassScores, before: ClassScores) -> Tensor:
    """Compute the KL divergence of the scores from those before, labels independent: a mean over texts in nats."""
    from torch.nn import functional as F

    q, p = scores.logits, before.logits
    found: Tensor = (p.sigmoid() * (p - q) + F.softplus(q) - F.softplus(p)).sum(dim=1).mean()
    return found


def outputs(scores: ClassScores) -> Array:
    """Return the logits of a batch, ``[batch, label]``."""
    return scores.logits.float().cpu().numpy()


def probabilities(logits: Array, temperature: float) -> Array:
    """Compute σ(logits / temperature), ``[text, label]``."""
    found: Array = np.exp(-np.logaddexp(0, -logits.astype(np.float64) / temperature))
    return found


def calibrate(logits: Array, targets: Array) -> float:
    """Find the temperature that minimises the binary cross-entropy on held-out data.

    It is convex in 1 / T. Targets are smoothed as by Platt (1999): of N pairs of text and label, they are 1 / (N + 2)
    away from 0 and 1, so that a few pairs, all right, do not make the model certain.
    """
    from scipy.optimize import minimize_scalar

    scores = logits.astype(np.float64)
    smoothed = (targets.astype(np.float64) * targets.size + 1) / (targets.size + 2)

    def nll(inverse: float) -> float:
        return float((np.logaddexp(0, inverse * scores) - smoothed * inverse * scores).mean())

    return float(1 / minimize_scalar(nll, bounds=INVERSE_TEMPERATURES, method="bounded", options={"xatol": 1e-6}).x)


def summary(logits: Array, targets: Array, temperature: float = 1.0) -> dict[str, float]:
    """Return the figures for the training loop, with the thresholds that are best for these texts."""
    return tuned(logits, targets, temperature).summary(logits, targets, temperature)


def measure(probabilities: Array, targets: Array, *, seed: int = 0) -> Metrics:
    """Compute each metric of the labels whose probability is at least 0.5, with its interval."""
    return sets.measured(probabilities >= sets.HALF, targets, seed=seed)


def agreement(probabilities: Array, others: Array) -> tuple[float, float]:
    """Return the fraction of pairs of text and label with equal decisions, and the largest difference of a
    probability."""
    return decisions.agreement(lambda rows: rows >= sets.HALF, probabilities, others)


def episode_figures(probabilities: Array, targets: Array) -> dict[str, float]:
    """Compute each metric of one episode."""
    return {name: one.value for name, one in measure(probabilities, targets).items()}


def describe(logits: Array, labels: Sequence[str], temperature: float) -> list[dict[str, Any]]:
    """Return the answers of ``predict``: the labels of each text, likeliest first, and all probabilities."""
    return _described(probabilities(logits, temperature), labels, np.full(len(labels), sets.HALF))


def _described(rows: Array, labels: Sequence[str], thresholds: Array) -> list[dict[str, Any]]:
    return [
        {
            "labels": [labels[index] for index in np.argsort(-row, kind="stable") if row[index] >= thresholds[index]],
            "probabilities": {label: round(float(value), 6) for label, value in zip(labels, row, strict=True)},
        }
        for row in rows
    ]


def blank(labels: Sequence[str]) -> dict[str, Any]:
    """Return the answer of ``predict`` to a row without a text."""
    return {"labels": None, "probabilities": dict.fromkeys(labels)}


@dataclass(frozen=True)
class Tuned:
    """The task with a threshold per label, ``[label]``; what is not defined here is as in the module."""

    decision: Array

    def __getattr__(self, name: str) -> Any:
        if name not in __all__:
            raise AttributeError(name)
        return globals()[name]

    def measure(self, probabilities: Array, targets: Array, *, seed: int = 0) -> Metrics:
        """Compute each metric of the labels that are given, with its interval."""
        return sets.measured(probabilities >= self.decision, targets, seed=seed)

    def summary(self, logits: Array, targets: Array, temperature: float = 1.0) -> dict[str, float]:
        """Return the figures for the training loop; of the score, higher is better."""
        rows = probabilities(logits, temperature)
        score = sets.macro_f1(rows >= self.decision, targets)
        scaled = logits.astype(np.float64) / temperature
        nll = float((np.logaddexp(0, scaled) - targets * scaled).sum(axis=1).mean())
        return {"score": score, PRIMARY: score, "loss": nll}

    def agreement(self, probabilities: Array, others: Array) -> tuple[float, float]:
        """As of the module, with the thresholds."""
        return decisions.agreement(lambda rows: rows >= self.decision, probabilities, others)

    def details(self, probabilities: Array, targets: Array, labels: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
        """Compute the figures of each label."""
        return {"by_label": sets.by_label(probabilities >= self.decision, targets, labels, self.decision, seed=seed)}

    def describe(self, logits: Array, labels: Sequence[str], temperature: float) -> list[dict[str, Any]]:
        """Return the answers with the labels that reach their threshold."""
        return _described(probabilities(logits, temperature), labels, self.decision)


def tuned(logits: Array, targets: Array, temperature: float) -> Tuned:
    """Return the task with the thresholds of best F1 on held-out data."""
    return Tuned(sets.best_thresholds(probabilities(logits, temperature), targets))


def thresholded(thresholds: Mapping[str, float], labels: Sequence[str]) -> Tuned:
    """Return the task with these thresholds by label; a label without one is given from ``HALF`` on."""
    return Tuned(np.array([thresholds.get(label, sets.HALF) for label in labels]))
