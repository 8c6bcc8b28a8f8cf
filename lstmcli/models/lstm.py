"""The long short-term memory (LSTM) with forget gate.

    i_t = σ(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)      input gate
    f_t = σ(W_if x_t + b_if + W_hf h_{t-1} + b_hf)      forget gate
    g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)   candidate
    o_t = σ(W_io x_t + b_io + W_ho h_{t-1} + b_ho)      output gate
    c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t                     cell
    h_t = o_t ⊙ tanh(c_t)                               hidden

Hochreiter & Schmidhuber (1997), "Long Short-Term Memory"; forget gate: Gers, Schmidhuber & Cummins (2000). No
peepholes. Along the cell, ∂c_t/∂c_{t-1} = f_t plus what passes through the gates: with f near 1 the error flows back
through time undiminished, hence the positive forget bias at the start (Jozefowicz et al. 2015).

The gates are stacked in the order i, f, g, o and the parameters named as in ``torch.nn.LSTM``, so weights interchange.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.models.dropout import dropout
from lstmcli.models.parallel import at_once
from lstmcli.models.recurrence import recurrence, reordered

State = tuple[Tensor, Tensor]  # hidden and cell, each [layers * directions, batch, hidden]


def step(inputs: Tensor, state: State, weights: list[Tensor]) -> State:
    """Compute one time step by the equations above: the reference that tests hold the fused kernels against.

    inputs: ``[batch, inputs]``; state: hidden and cell ``[batch, hidden]``; weights: w_ih ``[4 * hidden, inputs]``,
    w_hh ``[4 * hidden, hidden]``, b_ih, b_hh ``[4 * hidden]``.
    """
    hidden, cell = state
    w_ih, w_hh, b_ih, b_hh = weights
    i, f, g, o = (inputs @ w_ih.T + b_ih + hidden @ w_hh.T + b_hh).chunk(4, dim=-1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def reverse(sequence: Tensor, lengths: Tensor) -> Tensor:
    """Reverse each row of ``[batch, time, feature]`` within its own length; padding stays in place."""
    batch, time = sequence.shape[:2]
    position = torch.arange(time, device=sequence.device)  # [time]
    backward = lengths[:, None] - 1 - position
    order = torch.where(backward >= 0, backward, position)  # [batch, time]
    rows = order + time * torch.arange(batch, device=sequence.device)[:, None]
    return _Reverse.apply(sequence.flatten(0, 1), rows.flatten()).view_as(sequence)  # type: ignore[no-any-return, no-untyped-call]


class _Reverse(torch.autograd.Function):
    """Rows in an order that is its own inverse: the backward pass gathers too, where autograd would scatter."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, order: Tensor) -> Tensor:
        return rows.index_select(0, order)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], _: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.index_select(0, *ctx.saved_tensors), None


