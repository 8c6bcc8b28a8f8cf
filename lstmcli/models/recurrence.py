"""The LSTM over time for many weights at once, differentiable as often as it is needed.

Fused kernels know one set of weights, cannot be batched by ``torch.func.vmap``, and cuDNN's has no second derivative.
Here ``stack`` LSTMs of one size (tasks, directions) read side by side, a batched product a step. Autograd over such a
loop would record some fifty operations a step for a second derivative; written by hand it is three short loops:

    forward    a_t = P_t + h_{t-1} Wᵀ;  g = tanh a[g];  i, f, o = σ(a[i, f, o]);  c_t = f c_{t-1} + i g;  h_t = o tanh c
    backward   dh_t = H_t + da_{t+1} W;  dc_t = C_t + dc_{t+1} f_{t+1} + dh_t A_t;  da_t = (dc, dc, dc, dh)_t B_t + E_t
    adjoint    of backward, from first to last: it is linear in H, C and E, with coefficients A, B, f, W

A = o (1 - tanh² c), and B holds what each gate's pre-activation does to the cell (g, i, f) or to the hidden state (o).
A and B are made outside the loops, for all times at once, by plain operations that autograd knows. The forward also
returns its gates and cells, so that what depends on them in a second derivative comes back in as C and E.

Gates are stacked here in the order g, i, f, o: three that share a sigmoid lie together, and three that act on the cell.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Context = Any


def recurrence(inputs: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden states and cells at each time, ``[stack, time, batch, hidden]``.

    inputs: ``[stack, time, batch, 4 * hidden]``, the projections of the inputs, biases added; weight: ``[stack,
    4 * hidden, hidden]``; both with the gates as ``reordered`` stacks them; hidden, cell: at the start,
    ``[stack, batch, hidden]``.
    """
    states, _, cells = _Forward.apply(inputs, weight, hidden, cell)  # type: ignore[no-untyped-call]
    return states, cells


def reordered(stacked: Tensor) -> Tensor:
    """From the order i, f, g, o along the last dimension but one (of a bias: the last) to g, i, f, o."""
    i, f, g, o = stacked.chunk(4, dim=-2)
    return torch.cat((g, i, f, o), dim=-2)


class _Forward(torch.autograd.Function):
    """Hidden states, gates and cells."""

    @staticmethod
    def forward(inputs: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        size = hidden.shape[-1]
        gates = inputs.clone()
        states, cells = (gates.new_empty(*gates.shape[:-1], size) for _ in range(2))
        tanh = torch.empty_like(cell)
        transposed = weight.mT
        for gate, state, new in zip(gates.unbind(1), states.unbind(1), cells.unbind(1), strict=True):
            gate.baddbmm_(hidden, transposed)
            gate[..., :size].tanh_()
            gate[..., size:].sigmoid_()
            g, i, f, o = gate.chunk(4, dim=-1)
            torch.mul(f, cell, out=new).addcmul_(i, g)
            torch.mul(o, torch.tanh(new, out=tanh), out=state)
            hidden, cell = state, new
        return states, gates, cells

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        _, weight, hidden, cell = inputs
        ctx.save_for_backward(weight, hidden, cell, *output)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Context, d_states: Tensor, d_gates: Tensor | None, d_cells: Tensor | None) -> tuple[Tensor, ...]:
        weight, hidden, cell, states, gates, cells = ctx.saved_tensors
        g, i, f, o = gates.chunk(4, dim=-1)
        earlier = torch.cat((cell[:, None], cells[:, :-1]), dim=1)
        tanh = cells.tanh()
        slope = torch.cat((1 - g * g, i * (1 - i), f * (1 - f), o * (1 - o)), dim=-1)
        through_hidden = o * (1 - tanh * tanh)
        through_gates = slope * torch.cat((i, g, earlier, tanh), dim=-1)
        if d_states is None:
            d_states = torch.zeros_like(states)
        d_gates = None if d_gates is None else d_gates * slope
        coefficients = (through_hidden, through_gates, f, weight)
        d_inputs, d_cell = _Backward.apply(d_states, d_cells, d_gates, *coefficients)  # type: ignore[no-untyped-call]
        before = torch.cat((hidden[:, None], states[:, :-1]), dim=1)
        d_weight = d_inputs.flatten(1, 2).mT @ before.flatten(1, 2)
        return d_inputs, d_weight, d_inputs[:, 0] @ weight, d_cell[:, 0] * f[:, 0]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *arguments: Tensor) -> tuple[Any, Any]:
        """A further dimension of tasks joins the stack."""
        count = info.batch_size
        spread = [
            argument.expand(count, *argument.shape) if place is None else argument.movedim(place, 0)
            for argument, place in zip(arguments, in_dims, strict=True)
        ]
        results = _Forward.apply(*(argument.flatten(0, 1) for argument in spread))  # type: ignore[no-untyped-call]
        return tuple(result.unflatten(0, (count, -1)) for result in results), (0, 0, 0)


