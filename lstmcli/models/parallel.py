"""Independent parts of a model, computed in parallel: one thread per part, each with its share of the CPU threads.

The steps of a recurrence are sequential, and each is too small to be split among threads: on two, a fused kernel of a
hundred cells takes as long as on one. The directions of an LSTM are independent of each other. Autograd traverses one
graph in one thread, so each part gets a graph of its own.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]
Function = Callable[..., Tensors]
Graph = tuple[Tensors, Tensors]  # the inputs and the outputs
Part = TypeVar("Part")
Result = TypeVar("Result")


def at_once(function: Function, parts: Sequence[Tensors]) -> list[Tensors]:
    """Compute ``[function(*part) for part in parts]``, and later the gradients, in parallel on a CPU with more than one
    thread.

    The function draws no random numbers and depends on its arguments alone.
    """
    first = parts[0][0]
    if len(parts) == 1 or first.device.type != "cpu" or torch.get_num_threads() == 1:
        with _autocast():
            return [function(*part) for part in parts]
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for part in parts for tensor in part)):
        return _run_each(lambda part: function(*part), parts)
    flat = [tensor for part in parts for tensor in part]
    results: Tensors = _AtOnce.apply(function, len(parts), *flat)  # type: ignore[no-untyped-call]
    return _chunks(results, len(parts))


class _AtOnce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Function, count: int, *tensors: Tensor) -> Tensors:
        ctx.function, ctx.count = function, count
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        ctx.graphs = _run_each(lambda part: _recorded(function, part), _chunks(tensors, count))
        return tuple(result.detach() for _, results in ctx.graphs for result in results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        graphs, ctx.graphs = ctx.graphs, None  # freed after use, as autograd does
        exact = torch.is_grad_enabled()  # double backward: the graph must reach the original inputs
        if exact:
            graphs = [(part, ctx.function(*part)) for part in _chunks(ctx.saved_tensors, ctx.count)]
        elif graphs is None:
            graphs = _run_each(lambda part: _recorded(ctx.function, part), _chunks(ctx.saved_tensors, ctx.count))
        pairs = list(zip(graphs, _chunks(gradients, ctx.count), strict=True))
        found = [_backward(pair, exact=True) for pair in pairs] if exact else _run_each(_backward, pairs)
        return None, None, *(gradient for part in found for gradient in part)


def _recorded(function: Function, part: Tensors) -> Graph:
    """Call the function on detached copies of the part, and record its graph."""
    inputs = tuple(tensor.detach().requires_grad_(tensor.requires_grad) for tensor in part)
    with torch.enable_grad():
        return inputs, function(*inputs)


def _backward(pair: tuple[Graph, tuple[Tensor | None, ...]], *, exact: bool = False) -> list[Tensor | None]:
    """Compute the gradients of the inputs from those of the outputs."""
    (inputs, results), gradients = pair
    used = [index for index, gradient in enumerate(gradients) if gradient is not None and results[index].requires_grad]
    if not used:  # no output of this part was used, or no input requires a gradient
        return [None] * len(inputs)
    outputs, weights = [results[index] for index in used], [gradients[index] for index in used]
    learned = [tensor for tensor in inputs if tensor.requires_grad]
    found = iter(torch.autograd.grad(outputs, learned, weights, create_graph=exact, allow_unused=True))
    return [next(found) if tensor.requires_grad else None for tensor in inputs]


def _chunks(flat: Sequence[Any], count: int) -> list[Any]:
    """Split into so many sequences of one length."""
    size = len(flat) // count
    return [flat[start : start + size] for start in range(0, len(flat), size)]


def _run_each(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Run the work on each part: the first in this thread, each other in its own."""
    threads = torch.get_num_threads()
    share = max(1, threads // len(parts))
    recording, precision = torch.is_grad_enabled(), _autocast()

    def alone(part: Part) -> Result:
        torch.set_num_threads(share)  # applies to the calling thread
        with torch.set_grad_enabled(recording), copy(precision):
            return work(part)

    others = [_pool().submit(alone, part) for part in parts[1:]]
    try:
        return [alone(parts[0]), *(other.result() for other in others)]
    finally:
        torch.set_num_threads(threads)


def _autocast() -> torch.autocast:
    """Return the current autocast setting without its cache.

    All threads share the cache of casts, and the first that is done empties it. How often a weight is cast, and so how
    its gradient is rounded, would depend on timing.
    """
    enabled, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    return torch.autocast("cpu", dtype, enabled=enabled, cache_enabled=False)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="at_once")
