"""The LSTM as the optimiser: what to do with a gradient is learned.

    θ_{t+1} = θ_t + Δ_t;   Δ_t = m(θ_t, g_t) = b_t Δ_{t-1} - a_t g_t
    a_t = a exp(u · h_t);   b_t = σ(b + v · h_t);   h_t = LSTM(seen(g_t), h_{t-1})

Andrychowicz et al. (2016), "Learning to learn by gradient descent by gradient descent", sections 2 and 2.1: one small
LSTM for all coordinates of all weights, each with a state of its own, trained through its steps by the loss after them.
What it sees of a gradient is its size on a logarithmic scale and its sign (their appendix A), so that coordinates of
all sizes look alike; with ``sees_weights`` θ too. With ``sees_task`` every coordinate also sees what concerns its task
as a whole: the length of the gradient, its angle with the last step, how much that step has changed it, which is the
curvature (Barzilai & Borwein 1988, "Two-Point Step Size Gradient Methods"), and how far it has come. Wichrowska et al.
(2017) too let coordinates know of each other. After the first step the rate is then REACH over the largest curvature
met so far, so that a step is neither too long nor too short, whatever the task; and what is seen is taken for a
constant by every meta-gradient, which would else grow beyond all bounds.

There the step is a linear function of h_t. Here h_t says how fast to go and how much of the last step to keep (as the
gates of Wichrowska et al. 2017 do): a step is as large as gradients are, whatever their size, where a sum of logarithms
would have to learn to count. u and v begin at zero: an untrained optimiser is gradient descent with momentum.

The meta-gradient takes g_t for a constant (first order), as theirs does, and goes back no further than ``truncate``
steps. All coordinates of all weights of all tasks are one batch of the LSTM: a step is one call.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lstmcli.config import LstmOptimizer as Config
from lstmcli.meta.inner import Weights, moving, packed, unpacked, value_and_grad
from lstmcli.meta.start import Stepping
from lstmcli.types import Batch, Loss

SPAN = 10.0  # smaller gradients than e^-SPAN are seen as they are
OWN, TASK = 2, 5  # numbers that tell of a coordinate's gradient, and of the task's
TINY = 1e-20  # kept from logarithms and denominators
FLAT = 1e-4  # curvatures below are taken for this, and as far above one
COLUMNS = 8192  # coordinates that the LSTM reads at once
REACH = 1.5  # twice as much, and momentum 0, would overshoot as far as it came from


class State(NamedTuple):
    """hidden, cell: ``[layer, hidden, coordinate]``; moved, gradients: the last of each; curvature: the largest so
    far, ``[task, 1]``; taken: steps so far."""

    hidden: Tensor
    cell: Tensor
    moved: Tensor
    gradients: Tensor
    curvature: Tensor
    taken: int

    def cut(self) -> "State":
        """The same, through which no derivative goes back."""
        hidden, cell, moved, gradients, curvature = (part.detach() for part in self[:5])
        return State(hidden, cell, moved, gradients, curvature, self.taken)


class ColumnLSTM(nn.LSTM):
    """``torch.nn.LSTM`` for one step of very many sequences, each a column: 20 cells are too few to fill a fused
    kernel's vectors, thousands of coordinates are not. Some at a time, so that their gates stay in the cache."""

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """inputs: ``[seen, coordinate]``; state: hidden and cell, ``[layer, hidden, coordinate]`` each, none: zero.

        Returns the state after the step.
        """
        if state is None:
            zeros = inputs.new_zeros(self.num_layers, self.hidden_size, inputs.shape[1])
            state = (zeros, zeros)
        parts = zip(*(torch.split(whole, COLUMNS, dim=-1) for whole in (inputs, *state)), strict=True)
        hidden, cell = zip(*(self._some(*part) for part in parts), strict=True)
        return torch.cat(hidden, dim=-1), torch.cat(cell, dim=-1)

    def _some(self, inputs: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        ends = []
        for (w_ih, w_hh, b_ih, b_hh), below, before in zip(self.all_weights, hidden, cell, strict=True):
            gates = torch.addmm((b_ih + b_hh)[:, None], w_ih, inputs).addmm_(w_hh, below)
            i, f, g, o = gates.chunk(4)
            after = f.sigmoid() * before + i.sigmoid() * _tanh(g)
            inputs = o.sigmoid() * _tanh(after)
            ends.append((inputs, after))
        hiddens, cells = zip(*ends, strict=True)
        return torch.stack(hiddens), torch.stack(cells)


class LstmOptimizer(Stepping):
    """Learns to make steps of gradients."""

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__(
            moving(model, config.adapted_parameters), model, start=config.head_init, share=config.multi_step_loss_weight
        )
        self.config = config
        like = next(model.parameters())
        self.rate = nn.Parameter(like.new_tensor(math.log(config.lr)))  # log a
        self.over_steps = ColumnLSTM(OWN + config.sees_weights + TASK * config.sees_task, config.hidden, config.layers)
        self.kept = nn.Parameter(like.new_tensor(math.log(config.momentum / (1 - config.momentum))))  # b
        self.reach = nn.Parameter(like.new_tensor(math.log(REACH))) if config.sees_task else None
        self.to_step = nn.Linear(config.hidden, 2, bias=False)  # u and v
        nn.init.zeros_(self.to_step.weight)
        self.to(like)

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        losses = self.losses(model, support, loss)
        exact = self.config.order == "second" and torch.is_grad_enabled()
        weights = self.start(model, support)
        state: State | None = None
        yield weights
        for step in range(self.config.steps):
            if state is not None and step % self.config.unroll == 0:
                weights = {name: value.detach().requires_grad_(exact) for name, value in weights.items()}
                state = state.cut()
            _, gradients = value_and_grad(losses, weights, exact=exact)
            rows = packed(weights)
            state = self.step(packed(gradients), rows, state)
            weights = unpacked(rows + state.moved, weights)
            yield weights

    def step(self, gradients: Tensor, weights: Tensor, state: State | None) -> State:
        """The state after a step, whose ``moved`` is to be added to the weights. All are ``[task, coordinate]``."""
        last, taken = (torch.zeros_like(gradients), 0) if state is None else (state.moved, state.taken)
        curvature = gradients.new_zeros(len(gradients), 1) if state is None else state.curvature
        rate: Tensor = self.rate
        seen = [*seen_of(gradients)]
        if self.config.sees_weights:
            seen.append(weights)
        if self.reach is not None:
            whole = seen_of_task(gradients, last, gradients if state is None else state.gradients).detach()
            curvature = torch.maximum(curvature, (whole[:, -1:] * SPAN).exp() if taken else curvature)
            rate = self.reach - curvature.log() if taken else rate
            seen = [part.detach() for part in seen]
            seen += [part.expand_as(gradients) for part in whole[:, None].unbind(dim=-1)]
            seen.append(gradients.new_full(gradients.shape, taken / max(1, self.config.steps)))
        inputs = torch.stack(seen).flatten(1)  # [seen, coordinate]
        hidden, cell = self.over_steps(inputs, None if state is None else (state.hidden, state.cell))
        faster, longer = (self.to_step.weight @ hidden[-1]).view(2, *gradients.shape)
        moved = (self.kept + longer).sigmoid() * last - (rate + faster).exp() * gradients
        return State(hidden, cell, moved, gradients, curvature, taken + 1)


def _tanh(values: Tensor) -> Tensor:
    """tanh x = 2 σ(2 x) - 1: on a CPU a third of the time."""
    return (2 * values).sigmoid() * 2 - 1


def seen_of(values: Tensor) -> tuple[Tensor, Tensor]:
    """Size on a logarithmic scale, and sign: log |g| / p and sign g; below e^-p: -1 and e^p g."""
    large = values.abs() >= math.exp(-SPAN)
    size = values.abs().clamp_min(math.exp(-SPAN)).log() / SPAN
    return size, torch.where(large, values.sign(), math.exp(SPAN) * values)


def seen_of_task(gradients: Tensor, moved: Tensor, before: Tensor) -> Tensor:
    """Of all coordinates of a task together, ``[..., TASK - 1]``; each ``[..., coordinate]``.

    before: the gradients where the step ``moved`` began; y: their change. Seen are the length of g, its angle with the
    step Δ, and the curvatures y·Δ / Δ·Δ and |y| / |Δ| along it, all but the angle as logarithms over SPAN.
    """

    def dot(one: Tensor, other: Tensor) -> Tensor:
        return (one * other).sum(dim=-1)

    change = gradients - before
    length, way = dot(gradients, gradients) + TINY, dot(moved, moved) + TINY
    along = (dot(change, moved) / way).clamp(FLAT, 1 / FLAT)  # it may be negative, where the loss is not convex
    steepest = (dot(change, change) / way).clamp(FLAT**2, FLAT**-2)
    angle = dot(gradients, moved) / (length * way).sqrt()
    return torch.stack((length.log() / 2 / SPAN, angle, along.log() / SPAN, steepest.log() / 2 / SPAN), dim=-1)


def build(config: Config, model: nn.Module) -> LstmOptimizer:
    """A learner for models of this kind."""
    return LstmOptimizer(config, model)
