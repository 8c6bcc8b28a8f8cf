"""Learners against pencil and paper: one weight, squared errors."""

import pytest
import torch
from torch import Tensor, nn

from lstmcli.config import Finetune, Maml, Reptile
from lstmcli.meta import finetune, maml, reptile
from lstmcli.types import Batch, ClassScores, Episode, Mean

RATE, STEPS, W = 0.1, 4, 3.0
SUPPORT, QUERY = (1.0, -1.0), (-2.0, 0.5)  # what each of two tasks would have the weight be


class Line(nn.Module):
    """One weight; every text's embedding is 1. moved: the weight stands elsewhere than in the head."""

    def __init__(self, *, moved: bool = False) -> None:
        super().__init__()
        self.head = nn.Linear(1, 1, bias=False).double()
        nn.init.constant_(self.head.weight, W)
        self.moved = moved
        if moved:
            self.lstm = self.head
            del self.head

    def forward(self, batch: Batch) -> ClassScores:
        embedding = torch.ones(len(batch.lengths), 1)
        head = self.lstm if self.moved else self.head
        return ClassScores(head(embedding.double()), embedding)


def loss(scores: ClassScores, batch: Batch) -> Mean:
    return Mean(((scores.logits[:, 0] - batch.targets) ** 2 / 2).mean(), len(batch.lengths))


def batch(targets: tuple[float, ...]) -> Batch:
    """A task a target, of three texts each."""
    tasks = len(targets)
    values = torch.tensor(targets, dtype=torch.float64)[:, None].expand(tasks, 3)
    return Batch(torch.ones(tasks, 3, 1, dtype=torch.long), torch.ones(tasks, 3, dtype=torch.long), values)


def episode() -> Episode:
    return Episode(batch(SUPPORT), batch(QUERY), ("x",))


def end(trajectory: object) -> Tensor:
    *_, weights = trajectory
    (only,) = weights.values()
    return only.flatten()


@pytest.mark.parametrize("moves", ["head", "all"])
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_fine_tuning_equals_the_closed_form(steps: int, moves: str) -> None:
    # L(w) = (w - s)^2 / 2 + c (w - w0)^2 has its least at w* = (s + 2 c w0) / (1 + 2 c), and
    # w_k = w* + (1 - a (1 + 2 c))^k (w0 - w*).
    a, c = 0.1, 0.25
    model = Line(moved=moves == "all")
    learner = finetune.build(Finetune(steps=steps, lr=a, anchor=c, adapted_parameters=moves), model)
    reached = end(learner.trajectory(model, batch(SUPPORT), loss))
    for s, actual in zip(SUPPORT, reached, strict=True):
        least = (s + 2 * c * W) / (1 + 2 * c)
        assert actual.item() == pytest.approx(least + (1 - a * (1 + 2 * c)) ** steps * (W - least), rel=1e-9)


@pytest.mark.parametrize("moves", ["head", "all"])
@pytest.mark.parametrize(("order", "factor"), [("second", (1 - RATE) ** STEPS), ("first", 1.0)])
def test_the_gradient_of_maml_equals_the_closed_form(order: str, factor: float, moves: str) -> None:
    # w_k = s + (1 - a)^k (w - s), so d loss / d w = (1 - a)^k (w_k - q); first order drops the factor.
    model = Line(moved=moves == "all")
    learner = maml.build(Maml(order=order, steps=STEPS, lr=RATE, adapted_parameters=moves), model)
    losses = learner.meta_loss(model, episode(), loss)
    reached = [s + (1 - RATE) ** STEPS * (W - s) for s in SUPPORT]
    expected = [(w - q) ** 2 / 2 for w, q in zip(reached, QUERY, strict=True)]
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))
    losses.sum().backward()
    (weight,) = model.parameters()
    gradient = sum(factor * (w - q) for w, q in zip(reached, QUERY, strict=True))
    assert weight.grad.item() == pytest.approx(gradient, rel=1e-9)


@pytest.mark.parametrize("order", ["first", "second"])
def test_the_gradient_of_a_learned_rate_equals_the_closed_form(order: str) -> None:
    # One step: w_1 = w - a (w - s), so d loss / d a = -(w - s) (w_1 - q) in either order.
    model = Line(moved=True)
    for rates in ("weight", "layer-step"):
        learner = maml.build(Maml(order=order, steps=1, lr=RATE, adapted_parameters="all", rates=rates), model)
        learner.double().meta_loss(model, episode(), loss).sum().backward()
        (rate,) = learner.parameters()
        pairs = zip(SUPPORT, QUERY, strict=True)
        expected = sum(-(W - s) * (W - RATE * (W - s) - q) for s, q in pairs)
        assert rate.grad.sum().item() == pytest.approx(expected, rel=1e-6)


def test_multi_step_loss_is_the_weighted_mean() -> None:
    model = Line(moved=True)
    share = 0.4
    learner = maml.build(Maml(steps=3, lr=RATE, adapted_parameters="all", multi_step_loss_weight=share), model)
    actual = learner.meta_loss(model, episode(), loss)
    for index, (s, q) in enumerate(zip(SUPPORT, QUERY, strict=True)):
        after = [(s + (1 - RATE) ** k * (W - s) - q) ** 2 / 2 for k in (1, 2, 3)]
        assert actual[index].item() == pytest.approx(share * (after[0] + after[1]) / 2 + (1 - share) * after[2])


def test_the_gradient_of_reptile_is_the_way_to_where_the_steps_lead() -> None:
    # Support and query are learned from together: to each task their mean is what s is above.
    model = Line(moved=True)
    learner = reptile.build(Reptile(steps=STEPS, lr=RATE), model)
    losses = learner.meta_loss(model, episode(), loss)
    losses.sum().backward()
    (weight,) = model.parameters()
    means = [(s + q) / 2 for s, q in zip(SUPPORT, QUERY, strict=True)]
    ways = [W - (m + (1 - RATE) ** STEPS * (W - m)) for m in means]
    assert weight.grad.item() == pytest.approx(sum(ways), rel=1e-9)
    spreads = [((s - q) / 2) ** 2 / 2 for s, q in zip(SUPPORT, QUERY, strict=True)]  # that no one weight can end
    ends = [((W - way - m) ** 2) / 2 + spread for way, m, spread in zip(ways, means, spreads, strict=True)]
    torch.testing.assert_close(losses.detach(), torch.tensor(ends, dtype=torch.float64))
