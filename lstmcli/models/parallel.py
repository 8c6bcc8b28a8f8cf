"""Parts of a model that know nothing of each other, computed at once: each in a thread, on processors of its own.

The steps of a recurrence wait for each other, and each is too small to be shared among processors: on two, a fused
kernel of a hundred cells takes as long as on one. The directions of an LSTM do not wait for each other. Autograd goes
back through a graph in one thread, so here each part has a graph of its own.
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
Graph = tuple[Tensors, Tensors]  # what goes in and what comes out
Part = TypeVar("Part")
Result = TypeVar("Result")


def at_once(function: Function, parts: Sequence[Tensors]) -> list[Tensors]:
    """``[function(*part) for part in parts]``, at once where there are processors for it, and so their gradients.

    The function draws no random numbers, and what it does depends on its arguments alone.
    """
    first = parts[0][0]
    if len(parts) == 1 or first.device.type != "cpu" or torch.get_num_threads() == 1:
        with _autocast():
            return [function(*part) for part in parts]
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for part in parts for tensor in part)):
        return _each(lambda part: function(*part), parts)
    flat = [tensor for part in parts for tensor in part]
    results: Tensors = _AtOnce.apply(function, len(parts), *flat)  # type: ignore[no-untyped-call]
    return _cut(results, len(parts))


class _AtOnce(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Function, count: int, *tensors: Tensor) -> Tensors:
        ctx.function, ctx.count = function, count
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        ctx.graphs = _each(lambda part: _recorded(function, part), _cut(tensors, count))
        return tuple(result.detach() for _, results in ctx.graphs for result in results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        graphs, ctx.graphs = ctx.graphs, None  # let go of once it was used, as autograd does
        exact = torch.is_grad_enabled()  # a second derivative may be wanted: it depends on what came in
        if exact:
            graphs = [(part, ctx.function(*part)) for part in _cut(ctx.saved_tensors, ctx.count)]
        elif graphs is None:
            graphs = _each(lambda part: _recorded(ctx.function, part), _cut(ctx.saved_tensors, ctx.count))
        pairs = list(zip(graphs, _cut(gradients, ctx.count), strict=True))
        found = [_back(pair, exact=True) for pair in pairs] if exact else _each(_back, pairs)
        return None, None, *(gradient for part in found for gradient in part)


def _recorded(function: Function, part: Tensors) -> Graph:
    own = tuple(tensor.detach().requires_grad_(tensor.requires_grad) for tensor in part)
    with torch.enable_grad():
        return own, function(*own)


def _back(pair: tuple[Graph, tuple[Tensor | None, ...]], *, exact: bool = False) -> list[Tensor | None]:
    """The gradients of what went in, given those of what came out."""
    (own, results), given = pair
    reached = [place for place, gradient in enumerate(given) if gradient is not None and results[place].requires_grad]
    if not reached:  # nothing of this part was used, or nothing that went in learns
        return [None] * len(own)
    outputs, weights = [results[place] for place in reached], [given[place] for place in reached]
    wanted = [tensor for tensor in own if tensor.requires_grad]
    found = iter(torch.autograd.grad(outputs, wanted, weights, create_graph=exact, allow_unused=True))
    return [next(found) if tensor.requires_grad else None for tensor in own]


def _cut(flat: Sequence[Any], count: int) -> list[Any]:
    size = len(flat) // count
    return [flat[start : start + size] for start in range(0, len(flat), size)]


def _each(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """What the work makes of each part: the first in this thread, the others in threads of their own."""
    threads = torch.get_num_threads()
    share = max(1, threads // len(parts))
    recording, precision = torch.is_grad_enabled(), _autocast()

    def alone(part: Part) -> Result:
        torch.set_num_threads(share)  # of the thread that it is called in
        with torch.set_grad_enabled(recording), copy(precision):
            return work(part)

    others = [_pool().submit(alone, part) for part in parts[1:]]
    try:
        return [alone(parts[0]), *(other.result() for other in others)]
    finally:
        torch.set_num_threads(threads)


def _autocast() -> torch.autocast:
    """Autocast as it is here, but that each cast is made again: the cache of casts is one for all threads, and emptied
    by whichever is done first, so that how often a weight was cast, and how its gradient was rounded, would be
    probability.
    """
    halved, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    return torch.autocast("cpu", dtype, enabled=halved, cache_enabled=False)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="at_once")