class _Backward(torch.autograd.Function):
    """The loop of the backward pass, as a function of its own that can be differentiated."""

    @staticmethod
    def forward(
        ctx: Context, states: Tensor, cells: Tensor | None, gates: Tensor | None, a: Tensor, b: Tensor, f: Tensor,
        weight: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        d_gates = torch.empty_like(b)  # [stack, time, batch, 4 * hidden]
        d_hidden = states.clone()
        d_cells = torch.zeros_like(a) if cells is None else cells.clone()
        size = a.shape[-1]
        for time in range(a.shape[1] - 1, -1, -1):
            hidden, cell, gate, factor = d_hidden[:, time], d_cells[:, time], d_gates[:, time], b[:, time]
            if time + 1 < a.shape[1]:
                hidden.baddbmm_(d_gates[:, time + 1], weight)
                cell.addcmul_(d_cells[:, time + 1], f[:, time + 1])
            cell.addcmul_(hidden, a[:, time])
            first = (*cell.shape[:-1], 3, size)  # g, i, f
            torch.mul(factor[..., : 3 * size].view(first), cell[..., None, :], out=gate[..., : 3 * size].view(first))
            torch.mul(factor[..., 3 * size :], hidden, out=gate[..., 3 * size :])
            if gates is not None:
                gate.add_(gates[:, time])
        ctx.save_for_backward(a, b, f, weight, d_gates, d_hidden, d_cells)
        return d_gates, d_cells

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, gates: Tensor | None, cells: Tensor | None) -> tuple[Tensor | None, ...]:
        a, b, f, weight, d_gates, d_hidden, d_cells = ctx.saved_tensors
        size = a.shape[-1]
        gates = torch.zeros_like(b) if gates is None else gates.clone()
        cells = torch.zeros_like(a) if cells is None else cells.clone()
        states = torch.empty_like(a)
        transposed = weight.mT
        for time in range(a.shape[1]):
            hidden, cell, gate, factor = states[:, time], cells[:, time], gates[:, time], b[:, time]
            if time > 0:
                gate.baddbmm_(states[:, time - 1], transposed)
                cell.addcmul_(cells[:, time - 1], f[:, time])
            for place in range(0, 3 * size, size):
                cell.addcmul_(gate[..., place : place + size], factor[..., place : place + size])
            torch.mul(gate[..., 3 * size :], factor[..., 3 * size :], out=hidden).addcmul_(cell, a[:, time])
        d_b = gates * torch.cat((d_cells, d_cells, d_cells, d_hidden), dim=-1)
        d_f = torch.zeros_like(f)
        torch.mul(cells[:, :-1], d_cells[:, 1:], out=d_f[:, 1:])
        d_weight = d_gates[:, 1:].flatten(1, 2).mT @ states[:, :-1].flatten(1, 2)
        wanted = ctx.needs_input_grad
        return states, cells if wanted[1] else None, gates if wanted[2] else None, cells * d_hidden, d_b, d_f, d_weight
