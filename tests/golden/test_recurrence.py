"""Many LSTMs at once against the equations written out and torch's kernel: values, first and second derivatives."""

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from lstmcli.config import Classifier
from lstmcli.models.classifier import build
from lstmcli.models.lstm import LSTM, step
from lstmcli.models.recurrence import recurrence, reordered
from lstmcli.types import Batch

CLOSE = {"rtol": 0.0, "atol": 1e-9}
STACK, TIME, BATCH, HIDDEN = 2, 4, 3, 2


def arguments(time: int = TIME, batch: int = BATCH) -> list[Tensor]:
    torch.manual_seed(0)
    shapes = [
        (STACK, time, batch, 4 * HIDDEN),
        (STACK, 4 * HIDDEN, HIDDEN),
        (STACK, batch, HIDDEN),
        (STACK, batch, HIDDEN),
    ]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def test_equals_the_equations_written_out() -> None:
    inputs, weight, hidden, cell = arguments()
    states, cells = recurrence(reordered(inputs.mT).mT, reordered(weight), hidden, cell)
    still = torch.zeros(4 * HIDDEN, dtype=torch.float64)
    for index in range(STACK):
        state = (hidden[index], cell[index])
        for time in range(TIME):
            eye = torch.eye(4 * HIDDEN, dtype=torch.float64)
            state = step(inputs[index, time], state, [eye, weight[index], still, still])
            torch.testing.assert_close(states[index, time], state[0], **CLOSE)
            torch.testing.assert_close(cells[index, time], state[1], **CLOSE)


def test_first_and_second_derivatives_equal_finite_differences() -> None:
    few = arguments(time=3, batch=2)
    assert torch.autograd.gradcheck(recurrence, few)
    assert torch.autograd.gradgradcheck(recurrence, few)
    assert torch.autograd.gradgradcheck(lambda *given: recurrence(*given)[0], few)


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (1, True), (2, True)])
def test_under_vmap_it_equals_the_fused_kernel_task_by_task(layers: int, bidirectional: bool, with_state: bool) -> None:
    torch.manual_seed(1)
    lstm = LSTM(3, 5, layers=layers, bidirectional=bidirectional).double()
    tasks, batch, time = 3, 4, 6
    weights = {name: torch.randn(tasks, *value.shape).double().mul(0.5).requires_grad_()
               for name, value in lstm.named_parameters()}  # fmt: skip
    inputs = torch.randn(tasks, batch, time, 3, dtype=torch.float64)
    lengths = torch.randint(1, time + 1, (tasks, batch))
    start = torch.randn(2, tasks, layers * (1 + bidirectional), batch, 5, dtype=torch.float64)

    def read(weights: dict[str, Tensor], inputs: Tensor, lengths: Tensor, start: Tensor) -> tuple[Tensor, ...]:
        state = (start[0], start[1]) if with_state else None
        hidden, end = functional_call(lstm, weights, (inputs, lengths, state), {"carry": True})
        return hidden, *end

    together = vmap(read, in_dims=(0, 0, 0, 1))(weights, inputs, lengths, start)
    alone = [
        read({name: value[task] for name, value in weights.items()}, inputs[task], lengths[task], start[:, task])
        for task in range(tasks)
    ]
    for actual, reference in zip(together, map(torch.stack, zip(*alone, strict=True)), strict=True):
        torch.testing.assert_close(actual, reference, **CLOSE)

    def derivatives(hidden: Tensor, cell: Tensor) -> list[Tensor]:
        values = list(weights.values())
        first = torch.autograd.grad(hidden.pow(3).sum() + cell.sin().sum(), values, create_graph=True)
        second = torch.autograd.grad(torch.stack([part.sin().sum() for part in first]).sum(), values)
        return [*first, *second]

    reference = derivatives(torch.stack([one[0] for one in alone]), torch.stack([one[2] for one in alone]))
    for actual, other in zip(derivatives(together[0], together[2]), reference, strict=True):
        torch.testing.assert_close(actual, other, **CLOSE)


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "max-mean", "attention"])
def test_the_classifier_at_the_weights_of_many_tasks_equals_itself_task_by_task(pooling: str) -> None:
    torch.manual_seed(2)
    model = build(Classifier(embedding=3, hidden=4, dropout=0.0, pooling=pooling), words=9, labels=3).double()
    weights = {name: torch.randn(2, *value.shape).double() for name, value in model.named_parameters()}
    tokens, lengths = torch.randint(1, 9, (2, 4, 5)), torch.randint(1, 6, (2, 4))

    def logits(weights: dict[str, Tensor], tokens: Tensor, lengths: Tensor) -> Tensor:
        return functional_call(model, weights, (Batch(tokens, lengths),)).logits

    together = vmap(logits)(weights, tokens, lengths)
    for task in range(2):
        own = {name: value[task] for name, value in weights.items()}
        torch.testing.assert_close(together[task], logits(own, tokens[task], lengths[task]), **CLOSE)
