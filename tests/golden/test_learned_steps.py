"""Learned steps against loops a coordinate at a time, and against gradient descent."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from lstmcli.config import LstmOptimizer, MetaLstm
from lstmcli.meta import lstm_optimizer, meta_lstm
from lstmcli.types import Batch, ClassScores, Mean

TASKS, SIZE, STEPS, RATE = 2, 3, 4, 0.05


class Least(nn.Module):
    """The weights of a sum of squares: texts are rows, and their embedding is what the tokens say."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(SIZE, 1, bias=False).double()

    def forward(self, batch: Batch) -> ClassScores:
        return ClassScores(self.head(batch.tokens), batch.tokens)


def loss(scores: ClassScores, batch: Batch) -> Mean:
    return Mean((scores.logits[:, 0] - batch.targets).square().sum(), len(batch.targets))


def problems() -> Batch:
    torch.manual_seed(1)
    rows = torch.randn(TASKS, SIZE, SIZE, dtype=torch.float64)
    return Batch(rows, torch.full((TASKS, SIZE), SIZE), torch.randn(TASKS, SIZE, dtype=torch.float64))


def shaken(learner: nn.Module) -> nn.Module:
    torch.manual_seed(2)
    for value in learner.parameters():
        value.data += 0.3 * torch.randn_like(value)
    return learner


def path(learner: nn.Module, model: Least) -> np.ndarray:
    """``[step, task, coordinate]``."""
    weights = learner.trajectory(model, problems(), loss)
    return torch.stack([each["head.weight"].flatten(1) for each in weights]).detach().numpy()


def start(model: Least) -> np.ndarray:
    return model.head.weight[0].detach().numpy().copy()


def slope(task: int, at: np.ndarray) -> tuple[float, np.ndarray]:
    rows, targets = problems().tokens[task].numpy(), problems().targets[task].numpy()
    left = rows @ at - targets
    return float(left @ left), 2 * rows.T @ left


def seen(value: float) -> list[float]:
    if abs(value) >= math.exp(-10):
        return [math.log(abs(value)) / 10, math.copysign(1, value)]
    return [-1, math.exp(10) * value]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-4, -1e-5, 1e-9, 4.6e-5, 1e30])
def test_a_gradient_is_seen_by_size_and_sign(value: float) -> None:
    actual = lstm_optimizer.gradient_features(torch.tensor(value, dtype=torch.float64))
    np.testing.assert_allclose([part.item() for part in actual], seen(value), rtol=1e-12)


def test_a_gradient_of_zero_can_be_differentiated() -> None:
    value = torch.zeros(1, requires_grad=True)
    sum(lstm_optimizer.gradient_features(value)).sum().backward()
    assert value.grad.isfinite().all()


def test_an_untrained_meta_lstm_is_gradient_descent() -> None:
    model = Least()
    actual = path(meta_lstm.build(MetaLstm(steps=STEPS, lr=RATE), model), model)
    for task in range(TASKS):
        at = start(model)
        for step in range(STEPS + 1):
            np.testing.assert_allclose(actual[step, task], at, rtol=1e-5, atol=1e-7)  # gates begin in float32
            at = meta_lstm.KEPT * at - RATE * slope(task, at)[1]


def test_an_untrained_lstm_optimiser_is_gradient_descent_with_momentum() -> None:
    model = Least()
    actual = path(lstm_optimizer.build(LstmOptimizer(steps=STEPS, lr=RATE, momentum=0.7), model), model)
    for task in range(TASKS):
        at = torch.from_numpy(start(model)).requires_grad_()
        reference = torch.optim.SGD([at], RATE, momentum=0.7)
        for step in range(STEPS + 1):
            np.testing.assert_allclose(actual[step, task], at.detach().numpy(), rtol=1e-9)
            at.grad = torch.from_numpy(slope(task, at.detach().numpy())[1])
            reference.step()


@pytest.mark.parametrize("sees_weights", [False, True])
def test_the_lstm_optimiser_is_a_loop_over_coordinates(sees_weights: bool) -> None:
    model = Least()
    config = LstmOptimizer(steps=STEPS, lr=RATE, hidden=5, sees_weights=sees_weights)
    learner = shaken(lstm_optimizer.build(config, model))
    actual = path(learner, model)
    cells = [nn.LSTMCell(3 if sees_weights else 2, 5).double(), nn.LSTMCell(5, 5).double()]
    for layer, cell in enumerate(cells):
        for name, value in cell.named_parameters():
            value.data = getattr(learner.over_steps, f"{name}_l{layer}").data
    for task in range(TASKS):
        at = start(model)
        states: list[list[object]] = [[None, None] for _ in range(SIZE)]
        moved = np.zeros(SIZE)
        for step in range(STEPS):
            gradient = slope(task, at)[1]
            for index in range(SIZE):
                below = torch.tensor([seen(gradient[index]) + [at[index]] * sees_weights], dtype=torch.float64)
                for layer, cell in enumerate(cells):
                    states[index][layer] = cell(below, states[index][layer])
                    below = states[index][layer][0]
                faster, longer = (learner.to_step.weight @ below[0]).tolist()
                kept = sigmoid(learner.kept.item() + longer)
                moved[index] = kept * moved[index] - math.exp(learner.rate.item() + faster) * gradient[index]
            at = at + moved
            np.testing.assert_allclose(actual[step + 1, task], at, rtol=1e-9)


