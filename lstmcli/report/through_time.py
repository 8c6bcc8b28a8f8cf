"""Backpropagation through time at work: how far the gradient of the loss reaches back from the end of a text.

    loss at h_T:   g = ∂L/∂h_T,  what pooling and head send into the last state of the forward LSTM
    through time:  δ_t = (∂h_T/∂h_t)ᵀ g,  |δ_t| / |δ_T| over the distance T - t

In a plain RNN δ shrinks by the recurrent weights and the slope of tanh at every step: it vanishes, or it explodes
(Bengio, Simard & Frasconi 1994, "Learning Long-Term Dependencies with Gradient Descent is Difficult"). In an LSTM it
also flows along the cell, where a forget gate near 1 lets it pass. A model that pools over time sends a gradient into
each h_t besides: ``whole`` is the norm of the total ∂L/∂h_t.

The recurrence is unrolled with torch's cells in float64, since the fused kernels do not return ∂L/∂h_t.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lstmcli import registry
from lstmcli.contracts import ModelHooks, hooks
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store
from lstmcli.inference.assemble import Parts
from lstmcli.types import Batch

TEXTS = 32
REACH = 40  # tokens from the end
LONGEST = 512  # tokens of a text
LEAST = 1e-30

State = tuple[Tensor, Tensor]
Cell = Callable[[Tensor, State], State]  # inputs [batch, inputs], hidden and cell [batch, hidden] each


@dataclass(frozen=True)
class ThroughTime:
    """Gradient norms relative to that at the last state, ``[distance]`` each: geometric means over ``texts`` texts.

    trained: of this model; whole: of its whole loss, relative to the mean over distances; forget_0, rnn: of an
    untrained LSTM with forget bias 0 and of an untrained tanh RNN, as torch initialises it, both of the same size and
    over the same vectors.
    """

    texts: int
    hidden: int
    trained: list[float]
    whole: list[float]
    forget_0: list[float]
    rnn: list[float]


def measured(parts: Parts, store: Store, *, seed: int = 0) -> ThroughTime | None:
    """Measure a sample of the texts; None where the model has no LSTM, or the texts are too short.

    seed: of the sample, and of the untrained networks.
    """
    name = hooks(ModelHooks, registry.model(parts.config.model.name)).READER
    lengths = store.lengths
    fits = np.flatnonzero(lengths <= LONGEST)
    if name is None or not len(fits):
        return None
    reach = min(REACH, int(np.sort(lengths[fits])[3 * len(fits) // 4]) - 1)
    long = fits[lengths[fits] > reach]
    if reach < 2:
        return None
    chosen = np.sort(np.random.default_rng(seed).permutation(long)[:TEXTS])
    batch = batching.collate(store, chosen).to(parts.runtime.device)
    lstm: Any = parts.model.get_submodule(name)
    inputs, direct = _at(parts, lstm, batch)
    last = (batch.lengths - 1).cpu()
    final = torch.zeros_like(direct)
    rows = torch.arange(len(last))
    final[rows, last] = direct[rows, last]
    if not bool((final[rows, last].norm(dim=-1) > 0).all()):  # pooling takes nothing from the last state
        return None
    hidden = lstm.hidden
    top = f"l{lstm.layers - 1}"
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        forget_0 = type(lstm)(inputs.shape[-1], hidden, forget_bias=0.0)
        rnn = nn.RNN(inputs.shape[-1], hidden)
    trained = _lstm(lstm, top)

    def curve(cell: Cell, seeds: Tensor, *, to_mean: bool = False) -> list[float]:
        norms = flow(cell, inputs, seeds).norm(dim=-1).clamp_min(LEAST)
        backwards = norms[rows[:, None], last[:, None] - torch.arange(reach + 1)]  # [text, distance]
        logs = backwards.log()
        base = logs.mean(dim=1, keepdim=True) if to_mean else logs[:, :1]
        return [float(value) for value in (logs - base).mean(dim=0).exp()]

    return ThroughTime(
        texts=len(chosen),
        hidden=hidden,
        trained=curve(trained, final),
        whole=curve(trained, direct, to_mean=True),
        forget_0=curve(_lstm(forget_0, "l0"), final),
        rnn=curve(_rnn(rnn), final),
    )


def flow(cell: Cell, inputs: Tensor, seeds: Tensor) -> Tensor:
    """Return Σ_s (∂h_s/∂h_t)ᵀ seeds_s for each t, ``[batch, time, hidden]``.

    ∂h_s/∂h_t is the effect of h_t on later states, with the cell at t held: 1 where s = t, 0 where s < t.

    Args:
        cell: One step of the recurrence.
        inputs: ``[batch, time, inputs]``.
        seeds: Gradients that enter each hidden state directly, ``[batch, time, hidden]``.
    """
    zeros = inputs.new_zeros(len(inputs), seeds.shape[-1])
    state, states = (zeros, zeros), []
    with torch.enable_grad():
        for vectors in inputs.unbind(1):
            hidden, memory = cell(vectors, state)
            state = (hidden.requires_grad_(), memory)
            states.append(state[0])
        total = (torch.stack(states, dim=1) * seeds).sum()
        return torch.stack(torch.autograd.grad(total, states), dim=1)


def _at(parts: Parts, lstm: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the inputs of the top layer ``[batch, time, inputs]``, and the gradient of the loss that enters each state
    of its forward direction directly, ``[batch, time, hidden]``; both on the CPU in float64."""
    seen: dict[str, Tensor] = {}

    def keep(_: nn.Module, arguments: tuple[Tensor, ...], output: tuple[Tensor, Any]) -> None:
        seen["inputs"], seen["hidden"] = arguments[0], output[0]

    handle = lstm.register_forward_hook(keep)
    try:
        # cuDNN's LSTM has a backward pass in training mode only, which would apply dropout.
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            loss = parts.task.loss(parts.model(batch), batch).value
            (direct,) = torch.autograd.grad(loss, [seen["hidden"]])
    finally:
        handle.remove()
    inputs = _below_top(lstm, seen["inputs"].detach(), batch.lengths)
    size: Any = lstm.hidden
    direct = direct[:, :, :size] * batch.mask[:, :, None]  # pooling also adds up the zeros at padding
    return inputs.cpu().double(), direct.cpu().double()


def _below_top(lstm: Any, inputs: Tensor, lengths: Tensor) -> Tensor:
    """Return what the top layer reads."""
    if lstm.layers == 1:
        return inputs
    lower = type(lstm)(inputs.shape[-1], lstm.hidden, layers=lstm.layers - 1, bidirectional=len(lstm.suffixes) == 2)
    weights = {name: value for name, value in lstm.state_dict().items() if name in lower.state_dict()}
    lower.to(inputs).eval().load_state_dict(weights)
    with torch.no_grad():
        outputs: Tensor = lower(inputs, lengths)[0]
    return outputs


def _lstm(lstm: nn.Module, layer: str) -> Cell:
    """Return a step of the forward direction of a layer of an LSTM."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [lstm.get_parameter(f"{kind}_{layer}").detach().cpu().double() for kind in kinds]
    return lambda inputs, state: torch.lstm_cell(inputs, state, *weights)


def _rnn(rnn: nn.RNN) -> Cell:
    """Return a step of an RNN; its cell is unused."""
    weights = [value.detach().double() for value in rnn.parameters()]
    return lambda inputs, state: (torch.rnn_tanh_cell(inputs, state[0], *weights), state[1])
