"""What becomes of memory that is freed: the C library keeps it for the next batch. Free of torch."""

import ctypes
import os

from lstmcli.config import RunConfig

KEPT = 2**30  # bytes of freed memory that the process keeps; larger pieces go back at once
PIECE = 2**26  # bytes that glibc gives a thread beside the first at once
STATE = 40  # bytes a token and cell: gates, cells and hidden states, and their gradients
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # glibc's names for its options, malloc.h


def keep(*, shared: bool) -> None:
    """Have the C library keep what is freed for the next batch.

    Tensors of a few megabytes are else mapped again each time, and the kernel clears page after page: in training a
    third of the time where that is slow, as in a virtual machine. Where all threads are to share what is kept, large
    tensors of any are kept too: glibc gives others than the first pieces of 64 MB at most, and what a thread had goes
    to the next when it ends, so this is to be said before the first. It costs a tenth more memory, and a third of the
    speed where threads score batches side by side. Nothing happens where the library is not glibc.
    """
    allocator = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if allocator is not None:
        allocator(MMAP_THRESHOLD, KEPT)
        allocator(TRIM_THRESHOLD, KEPT)
        if shared:
            allocator(ARENA_MAX, 1)


def large(config: RunConfig) -> bool:
    """True where a batch of training is such that its threads are to share what is kept."""
    return config.train.batch_tokens * getattr(config.model, "hidden", 0) * STATE > PIECE
