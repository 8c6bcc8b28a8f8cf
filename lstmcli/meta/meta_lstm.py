"""An LSTM whose cell is the weights: what to keep of them, and how much of a gradient to let in, is learned.

    c_t = f_t ⊙ c_{t-1} - i_t ⊙ ∇L_t
    i_t = σ(W_i [∇L_t, L_t, c_{t-1}, i_{t-1}] + b_i);   f_t = σ(W_f [∇L_t, L_t, c_{t-1}, f_{t-1}] + b_f)

Ravi & Larochelle (2017), "Optimization as a Model for Few-Shot Learning", section 3: the cell update of an LSTM, with
the gradient for its candidate, is a step of gradient descent at the rate i from weights that have shrunk by f. Every
weight has gates of its own, of the same W and b. c_0, the weights before the first step, is learned: it is the model.
The gates see gradient and loss as their section 3.2 has it, by logarithm and sign. Their further LSTM between these and
the gates is left out. W begins at zero: gradient descent at the rate ``lr``.
"""

import math
from collections.abc import Iterator

import torch
from torch import nn

from lstmcli.config import MetaLstm as Config
from lstmcli.meta.inner import Weights, moving, packed, unpacked, value_and_grad
from lstmcli.meta.lstm_optimizer import seen_of
from lstmcli.meta.start import Stepping
from lstmcli.types import Batch, Loss

KEPT = 0.999  # forget gate at the start
SEEN = 6  # size and sign of the gradient and of the loss; the weight; the gate before


class MetaLstm(Stepping):
    """Learns its two gates."""

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__(
            moving(model, config.adapted_parameters), model, start=config.head_init, share=config.multi_step_loss_weight
        )
        self.config = config
        self.input_gate, self.forget_gate = nn.Linear(SEEN, 1), nn.Linear(SEEN, 1)
        for gate, value in ((self.input_gate, config.lr), (self.forget_gate, KEPT)):
            nn.init.zeros_(gate.weight)
            nn.init.constant_(gate.bias, math.log(value / (1 - value)))
        self.to(next(model.parameters()))

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        losses = self.losses(model, support, loss)
        exact = self.config.order == "second" and torch.is_grad_enabled()
        weights = self.start(model, support)
        cell = packed(weights)  # [task, coordinate]
        let_in, kept = (gate.bias.sigmoid().expand_as(cell) for gate in (self.input_gate, self.forget_gate))
        yield weights
        for _ in range(self.config.steps):
            lost, gradients = value_and_grad(losses, weights, exact=exact)
            slope = packed(gradients)
            seen = (*seen_of(slope), *seen_of(lost[:, None].expand_as(slope)), cell)
            let_in = self.input_gate(torch.stack((*seen, let_in), dim=-1))[..., 0].sigmoid()
            kept = self.forget_gate(torch.stack((*seen, kept), dim=-1))[..., 0].sigmoid()
            cell = kept * cell - let_in * slope
            weights = unpacked(cell, weights)
            yield weights


def build(config: Config, model: nn.Module) -> MetaLstm:
    """A learner for models of this kind."""
    return MetaLstm(config, model)