def test_columns_in_parts_are_torch_s_lstm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lstm_optimizer, "COLUMNS", 4)
    torch.manual_seed(6)
    columns = lstm_optimizer.ColumnLSTM(3, 5, 2).double()
    rows = nn.LSTM(3, 5, 2).double()
    rows.load_state_dict(columns.state_dict())
    inputs, hidden, cell = (torch.randn(*shape, dtype=torch.float64) for shape in ((10, 3), (2, 10, 5), (2, 10, 5)))
    _, expected = rows(inputs[None], (hidden, cell))
    actual = columns(inputs.T, (hidden.mT, cell.mT))
    for value, reference in zip(actual, expected, strict=True):
        torch.testing.assert_close(value, reference.mT)
    slopes = [torch.autograd.grad(sum(part.square().sum() for part in parts), list(module.parameters()))
              for parts, module in ((actual, columns), (expected, rows))]  # fmt: skip
    for value, reference in zip(*slopes, strict=True):
        torch.testing.assert_close(value, reference)


def test_the_meta_lstm_is_its_equations() -> None:
    model = Least()
    learner = shaken(meta_lstm.build(MetaLstm(steps=STEPS, lr=RATE), model))
    actual = path(learner, model)
    gates = [(gate.weight[0].detach().numpy(), gate.bias.item()) for gate in (learner.input_gate, learner.forget_gate)]
    for task in range(TASKS):
        cell = start(model)
        before = [[sigmoid(bias)] * SIZE for _, bias in gates]
        for step in range(STEPS):
            loss_value, gradient = slope(task, cell)
            for gate, (weight, bias) in enumerate(gates):
                before[gate] = [
                    sigmoid(
                        weight @ [*seen(gradient[index]), *seen(loss_value), cell[index], before[gate][index]] + bias
                    )
                    for index in range(SIZE)
                ]
            cell = np.array(before[1]) * cell - np.array(before[0]) * gradient
            np.testing.assert_allclose(actual[step + 1, task], cell, rtol=1e-9)


@pytest.mark.parametrize(("truncate", "reaches"), [(2, False), (3, True)])
def test_the_meta_gradient_is_truncated_after_unroll_steps(truncate: int, reaches: bool) -> None:
    model = Least()
    config = LstmOptimizer(steps=3, lr=RATE, hidden=5, unroll=truncate, order="second")
    *_, last = shaken(lstm_optimizer.build(config, model)).trajectory(model, problems(), loss)
    (gradient,) = torch.autograd.grad(last["head.weight"].sum(), [model.head.weight], allow_unused=True)
    assert (gradient is not None) == reaches


def test_task_features_are_gradient_norm_cosine_and_curvature() -> None:
    """On a quadratic with Hessian H the gradient changes by HΔ: both curvatures lie among the eigenvalues."""
    torch.manual_seed(5)
    half = torch.randn(4, 4, dtype=torch.float64)
    hessian = half @ half.T
    before, moved = torch.randn(2, 3, 4, dtype=torch.float64).unbind()  # three tasks
    gradients = before + moved @ hessian
    actual = lstm_optimizer.task_features(gradients, moved, before).numpy()
    low, *_, high = np.linalg.eigvalsh(hessian.numpy())
    for task in range(3):
        g, step = gradients[task].numpy(), moved[task].numpy()
        along = step @ hessian.numpy() @ step / (step @ step)
        steepest = np.linalg.norm(hessian.numpy() @ step) / np.linalg.norm(step)
        assert low <= along <= steepest <= high
        angle = g @ step / np.linalg.norm(g) / np.linalg.norm(step)
        expected = [math.log(np.linalg.norm(g)) / 10, angle, math.log(along) / 10, math.log(steepest) / 10]
        np.testing.assert_allclose(actual[task], expected, rtol=1e-9)


def test_task_features_before_the_first_step_are_finite_and_differentiable() -> None:
    still = torch.zeros(2, 3, requires_grad=True)
    seen = lstm_optimizer.task_features(still, still, still)
    assert seen.isfinite().all()
    (slope,) = torch.autograd.grad(seen.sum(), still)
    assert slope.isfinite().all()


def test_the_fraction_of_steps_done_is_a_feature() -> None:
    learner = shaken(lstm_optimizer.build(LstmOptimizer(steps=STEPS, hidden=4, sees_task=True), Least())).double()
    calls: list[torch.Tensor] = []
    learner.over_steps.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0].detach()))
    path(learner, Least())
    assert [float(each[-1, 0]) for each in calls] == [step / STEPS for step in range(STEPS)]
    assert all(each.shape == (lstm_optimizer.OWN + lstm_optimizer.TASK, TASKS * SIZE) for each in calls)
    for each in calls:  # all coordinates of a task see the same of it
        whole = each[lstm_optimizer.OWN :].view(-1, TASKS, SIZE)
        torch.testing.assert_close(whole, whole[..., :1].expand_as(whole))


def test_untrained_with_task_features_it_is_momentum_at_a_rate_over_the_largest_curvature() -> None:
    config = LstmOptimizer(steps=STEPS, hidden=4, sees_task=True, lr=RATE, momentum=0.9)
    actual = path(lstm_optimizer.build(config, Least()).double(), Least())
    for task in range(TASKS):
        at, step, before, curvature = start(Least()), np.zeros(SIZE), np.zeros(SIZE), 0.0
        for number in range(STEPS):
            gradient = slope(task, at)[1]
            rate = RATE
            if number:
                curvature = max(curvature, np.linalg.norm(gradient - before) / np.linalg.norm(step))
                rate = lstm_optimizer.REACH / curvature
            step, before = 0.9 * step - rate * gradient, gradient
            at = at + step
            np.testing.assert_allclose(actual[number + 1, task], at, rtol=1e-6)
