"""The LSTM as the optimiser: what to do with a gradient is learned.

    θ_{t+1} = θ_t + Δ_t;   Δ_t = m(θ_t, g_t) = b_t Δ_{t-1} - a_t g_t
    a_t = a exp(u · h_t);   b_t = σ(b + v · h_t);   h_t = LSTM(seen(g_t), h_{t-1})

Andrychowicz et al. (2016), "Learning to learn by gradient descent by gradient descent", sections 2 and 2.1: one small
LSTM for all coordinates of all weights, each with a state of its own, trained through its steps by the loss after them.
What it sees of a gradient is its size on a logarithmic scale and its sign (their appendix A), so that coordinates of
all sizes look alike; with ``sees_weights`` θ too.

There the step is a linear function of h_t. Here h_t says how fast to go and how much of the last step to keep (as the
gates of Wichrowska et al. 2017 do): a step is as large as gradients are, whatever their size, where a sum of logarithms
would have to learn to count. u and v begin at zero: an untrained optimiser is gradient descent with momentum.

The meta-gradient takes g_t for a constant (first order), as theirs does, and goes back no further than ``truncate``
steps. All coordinates of all weights of all tasks are one batch of the LSTM: a step is one call.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lstmcli.config import LstmOptimizer as Config
from lstmcli.meta.inner import Weights, moving, packed, sloping, unpacked
from lstmcli.meta.start import Stepping
from lstmcli.types import Batch, Loss

State = tuple[Tensor, Tensor, Tensor]  # hidden and cell [layer, coordinate, hidden]; the last step [task, coordinate]
SPAN = 10.0  # smaller gradients than e^-SPAN are seen as they are


class LstmOptimizer(Stepping):
    """Learns to make steps of gradients."""

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__(moving(model, config.moves), model, start=config.start, share=config.multi_step)
        self.config = config
        like = next(model.parameters())
        self.rate = nn.Parameter(like.new_tensor(math.log(config.lr)))  # log a
        self.over_steps = nn.LSTM(3 if config.sees_weights else 2, config.hidden, config.layers)
        self.kept = nn.Parameter(like.new_tensor(math.log(config.momentum / (1 - config.momentum))))  # b
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
            if state is not None and step % self.config.truncate == 0:
                weights = {name: value.detach().requires_grad_(exact) for name, value in weights.items()}
                state = (state[0].detach(), state[1].detach(), state[2].detach())
            _, gradients = sloping(losses, weights, exact=exact)
            rows = packed(weights)
            state = self.step(packed(gradients), rows, state)
            weights = unpacked(rows + state[-1], weights)
            yield weights

    def step(self, gradients: Tensor, weights: Tensor, state: State | None) -> State:
        """The state of each coordinate, last in it what to add to the weights. gradients, weights: of any one shape."""
        seen = [seen_of(gradients)]
        if self.config.sees_weights:
            seen.append(weights[..., None])
        *before, last = state or (torch.zeros_like(gradients),)
        inputs = torch.cat(seen, dim=-1).flatten(0, -2)[None]  # [1, coordinate, seen]
        output, (hidden, cell) = self.over_steps(inputs, tuple(before) or None)
        faster, longer = self.to_step(output).view(*gradients.shape, 2).unbind(dim=-1)
        moved = (self.kept + longer).sigmoid() * last - (self.rate + faster).exp() * gradients
        return hidden, cell, moved


def seen_of(values: Tensor) -> Tensor:
    """Size on a logarithmic scale, and sign, ``[..., 2]``: (log |g| / p, sign g); below e^-p: (-1, e^p g)."""
    large = values.abs() >= math.exp(-SPAN)
    size = values.abs().clamp_min(math.exp(-SPAN)).log() / SPAN
    return torch.stack((size, torch.where(large, values.sign(), math.exp(SPAN) * values)), dim=-1)


def build(config: Config, model: nn.Module) -> LstmOptimizer:
    """A learner for models of this kind."""
    return LstmOptimizer(config, model)
