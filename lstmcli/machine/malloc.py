"""Have the C library keep freed memory for the next batch. Without torch."""

import ctypes
import os

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.config.pace import LARGEST

KEPT = 2**30  # bytes of freed memory that the process keeps; larger pieces go back at once
PIECE = 2**26  # bytes of glibc's largest piece for a thread other than the first
STATE = 40  # bytes per token and cell: gates, cells and hidden states, and their gradients
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # glibc's names for its options, malloc.h


def keep(*, shared: bool) -> None:
    """Have the C library keep freed memory for the next batch.

    Otherwise tensors of a few megabytes are mapped again each time, and the kernel clears every page: a third of the
    time of training where that is slow, as in a virtual machine. shared: all threads use one arena, so that large
    tensors of every thread are kept too; glibc limits the arenas of other threads than the first to pieces of 64 MB.
    To be called before the first thread starts, as a new thread takes over the arena of one that ended. It costs a
    tenth more memory, and a third of the speed where threads score batches in parallel. No effect without glibc.
    """
    allocator = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if allocator is not None:
        allocator(MMAP_THRESHOLD, KEPT)
        allocator(TRIM_THRESHOLD, KEPT)
        if shared:
            allocator(ARENA_MAX, 1)


def large(config: RunConfig) -> bool:
    """Return whether training batches are so large that threads should share the memory that is kept."""
    if config.data.name in registry.PROBLEMS:
        return False
    train = config.train
    follows = train.min_steps is not None and "batch_tokens" not in train.model_fields_set  # from data not yet read
    return (LARGEST if follows else train.batch_tokens) * getattr(config.model, "hidden", 0) * STATE > PIECE
