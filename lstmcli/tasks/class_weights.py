"""Class weights: a classifier for classes of unequal cost or frequency.

The weights w move the labels, not the probabilities. Trained on the cross-entropy weighted by w, a model estimates
q(y | x) proportional to w(y) p(y | x), which no temperature makes the probability p again. So log w is added to the
logits in the loss alone:

    L = w(y) · CE(softmax(z + log w), y)

Its minimum is z = log p(y | x) + constant: softmax(z / T) are probabilities under the class frequencies of the training
data, as without weights. The label is the one of least expected cost, argmax w(y) p(y | x). Elkan (2001), "The
Foundations of Cost-Sensitive Learning".

Logit adjustment (Menon et al. 2021, "Long-tail Learning via Logit Adjustment", equations 9 and 10) trains z + t log
π(y), π the frequency of the class, and decides by argmax z. With a head that has a bias this is plain training with
another initial bias, after which the label is argmax p(y | x) / π(y)^t. ``adjusted`` does that, with the t of
``EXPONENTS`` that has the best macro F1 on texts that the model, or the head that a run begins with, was not fitted to.
With t = 1, which is best for balanced accuracy, few of the texts that are assigned to a rare class belong to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.tasks import baselines, decisions
from lstmcli.tasks.metrics import bootstrapped, weighted
from lstmcli.types import Mean

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from lstmcli.contracts import TextTask
    from lstmcli.types import Batch, ClassScores, Metrics

Array = np.ndarray[Any, np.dtype[Any]]
EXPONENTS = np.linspace(0, 1, 11)


@dataclass(frozen=True)
class Weighted:
    """A task with class weights; what is not defined here is the task's.

    weights: ``[label]``; adjusted: logit adjustment, and weights are 1 / π, up to a factor; exponent: of the weights in
    decisions, none while it is not chosen.
    """

    task: TextTask
    weights: Array
    adjusted: bool = False
    exponent: float | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # of copying and pickling, before ``task`` is set
            raise AttributeError(name)
        return getattr(self.task, name)

    @property
    def PRIMARY(self) -> str:  # noqa: N802 (of a task)
        """The metric that is compared with the baselines."""
        return "macro_f1" if self.adjusted else "balanced_accuracy"

    @property
    def decision(self) -> Array:
        """What the probabilities are multiplied by to decide, ``[label]``."""
        exponent = self.exponent if self.adjusted else 1.0
        assert exponent is not None  # ``tuned`` chooses it before anything is decided
        decision: Array = self.weights**exponent
        return decision

    @property
    def loss_weights(self) -> Array | None:
        """The weights of the training loss, ``[label]``; none with logit adjustment."""
        return None if self.adjusted else self.weights

    def tuned(self, outputs: Array, targets: Array, temperature: float) -> Weighted:
        """Choose the exponent by macro F1 on held-out data: the middle of those that are best."""
        if not self.adjusted or self.exponent is not None:
            return self
        probabilities, ones = self.task.probabilities(outputs, temperature), np.ones((1, len(targets)))
        tried = [replace(self, exponent=float(exponent)) for exponent in EXPONENTS]
        reached = np.array(
            [
                float(weighted(probabilities, targets, ones, one.decide(probabilities, {}))["macro_f1"][0])
                for one in tried
            ]
        )
        best = np.flatnonzero(reached >= reached.max() - 1e-9)
        chosen: Weighted = tried[best[len(best) // 2]]
        return chosen

    def decide(self, probabilities: Array, thresholds: Mapping[int, float], min_confidence: float = 0.0) -> Array:
        """As ``decisions.decide``, with the weights."""
        return decisions.decide(probabilities, thresholds, min_confidence, weights=self.decision)

    def agreement(self, probabilities: Array, others: Array) -> tuple[float, float]:
        """As of the task, with the weights."""
        return decisions.agreement(lambda rows: self.decide(rows, {}), probabilities, others)

    def operating_points(
        self,
        probabilities: Array,
        targets: Array,
        labels: Sequence[str],
        more: Collection[float] = (),
        *,
        seed: int = 0,
    ) -> dict[str, Any]:
        """As ``decisions.operating_points``, with the weights."""
        return decisions.operating_points(probabilities, targets, labels, more, seed=seed, weights=self.decision)

    def loss(self, scores: ClassScores, batch: Batch) -> Mean:
        """Compute the weighted cross-entropy, a mean over texts; targets as of the task."""
        if self.loss_weights is None:
            return self.task.loss(scores, batch)
        import torch
        from torch.nn import functional as F

        assert batch.targets is not None  # set in every training batch
        weights = torch.from_numpy(self.loss_weights).to(scores.logits)
        total = F.cross_entropy(scores.logits + weights.log(), batch.targets, weight=weights, reduction="sum")
        if batch.targets.is_floating_point():
            known = batch.targets.any(dim=1).sum().clamp_min(1)
            return Mean(total / known, known)
        return Mean(total / len(batch.targets), len(batch.targets))

    def measure(self, probabilities: Array, targets: Array, *, seed: int = 0) -> Metrics:
        """Each metric of the decisions with its interval."""
        return bootstrapped(probabilities, targets, seed=seed, predicted=self.decide(probabilities, {}))

    def summary(self, outputs: Array, targets: Array, temperature: float = 1.0) -> dict[str, float]:
        """Figures for the training loop. score: the fraction of the weight of the texts whose label is right; with
        logit adjustment the loss, negated: macro F1 of the few held-out texts of a rare class would choose by luck."""
        tuned = self.tuned(outputs, targets, temperature)
        probabilities = self.task.probabilities(outputs, temperature)
        predicted = tuned.decide(probabilities, {})
        found = {name: float(value[0]) for name, value in
                 weighted(probabilities, targets, np.ones((1, len(targets))), predicted).items()}  # fmt: skip
        of_text = self.weights[targets]
        loss = self.task.summary(outputs, targets, temperature)["loss"]
        score = -loss if self.adjusted else float((of_text * (predicted == targets)).sum() / of_text.sum())
        shown = {name: found[name] for name in (self.PRIMARY, "accuracy", "ece")}
        return {"score": score, **shown, "loss": loss}

    def describe(self, outputs: Array, labels: Sequence[str], temperature: float) -> list[dict[str, Any]]:
        """Return the answers of the task with the labels decided; a label's probability may be below another's."""
        answers = self.task.describe(outputs, labels, temperature)
        chosen = [labels[index] for index in self.decide(self.task.probabilities(outputs, temperature), {})]
        return [answer | {"label": label, "probability": answer["probabilities"][label]}
                for answer, label in zip(answers, chosen, strict=True)]  # fmt: skip

    def fit_baselines(self, codes: Array, offsets: Array, targets: Array, *, labels: int) -> dict[str, Array]:
        """Fit the baselines, the linear one with the weights too."""
        return baselines.fit_baselines(codes, offsets, targets, labels=labels, class_weights=self.weights)
