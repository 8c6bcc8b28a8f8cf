"""Gradients through time against a closed form, torch's own backward pass and a finite difference."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lstmcli.report import through_time


def test_a_linear_recurrence_multiplies_by_its_weight_at_each_step() -> None:
    """h_t = w h_{t-1} + x_t gives ∂h_T/∂h_t = w^(T - t)."""
    seeds = torch.zeros(1, 6, 1, dtype=torch.float64)
    seeds[0, 5] = 2.0

    def cell(inputs: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return 0.5 * state[0] + inputs, state[1]

    found = through_time.flow(cell, torch.randn(1, 6, 1, dtype=torch.float64), seeds)
    assert found[0, :, 0].tolist() == pytest.approx([2 * 0.5**distance for distance in (5, 4, 3, 2, 1, 0)])


@pytest.mark.parametrize("kind", ["lstm", "rnn"])
def test_a_change_of_a_hidden_state_changes_the_loss_as_the_gradient_predicts(kind: str) -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(3, 4) if kind == "lstm" else nn.RNN(3, 4)
    cell = through_time._lstm(layer, "l0") if kind == "lstm" else through_time._rnn(layer)
    inputs, seeds = (torch.randn(2, 7, size, dtype=torch.float64) for size in (3, 4))
    found = through_time.flow(cell, inputs, seeds)

    def loss(changed: int, shift: Tensor) -> float:
        """Σ seeds · h where h_t of one step is shifted before it is read on."""
        state = (torch.zeros(2, 4, dtype=torch.float64),) * 2
        total = 0.0
        for time in range(7):
            hidden, memory = cell(inputs[:, time], state)
            state = (hidden + shift if time == changed else hidden, memory)
            total += float((state[0] * seeds[:, time]).sum())
        return total

    for time in (0, 3, 6):
        direction = torch.randn(2, 4, dtype=torch.float64)
        slope = (loss(time, 1e-6 * direction) - loss(time, -1e-6 * direction)) / 2e-6
        assert slope == pytest.approx(float((found[:, time] * direction).sum()), rel=1e-6)


def test_what_enters_the_states_of_a_model_gives_the_gradient_of_its_inputs() -> None:
    """The direct gradients of a model's loss, sent back through its forward LSTM, give torch's own ∂L/∂x_1 there."""
    from lstmcli.config import Classifier, Finetune
    from lstmcli.inference.assemble import Parts
    from lstmcli.models import classifier
    from lstmcli.tasks import classify
    from lstmcli.types import Batch

    torch.manual_seed(1)
    config = Classifier(embedding=5, hidden=4, bidirectional=False, layers=2, dropout=0.0)
    model = classifier.build(config, words=20, labels=2).double().eval()
    batch = Batch(torch.randint(3, 20, (3, 6)), torch.tensor([6, 4, 6]), torch.tensor([0, 1, 1]))
    parts = Parts.__new__(Parts)
    for name, value in {"model": model, "task": classify, "config": None, "learner": Finetune()}.items():
        object.__setattr__(parts, name, value)
    inputs, direct = through_time._at(parts, model.lstm, batch)
    cell = through_time._lstm(model.lstm, "l1")
    found = through_time.flow(cell, inputs, direct)

    read: list[Tensor] = []
    handle = model.lstm.register_forward_hook(lambda _, __, output: read.append(output[0]))
    loss = classify.loss(model(batch), batch).value
    handle.remove()
    (bias,) = torch.autograd.grad(loss, [model.lstm.bias_hh_l1])
    # Σ_t ∂L/∂bias, from the gradients of the states: the output gate's part is δ_t tanh(c_t) o (1 - o).
    zeros = torch.zeros(3, 4, dtype=torch.float64)
    state, total = (zeros, zeros), torch.zeros(4, dtype=torch.float64)
    w_ih, w_hh, b_ih, b_hh = model.lstm.weights(1, "")
    for time in range(6):
        output = (inputs[:, time] @ w_ih.T + b_ih + state[0] @ w_hh.T + b_hh)[:, 12:].sigmoid()
        state = cell(inputs[:, time], state)
        alive = (time < batch.lengths)[:, None]
        total += (alive * found[:, time] * state[1].tanh() * output * (1 - output)).sum(dim=0).detach()
    np.testing.assert_allclose(total.numpy(), bias[12:].numpy(), rtol=1e-8)
