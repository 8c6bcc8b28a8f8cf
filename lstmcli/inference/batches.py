"""Work on texts in batches of like length, one batch per thread. Imports no torch."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.errors import CheckpointError
from lstmcli.events import Listener, Progress, silent

Array = np.ndarray[Any, np.dtype[Any]]
EVALUATION_TOKENS = 8_192  # per batch, with padding
Result = TypeVar("Result")


def in_batches(
    store: Store,
    work: Callable[[Ints], Result],
    *,
    workers: int,
    begin: Callable[[], object] | None = None,
    batch_tokens: int | None = None,
    what: str = "scoring",
    listener: Listener = silent,
) -> Iterator[tuple[Ints, Result]]:
    """Yield the indices of the texts of each batch, longest texts first, and the result of the work on them.

    workers: threads; begin: called first in each; batch_tokens: per batch, with padding; None: ``EVALUATION_TOKENS``.
    """
    batches = batching.by_length(store.lengths, batch_tokens=batch_tokens or EVALUATION_TOKENS)
    if len(batches) == 1 and begin is None:  # a single text needs no thread
        yield batches[0], work(batches[0])
        return
    pool = ThreadPoolExecutor(workers, initializer=begin)
    done = 0
    try:
        for indices, result in zip(batches, pool.map(work, batches), strict=True):
            yield indices, result
            done += len(indices)
            listener(Progress(what, done, len(store)))
    finally:
        pool.shutdown(cancel_futures=True)


def ordered(found: Iterator[tuple[Ints, Array]], *, model: str) -> Array:
    """Return the results of all batches in the order of the texts, ``[text, ...]``.

    Raises CheckpointError where they are not finite. model: its registered name.
    """
    batches, results = zip(*found, strict=True)
    gathered = np.concatenate(results)
    if gathered.dtype.kind == "f" and not np.isfinite(gathered).all():
        fix = "score in full precision: --precision float32; else train the model again"
        raise CheckpointError("the model's scores are not finite", where=f"model: {model}", fix=fix)
    found_in_order = np.empty_like(gathered)
    found_in_order[np.concatenate(batches)] = gathered
    return found_in_order