class LSTM(nn.Module):
    """One or more layers, in one or both directions, over padded sequences of different lengths.

    Equals ``torch.nn.LSTM`` over packed sequences, at the speed of padded ones: the backward direction reads each
    sequence reversed by its own length. Each layer and direction is one call of a fused kernel (oneDNN, cuDNN), those
    of a layer in parallel; dropout is drawn between the layers, so that the same seed gives the same run. Under
    ``torch.func.vmap``, over weights or texts of many tasks, ``recurrence`` takes the kernel's place.

    Args:
        dropout: Probability on the inputs of every layer but the first.
        weight_drop: Probability of recurrent weights, for a whole sequence (Merity et al. 2018, section 2).
        forget_bias: Initial bias of the forget gates.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        weight_drop: float = 0.0,
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.layers = layers
        self.suffixes = ("", "_reverse") if bidirectional else ("",)
        self.dropout = dropout
        self.weight_drop = weight_drop
        for layer in range(layers):
            size = inputs if layer == 0 else hidden * len(self.suffixes)
            for suffix in self.suffixes:
                for name, shape in {
                    "weight_ih": (4 * hidden, size),
                    "weight_hh": (4 * hidden, hidden),
                    "bias_ih": (4 * hidden,),
                    "bias_hh": (4 * hidden,),
                }.items():
                    self.register_parameter(f"{name}_l{layer}{suffix}", nn.Parameter(torch.empty(shape)))
        self._reset(forget_bias)

    def _reset(self, forget_bias: float) -> None:
        """Draw Glorot input weights and orthogonal recurrent weights per gate; zero the biases but the forget
        gate's."""
        for name, parameter in self.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                for gate in parameter.data.chunk(4):
                    nn.init.orthogonal_(gate)
            else:
                nn.init.zeros_(parameter)
                if name.startswith("bias_ih"):
                    parameter.data[self.hidden : 2 * self.hidden] = forget_bias

    def weights(self, layer: int, suffix: str) -> list[Tensor]:
        """Return w_ih, w_hh, b_ih, b_hh of one layer and direction."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, f"{name}_l{layer}{suffix}") for name in names]

    def forward(
        self, inputs: Tensor, lengths: Tensor, state: State | None = None, *, carry: bool = False
    ) -> tuple[Tensor, State | None]:
        """Run the LSTM over the sequences.

        Args:
            inputs: ``[batch, time, inputs]``.
            lengths: ``[batch]``, at least 1.
            state: The initial state; None: zero.
            carry: Return the last state too.

        Returns:
            The hidden states ``[batch, time, directions * hidden]``, zero at padding, and with ``carry`` the state
            after each sequence's last token (in the backward direction: after its first).
        """
        mask = torch.arange(inputs.shape[1], device=inputs.device) < lengths[:, None]  # [batch, time]
        last: list[State] = []
        for layer in range(self.layers):
            if layer > 0:
                inputs = dropout(inputs, self.dropout, self.training)
            if _is_vmapped(inputs, *self.weights(layer, "")):
                inputs, ends = self._read_vmapped(inputs, lengths, state, layer)
                inputs = inputs * mask[:, :, None]
                last.extend(ends)
                continue
            directions = []
            for index, suffix in enumerate(self.suffixes, len(last)):
                begin = None if state is None else (state[0][index, None], state[1][index, None])
                directions.append(self.direction(reverse(inputs, lengths) if suffix else inputs, begin, layer, suffix))
            outputs = []
            read = at_once(partial(_read, lengths, carry=carry, training=self.training), directions)
            for suffix, (output, hidden, cell) in zip(self.suffixes, read, strict=True):
                outputs.append(reverse(output, lengths) if suffix else output)
                last.append((hidden, cell))
            inputs = torch.cat(outputs, dim=-1) * mask[:, :, None]
        if not carry:
            return inputs, None
        return inputs, (torch.cat([hidden for hidden, _ in last]), torch.cat([cell for _, cell in last]))

    def direction(self, inputs: Tensor, state: State | None, layer: int, suffix: str) -> tuple[Tensor, ...]:
        """Return the arguments of the fused kernel for one layer and direction: inputs, hidden and cell, weights."""
        zeros = inputs.new_zeros(1, len(inputs), self.hidden)
        w_ih, w_hh, b_ih, b_hh = self.weights(layer, suffix)
        w_hh = F.dropout(w_hh, self.weight_drop, self.training)
        return inputs, *((zeros, zeros) if state is None else state), w_ih, w_hh, b_ih, b_hh

    def _read_vmapped(
        self, inputs: Tensor, lengths: Tensor, state: State | None, layer: int
    ) -> tuple[Tensor, list[State]]:
        """Run one layer of many tasks, both directions in one call; no fused kernel can."""
        directions, batch = len(self.suffixes), len(inputs)
        ordered = [reverse(inputs, lengths) if suffix else inputs for suffix in self.suffixes]
        sequence = torch.stack(ordered).transpose(1, 2)  # [direction, time, batch, inputs]
        w_ih, w_hh, b_ih, b_hh = (
            torch.stack(parts) for parts in zip(*(self.weights(layer, suffix) for suffix in self.suffixes), strict=True)
        )
        bias = reordered((b_ih + b_hh)[..., None]).mT  # [direction, 1, 4 * hidden]
        projections = torch.baddbmm(bias, sequence.flatten(1, 2), reordered(w_ih).mT)
        projections = projections.view(directions, -1, batch, 4 * self.hidden)
        w_hh = F.dropout(reordered(w_hh), self.weight_drop, self.training)
        if state is None:
            zeros = inputs.new_zeros(directions, batch, self.hidden)
            state = (zeros, zeros)
        else:
            here = slice(layer * directions, (layer + 1) * directions)
            state = (state[0][here], state[1][here])
        hidden, cell = recurrence(projections, w_hh, *state)  # each [direction, time, batch, hidden]
        at = (lengths - 1)[None, None, :, None].expand(directions, 1, batch, self.hidden)
        ends = zip(hidden.gather(1, at).unbind(), cell.gather(1, at).unbind(), strict=True)  # each [1, batch, hidden]
        outputs = hidden.transpose(1, 2).unbind()
        ordered = [reverse(output, lengths) if suffix else output
                   for output, suffix in zip(outputs, self.suffixes, strict=True)]  # fmt: skip
        return torch.cat(ordered, dim=-1), list(ends)


def read_each(
    lstms: Sequence[LSTM], inputs: Sequence[Tensor], lengths: Tensor, states: Sequence[State | None]
) -> list[tuple[Tensor, State | None]]:
    """Run several LSTMs of one layer and direction in parallel, each over its own inputs.

    states: the initial states; None: zero. If any is given, all last states are returned.
    """
    carry = any(state is not None for state in states)
    calls = list(zip(lstms, inputs, states, strict=True))
    if any(_is_vmapped(sequence, *lstm.weights(0, "")) for lstm, sequence, _ in calls):
        return [lstm(sequence, lengths, state, carry=carry) for lstm, sequence, state in calls]
    mask = (torch.arange(inputs[0].shape[1], device=lengths.device) < lengths[:, None])[:, :, None]
    directions = [lstm.direction(sequence, state, 0, "") for lstm, sequence, state in calls]
    read = at_once(partial(_read, lengths, carry=carry, training=lstms[0].training), directions)
    return [(output * mask, (hidden, cell) if carry else None) for output, hidden, cell in read]


def _read(
    lengths: Tensor, inputs: Tensor, hidden: Tensor, cell: Tensor, *weights: Tensor, carry: bool, training: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer in one direction.

    Returns the outputs, and hidden and cell; with ``carry`` they are those at the end of each sequence, else those at
    the padded end.
    """
    # The kernel returns the cell at the padded end only, so it is called once per distinct sequence length.
    stops = torch.unique(lengths).tolist() if carry else [inputs.shape[1]]
    outputs: list[Tensor] = []
    last_hidden, last_cell = hidden, cell
    for begin, end in zip([0, *stops[:-1]], stops, strict=True):
        with _no_autocast(inputs):
            piece, hidden, cell = torch.lstm(
                inputs[:, begin:end], (hidden, cell), weights, True, 1, 0.0, training, False, True
            )
        outputs.append(piece)
        if carry:
            here = (lengths == end)[None, :, None]
            last_hidden, last_cell = torch.where(here, hidden, last_hidden), torch.where(here, cell, last_cell)
    if inputs.shape[1] > stops[-1]:  # all padding
        outputs.append(inputs.new_zeros(len(inputs), inputs.shape[1] - stops[-1], hidden.shape[-1]))
    return torch.cat(outputs, dim=1) if len(outputs) > 1 else outputs[0], last_hidden, last_cell


def _no_autocast(inputs: Tensor) -> AbstractContextManager[object]:
    """Disable autocast on a GPU: it would run cuDNN's LSTM in float16 for any dtype, and small gradients would become
    zero. Float32 uses tensor cores too (TF32)."""
    return torch.autocast("cuda", enabled=False) if inputs.is_cuda else nullcontext()


def _is_vmapped(*tensors: Tensor) -> bool:
    """Return True under ``vmap``, whose hidden batch dimension no fused kernel supports."""
    return any(torch._C._functorch.is_batchedtensor(tensor) for tensor in tensors)
