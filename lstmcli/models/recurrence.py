"""The LSTM recurrence for a stack of weights, with second derivatives.

Fused kernels take one set of weights, cannot be batched by ``torch.func.vmap``, and cuDNN's has no second derivative.
Here ``stack`` LSTMs of one size (tasks, directions) run side by side, one batched product per step. Autograd over such
a loop would record some fifty operations per step for a second derivative; written by hand it is three short loops:

    forward    a_t = P_t + h_{t-1} Wᵀ;  g = tanh a[g];  i, f, o = σ(a[i, f, o]);  c_t = f c_{t-1} + i g;  h_t = o tanh c
    backward   dh_t = H_t + da_{t+1} W;  dc_t = C_t + dc_{t+1} f_{t+1} + dh_t A_t;  da_t = (dc, dc, dc, dh)_t B_t + E_t
    adjoint    of backward, from first to last: it is linear in H, C and E, with coefficients A, B, f, W

P are the input projections; H, C and E the gradients of hidden states, cells and gates. A = o (1 - tanh² c); B is the
derivative of the cell by the pre-activations of g, i, f and that of the hidden state by o's. A and B are computed
outside the loops, for all steps at once, by operations that autograd differentiates. The forward pass also returns
gates and cells, so that their gradients in a double backward enter as C and E.

Gates are stacked in the order g, i, f, o: the three with a sigmoid are adjacent, and so are the three of the cell.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Context = Any


def recurrence(inputs: Tensor, weight: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Compute hidden states and cells at each step, ``[stack, time, batch, hidden]`` each.

    Args:
        inputs: Input projections, biases added, ``[stack, time, batch, 4 * hidden]``.
        weight: Recurrent weights ``[stack, 4 * hidden, hidden]``; in both the gates are ordered as by ``reordered``.
        hidden: The initial hidden state, ``[stack, batch, hidden]``.
        cell: The initial cell, ``[stack, batch, hidden]``.
    """
    states, _, cells = _Forward.apply(inputs, weight, hidden, cell)  # type: ignore[no-untyped-call]
    return states, cells


def reordered(stacked: Tensor) -> Tensor:
    """Reorder gates along the last dimension but one from i, f, g, o to g, i, f, o."""
    i, f, g, o = stacked.chunk(4, dim=-2)
    return torch.cat((g, i, f, o), dim=-2)


class _Forward(torch.autograd.Function):
    """The loop of the forward pass: hidden states, gates and cells."""

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
        """Merge the mapped dimension into the stack."""
        count = info.batch_size
        spread = [
            argument.expand(count, *argument.shape) if dim is None else argument.movedim(dim, 0)
            for argument, dim in zip(arguments, in_dims, strict=True)
        ]
        results = _Forward.apply(*(argument.flatten(0, 1) for argument in spread))  # type: ignore[no-untyped-call]
        return tuple(result.unflatten(0, (count, -1)) for result in results), (0, 0, 0)


class _Backward(torch.autograd.Function):
    """The loop of the backward pass, differentiable itself."""

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
            for start in range(0, 3 * size, size):
                cell.addcmul_(gate[..., start : start + size], factor[..., start : start + size])
            torch.mul(gate[..., 3 * size :], factor[..., 3 * size :], out=hidden).addcmul_(cell, a[:, time])
        d_b = gates * torch.cat((d_cells, d_cells, d_cells, d_hidden), dim=-1)
        d_f = torch.zeros_like(f)
        torch.mul(cells[:, :-1], d_cells[:, 1:], out=d_f[:, 1:])
        d_weight = d_gates[:, 1:].flatten(1, 2).mT @ states[:, :-1].flatten(1, 2)
        needed = ctx.needs_input_grad
        return states, cells if needed[1] else None, gates if needed[2] else None, cells * d_hidden, d_b, d_f, d_weight
