"""An LSTM whose cell state is the weights: its gates are the learning rate and the weight decay.

    c_t = f_t ⊙ c_{t-1} - i_t ⊙ ∇L_t
    i_t = σ(W_i [∇L_t, L_t, c_{t-1}, i_{t-1}] + b_i);   f_t = σ(W_f [∇L_t, L_t, c_{t-1}, f_{t-1}] + b_f)

Ravi & Larochelle (2017), "Optimization as a Model for Few-Shot Learning", section 3: the cell update of an LSTM, with
the gradient as the candidate, is a step of gradient descent at the rate i from weights decayed by f. Each weight has
its own gate values; W and b are shared. c_0, the initial weights, is learned: it is the model. The inputs of the gates
are log magnitude and sign of gradient and loss, as in section 3.2. The paper's further LSTM before the gates is left
out. W starts at zero: gradient descent at the rate ``lr``.
"""

import math
from collections.abc import Iterator

import torch
from torch import nn

from lstmcli.config import MetaLstm as Config
from lstmcli.meta.inner import Weights, adapted_names, from_vector, to_vector, value_and_grad
from lstmcli.meta.lstm_optimizer import gradient_features
from lstmcli.meta.start import Stepping
from lstmcli.types import Batch, Loss

KEPT = 0.999  # initial forget gate
FEATURES = 6  # magnitude and sign of gradient and loss; the weight; the gate at the last step


class MetaLstm(Stepping):
    """The meta-LSTM: an input gate and a forget gate."""

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__(
            adapted_names(model, config.adapted_parameters),
            model,
            head_init=config.head_init,
            multi_step_loss_weight=config.multi_step_loss_weight,
        )
        self.config = config
        self.input_gate, self.forget_gate = nn.Linear(FEATURES, 1), nn.Linear(FEATURES, 1)
        for gate, value in ((self.input_gate, config.lr), (self.forget_gate, KEPT)):
            nn.init.zeros_(gate.weight)
            nn.init.constant_(gate.bias, math.log(value / (1 - value)))
        self.to(next(model.parameters()))

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        losses = self.losses(model, support, loss)
        exact = self.config.order == "second"
        weights = self.initial_weights(model, support)
        cell = to_vector(weights)  # [task, coordinate]
        input_gate, forget_gate = (gate.bias.sigmoid().expand_as(cell) for gate in (self.input_gate, self.forget_gate))
        yield weights
        for _ in range(self.config.steps):
            values, gradients = value_and_grad(losses, weights, exact=exact)
            gradient = to_vector(gradients)
            loss_features = gradient_features(values[:, None].expand_as(gradient))
            features = (*gradient_features(gradient), *loss_features, cell)
            input_gate = self.input_gate(torch.stack((*features, input_gate), dim=-1))[..., 0].sigmoid()
            forget_gate = self.forget_gate(torch.stack((*features, forget_gate), dim=-1))[..., 0].sigmoid()
            cell = forget_gate * cell - input_gate * gradient
            weights = from_vector(cell, weights)
            yield weights


def build(config: Config, model: nn.Module) -> MetaLstm:
    """Build the learner for a model."""
    return MetaLstm(config, model)
