"""A learned optimiser: an LSTM computes the update from the gradient.

    θ_{t+1} = θ_t + Δ_t;   Δ_t = b_t Δ_{t-1} - a_t g_t
    a_t = a exp(u · h_t);   b_t = σ(b + v · h_t);   h_t = LSTM(features(g_t), h_{t-1})

Andrychowicz et al. (2016), "Learning to learn by gradient descent by gradient descent", sections 2 and 2.1: one small
LSTM, shared by all coordinates of all parameters, each coordinate with its own state, trained by the loss after its
steps. Its inputs are the gradient's log magnitude and sign (their appendix A), which have the same range for gradients
of any size.

``sees_weights`` adds θ to the inputs. ``sees_task`` adds features of the whole task: the norm of the gradient, its
cosine with the last update, the curvature along it (Barzilai & Borwein 1988, "Two-Point Step Size Gradient Methods")
and the fraction of steps done; Wichrowska et al. (2017) also share features among coordinates. From the second step on
the rate a is then REACH over the largest curvature so far, which suits tasks of any scale. The inputs count as
constants in the meta-gradient, which would else explode.

In the paper the update is a linear function of h_t. Here h_t scales the learning rate and the momentum (as in
Wichrowska et al. 2017), so the update has the scale of the gradient. u and v start at zero: an untrained optimiser is
gradient descent with momentum.

The meta-gradient treats g_t as a constant (``order: first``), as in the paper, and is truncated after ``unroll`` steps.
All coordinates of all parameters of all tasks are one batch of the LSTM: a step is one call.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lstmcli.config import LstmOptimizer as Config
from lstmcli.meta.inner import Weights, adapted_names, from_vector, to_vector, value_and_grad
from lstmcli.meta.start import Stepping
from lstmcli.types import Batch, Loss

SPAN = 10.0  # p in the paper: gradients below e^-SPAN get linear instead of logarithmic features
OWN, TASK = 2, 5  # features of a coordinate's gradient, and of the task
TINY = 1e-20  # added to arguments of logarithms and to denominators
FLAT = 1e-4  # curvatures are clamped to [FLAT, 1 / FLAT]
COLUMNS = 8192  # coordinates that the LSTM processes at once
REACH = 1.5  # initial rate times curvature; at 2 without momentum gradient descent no longer converges


class State(NamedTuple):
    """The state of the optimiser after a step."""

    hidden: Tensor  # [layer, hidden, coordinate], coordinates of all tasks
    cell: Tensor  # [layer, hidden, coordinate]
    update: Tensor  # Δ, [task, coordinate]
    gradients: Tensor  # [task, coordinate]
    curvature: Tensor  # the largest so far, [task, 1]
    steps: int  # so far

    def detach(self) -> "State":
        """Cut the state off its graph."""
        hidden, cell, update, gradients, curvature = (part.detach() for part in self[:5])
        return State(hidden, cell, update, gradients, curvature, self.steps)


class ColumnLSTM(nn.LSTM):
    """``torch.nn.LSTM`` for one step of very many sequences, one per column.

    20 cells are too few to fill a fused kernel's vector registers; thousands of coordinates are not. ``COLUMNS`` at a
    time, so that their gates stay in the CPU cache.
    """

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Compute the state after the step.

        inputs: ``[feature, coordinate]``; state: hidden and cell, ``[layer, hidden, coordinate]`` each; None: zero.
        """
        if state is None:
            zeros = inputs.new_zeros(self.num_layers, self.hidden_size, inputs.shape[1])
            state = (zeros, zeros)
        parts = zip(*(torch.split(whole, COLUMNS, dim=-1) for whole in (inputs, *state)), strict=True)
        hidden, cell = zip(*(self._columns(*part) for part in parts), strict=True)
        return torch.cat(hidden, dim=-1), torch.cat(cell, dim=-1)

    def _columns(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        states = []
        for (w_ih, w_hh, b_ih, b_hh), last_hidden, last_cell in zip(self.all_weights, hidden, cell, strict=True):
            gates = torch.addmm((b_ih + b_hh)[:, None], w_ih, inputs).addmm_(w_hh, last_hidden)
            i, f, g, o = gates.chunk(4)
            new_cell = f.sigmoid() * last_cell + i.sigmoid() * _tanh(g)
            inputs = o.sigmoid() * _tanh(new_cell)
            states.append((inputs, new_cell))
        hiddens, cells = zip(*states, strict=True)
        return torch.stack(hiddens), torch.stack(cells)


class LstmOptimizer(Stepping):
    """The learned optimiser. Its parameters have the names that checkpoints store."""

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__(
            adapted_names(model, config.adapted_parameters),
            model,
            head_init=config.head_init,
            multi_step_loss_weight=config.multi_step_loss_weight,
        )
        self.config = config
        self.exact_gradient = not config.sees_task  # the features of the task count as constants
        like = next(model.parameters())
        self.rate = nn.Parameter(like.new_tensor(math.log(config.lr)))  # log a
        features = OWN + int(config.sees_weights) + (TASK if config.sees_task else 0)
        self.over_steps = ColumnLSTM(features, config.hidden, config.layers)
        self.kept = nn.Parameter(like.new_tensor(math.log(config.momentum / (1 - config.momentum))))  # b
        self.reach = nn.Parameter(like.new_tensor(math.log(REACH))) if config.sees_task else None  # log of it
        self.to_step = nn.Linear(config.hidden, 2, bias=False)  # u and v
        nn.init.zeros_(self.to_step.weight)
        self.to(like)

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        losses = self.losses(model, support, loss)
        exact = self.config.order == "second" and torch.is_grad_enabled()
        weights = self.initial_weights(model, support)
        state: State | None = None
        yield weights
        for step in range(self.config.steps):
            if state is not None and step % self.config.unroll == 0:
                weights = {name: value.detach().requires_grad_(exact) for name, value in weights.items()}
                state = state.detach()
            _, gradients = value_and_grad(losses, weights, exact=exact)
            vector = to_vector(weights)
            state = self.step(to_vector(gradients), vector, state)
            weights = from_vector(vector + state.update, weights)
            yield weights

    def step(self, gradients: Tensor, weights: Tensor, state: State | None) -> State:
        """Compute the state after a step, whose ``update`` is to be added to the weights.

        gradients, weights: ``[task, coordinate]``.
        """
        last, steps = (torch.zeros_like(gradients), 0) if state is None else (state.update, state.steps)
        curvature = gradients.new_zeros(len(gradients), 1) if state is None else state.curvature
        log_rate: Tensor = self.rate
        features = [*gradient_features(gradients)]
        if self.config.sees_weights:
            features.append(weights)
        if self.reach is not None:
            of_task = task_features(gradients, last, gradients if state is None else state.gradients).detach()
            if steps:
                curvature = torch.maximum(curvature, (of_task[:, -1:] * SPAN).exp())
                log_rate = self.reach - curvature.log()
            features = [part.detach() for part in features]
            features += [part.expand_as(gradients) for part in of_task[:, None].unbind(dim=-1)]
            features.append(gradients.new_full(gradients.shape, steps / max(1, self.config.steps)))
        inputs = torch.stack(features).flatten(1)  # [feature, coordinate]
        hidden, cell = self.over_steps(inputs, None if state is None else (state.hidden, state.cell))
        rate_change, momentum_change = (self.to_step.weight @ hidden[-1]).view(2, *gradients.shape)
        update = (self.kept + momentum_change).sigmoid() * last - (log_rate + rate_change).exp() * gradients
        return State(hidden, cell, update, gradients, curvature, steps + 1)


def _tanh(values: Tensor) -> Tensor:
    """Compute tanh x = 2 σ(2 x) - 1, in a third of the time of ``tanh`` on a CPU."""
    return (2 * values).sigmoid() * 2 - 1


def gradient_features(values: Tensor) -> tuple[Tensor, Tensor]:
    """Compute log magnitude and sign of each g: log |g| / p and sign g; below e^-p: -1 and e^p g."""
    large = values.abs() >= math.exp(-SPAN)
    size = values.abs().clamp_min(math.exp(-SPAN)).log() / SPAN
    return size, torch.where(large, values.sign(), math.exp(SPAN) * values)


def task_features(gradients: Tensor, update: Tensor, before: Tensor) -> Tensor:
    """Compute features of all coordinates of a task together, ``[..., TASK - 1]``.

    They are the norm of g, its cosine with the last update Δ, and the curvatures y·Δ / Δ·Δ and |y| / |Δ|, where y is
    the change of the gradient; all but the cosine as logarithms over SPAN.

    Args:
        gradients: g, ``[..., coordinate]``.
        update: Δ, ``[..., coordinate]``.
        before: The gradients before the update, ``[..., coordinate]``.
    """

    def dot(left: Tensor, right: Tensor) -> Tensor:
        return (left * right).sum(dim=-1)

    change = gradients - before
    squared_gradient, squared_update = dot(gradients, gradients) + TINY, dot(update, update) + TINY
    # y·Δ may be negative, where the loss is not convex.
    along = (dot(change, update) / squared_update).clamp(FLAT, 1 / FLAT)
    steepest = (dot(change, change) / squared_update).clamp(FLAT**2, FLAT**-2)
    cosine = dot(gradients, update) / (squared_gradient * squared_update).sqrt()
    features = (squared_gradient.log() / 2 / SPAN, cosine, along.log() / SPAN, steepest.log() / 2 / SPAN)
    return torch.stack(features, dim=-1)


def build(config: Config, model: nn.Module) -> LstmOptimizer:
    """Build the learner for a model."""
    return LstmOptimizer(config, model)
