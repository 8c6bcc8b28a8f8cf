"""Logistic regression of the head with a penalty towards the head before adaptation.

    logits(x) = (1 + s) (W x + b) + V z + c,   z = (x - mean of the support) / root mean square distance to it
    minimise  cross-entropy on the support, summed over its texts  +  λ/2 (|V|² + B |c|² + s²)

This is the maximum a posteriori estimate under a Gaussian prior whose mean is the model's own head W, b (Chelba & Acero
2006, "Adaptation of Maximum Entropy Capitalizer", section 3.1), in which a change of scale or of class priors is one
parameter each. The result is a linear head again. λ is the one of ``PENALTIES`` under which texts left out of the fit
are most probable, or the largest one whose mean loss is within a standard error of that (Breiman et al. 1984,
"Classification and Regression Trees", section 3.4.3). λ = ∞, the unchanged head, is one of them, so that the head
changes only if the support shows that a change helps. A row of the head that is zero is an untrained class: there is no
head to keep then, λ is the one under which texts left out are most probable, and a factor of the logits calibrates
their probabilities. Where a text has a set of labels, each label is a problem of its own (one against the rest).

The cross-entropy is minimised by Newton's method with conjugate gradients: the problem is strictly convex, and the
result depends on no random draw, nor on the order of the texts.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import Anchored as Config
from lstmcli.contracts import HEAD
from lstmcli.meta.inner import Learner, Weights, embedded
from lstmcli.types import Batch, Loss

PENALTIES = (math.inf, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)  # λ, from the least change to the largest
UNTRIED = 10.0  # λ of a head with an untrained class where no text can be left out
INTERCEPT = 0.1  # B
FOLDS = 5
TRIED = 1_000  # texts that λ is chosen on
TOLERANCE = 1e-11  # of the gradient, per text and unit of λ
ROUGH = 1e-4  # the same in cross-validation
ITERATIONS = 100
SHARED = 100_000_000  # multiplications of a product from which on a second thread pays
FACTORS = tuple(1.15**step for step in range(-10, 31))  # of the logits of new classes: 0.25 to 66


class Anchored(Learner):
    """Penalised logistic regression; it has no parameters of its own."""

    whole_texts = True
    exact_gradient = False  # it has no meta-gradient
    label_sets = True

    def __init__(self, config: Config) -> None:
        super().__init__([f"{HEAD}.weight", f"{HEAD}.bias"])
        self.config = config
        self.uses_support_prior = config.prior == "support"

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:  # noqa: ARG002
        with torch.no_grad():
            _, embedding = embedded(model, support)
            assert support.targets is not None
            weight, bias = (model.get_parameter(f"{HEAD}.{name}") for name in ("weight", "bias"))
            head = self._head if support.targets.ndim == 2 else self._head_of_sets  # targets of all tasks
            with _threads(embedding[0].numel() * len(bias)):
                heads = [
                    head(texts.double(), targets, weight.double(), bias.double())
                    for texts, targets in zip(embedding, support.targets, strict=True)
                ]
        yield {
            name: torch.stack(values).to(weight)
            for name, values in zip(self.names, zip(*heads, strict=True), strict=True)
        }

    def _head(self, texts: Tensor, targets: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the head of one task. texts: ``[text, feature]``; weight: ``[label, feature]``."""
        mean = texts.mean(dim=0)
        length = (texts - mean).square().sum(dim=1).mean().sqrt().clamp_min(1e-9)
        problem = Problem((texts - mean) / length, texts @ weight.mT + bias, targets)
        untrained = bool(((weight == 0).all(dim=1) & (bias == 0)).any())
        penalty, factor = self.config.l2, 1.0
        if penalty is None and untrained:
            penalty, factor = chosen_for_new(problem, PENALTIES[1:])
        elif penalty is None:
            penalty = chosen_penalty(problem, PENALTIES)
        if math.isinf(penalty):
            return weight, bias
        change, intercept, scale = problem.parts(problem.solved(penalty, tolerance=TOLERANCE))
        if self.config.prior == "model" and not untrained:
            intercept = torch.zeros_like(intercept)
        change = change / length
        return factor * ((1 + scale) * weight + change), factor * ((1 + scale) * bias + intercept - change @ mean)

    def _head_of_sets(self, texts: Tensor, targets: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the head of one task of sets of labels, row by row. targets: ``[text, label]``, 1 or 0.

        Each label is a problem of two classes, without and with it, whose logits are ∓ half of the label's. The row of
        a label that no text has stays as it is.
        """
        weight, bias = weight.clone(), bias.clone()
        sides = weight.new_tensor((-0.5, 0.5))
        for label in targets.any(dim=0).nonzero()[:, 0].tolist():
            rows, biases = self._head(
                texts, targets[:, label].long(), sides[:, None] * weight[label], sides * bias[label]
            )
            weight[label], bias[label] = rows[1] - rows[0], biases[1] - biases[0]
        return weight, bias


@dataclass(frozen=True)
class Problem:
    """The support of one task: z ``[text, feature]``, the logits before adaptation ``[text, label]``, the targets."""

    features: Tensor
    logits: Tensor
    targets: Tensor

    def part(self, chosen: Tensor) -> "Problem":
        """Return the texts at the indices, or where the mask is true."""
        return Problem(self.features[chosen], self.logits[chosen], self.targets[chosen])

    def zeros(self) -> Tensor:
        """Return the parameters of no change, in one vector: V, √B c for each label, and s."""
        return self.features.new_zeros(self.logits.shape[1] * (self.features.shape[1] + 1) + 1)

    def parts(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """V ``[label, feature]``, c ``[label]`` and s of the parameters."""
        rows = parameters[:-1].view(self.logits.shape[1], -1)
        return rows[:, :-1], rows[:, -1] / INTERCEPT**0.5, parameters[-1]

    def changes(self, parameters: Tensor) -> Tensor:
        """Return the change of the logits, ``[text, label]``; linear in the parameters."""
        change, intercept, scale = self.parts(parameters)
        return self.features @ change.mT + intercept + scale * self.logits

    def losses(self, parameters: Tensor) -> Tensor:
        """Return the cross-entropy of each text, ``[text]``."""
        return F.cross_entropy(self.logits + self.changes(parameters), self.targets, reduction="none")

    def solved(self, penalty: float, start: Tensor | None = None, *, tolerance: float) -> Tensor:
        """Return the parameters that minimise the penalised cross-entropy. start: initial ones; None: those of no
        change."""
        at = self.zeros() if start is None else start
        one_hot = F.one_hot(self.targets, self.logits.shape[1]).to(self.logits)
        for _ in range(ITERATIONS):
            probabilities = (self.logits + self.changes(at)).softmax(dim=1)
            gradient = self._gathered(probabilities - one_hot) + penalty * at
            if float(gradient.norm()) <= tolerance * (len(self.targets) + penalty):
                break
            step = _conjugate_gradients(self._curvature(probabilities, penalty), -gradient)
            at = self._searched(at, step, penalty, slope=float(gradient @ step))
        return at

    def _searched(self, at: Tensor, step: Tensor, penalty: float, *, slope: float) -> Tensor:
        """Take the step, halved until it lowers the objective; where that is below rounding, the whole step."""

        def objective(parameters: Tensor) -> float:
            return float(self.losses(parameters).sum() + penalty / 2 * parameters.square().sum())

        before, size = objective(at), 1.0
        while -slope > 1e-9 * (1 + before) and size > 1e-6 and objective(at + size * step) > before + size * slope / 4:
            size /= 2
        return at + size * step

    def _gathered(self, of_logits: Tensor) -> Tensor:
        """Return the gradient with respect to the parameters, from that with respect to the logits, ``[text,
        label]``."""
        rows = torch.cat((of_logits.mT @ self.features, of_logits.sum(dim=0)[:, None] / INTERCEPT**0.5), dim=1)
        return torch.cat((rows.flatten(), (of_logits * self.logits).sum()[None]))

    def _curvature(self, probabilities: Tensor, penalty: float) -> Callable[[Tensor], Tensor]:
        """Return the product of the Hessian with a vector, as a function."""

        def product(vector: Tensor) -> Tensor:
            weighted = probabilities * self.changes(vector)
            return self._gathered(weighted - probabilities * weighted.sum(dim=1, keepdim=True)) + penalty * vector

        return product


def chosen_penalty(problem: Problem, penalties: tuple[float, ...]) -> float:
    """Choose λ by cross-validation: the first of ``penalties``, which descend, whose loss is within a standard error of
    the lowest; the largest where no class has two texts."""
    found = left_out(problem, penalties)
    return penalties[0] if found is None else penalties[int((~_worse(found[0])).nonzero()[0])]


def chosen_for_new(problem: Problem, penalties: tuple[float, ...]) -> tuple[float, float]:
    """Choose λ for a head with untrained classes, the one with the lowest loss, and a factor of the logits.

    The factor calibrates the probabilities of the texts left out: under the λ that tells many classes apart from a few
    texts each, they are far too cautious. ``UNTRIED`` and 1 where no class has two texts.
    """
    found = left_out(problem, penalties)
    if found is None:
        return UNTRIED, 1.0
    losses, logits, targets = found
    best = int(losses.mean(dim=1).argmin())
    scaled = [float(F.cross_entropy(factor * logits[best], targets)) for factor in FACTORS]
    return penalties[best], FACTORS[scaled.index(min(scaled))]


def left_out(problem: Problem, penalties: tuple[float, ...]) -> tuple[Tensor, list[Tensor], Tensor] | None:
    """Compute the loss of each text under a head fitted without its fold, ``[penalty, text]``, its logits,
    ``[text, label]`` per penalty, and the targets; None if no class has two texts.

    The folds are stratified by class and by the loss before adaptation, so that they do not depend on the order of the
    texts. The last penalty is the first whose loss is more than a standard error above the lowest so far.
    """
    before = problem.losses(problem.zeros())
    order = before.argsort(stable=True)
    if len(order) > TRIED:
        order = order[torch.linspace(0, len(order) - 1, TRIED).long()]
    problem, before = problem.part(order), before[order]
    one_hot = F.one_hot(problem.targets)
    folds = min(FOLDS, int(one_hot.sum(dim=0).max()))
    if folds < 2:
        return None
    turns = (one_hot.cumsum(dim=0) * one_hot).sum(dim=1) % folds  # each class takes turns
    parts = [(problem.part(turns != fold), problem.part(turns == fold)) for fold in range(folds)]
    solutions = [problem.zeros()] * folds
    losses, logits = before.new_zeros(0, len(order)), []
    for penalty in penalties:
        row = problem.logits.clone()
        if not math.isinf(penalty):
            for fold, (learned, held_out) in enumerate(parts):
                solutions[fold] = learned.solved(penalty, solutions[fold], tolerance=ROUGH)
                row[turns == fold] += held_out.changes(solutions[fold])
        logits.append(row)
        losses = torch.cat((losses, F.cross_entropy(row, problem.targets, reduction="none")[None]))
        if _worse(losses)[-1]:
            break
    return losses, logits, problem.targets


def _worse(losses: Tensor) -> Tensor:
    """Return whether the mean loss of each penalty is more than a standard error above the lowest, ``[penalty]``.

    The standard error is that of the difference: both are losses of the same texts.
    """
    excess = losses - losses[losses.mean(dim=1).argmin()]
    worse: Tensor = excess.mean(dim=1) > excess.std(dim=1) / losses.shape[1] ** 0.5
    return worse


def _conjugate_gradients(product: Callable[[Tensor], Tensor], right: Tensor) -> Tensor:
    """Solve ``product(x) = right``, positive definite, to a residual that shrinks with the right side (superlinear)."""
    found, residual = torch.zeros_like(right), right.clone()
    direction, square = residual, residual @ residual
    size = float(square) ** 0.5
    enough = min(0.1, size**0.5) * size
    for _ in range(len(right)):
        if float(square) ** 0.5 <= enough:
            break
        curved = product(direction)
        rate = square / (direction @ curved)
        found, residual = found + rate * direction, residual - rate * curved
        square, last = residual @ residual, square
        direction = residual + square / last * direction
    return found


@contextmanager
def _threads(multiplications: int) -> Iterator[None]:
    """Use one thread inside the ``with`` block for small products: where other work keeps a processor busy, waiting for
    a second thread takes a hundred times as long as the product."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before if multiplications >= SHARED else 1)
        yield
    finally:
        torch.set_num_threads(before)


def build(config: Config, model: nn.Module) -> Anchored:  # noqa: ARG001
    """Build the learner for a model."""
    return Anchored(config)
