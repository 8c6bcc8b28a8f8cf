"""Memory that runs out becomes a message. What the system kills ends without one: only the last save is left."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lstmcli.errors import RuntimeSetupError

_EXHAUSTED = re.compile(
    r"can't allocate memory|out of memory|cannot allocate memory|failed to allocate memory", re.IGNORECASE
)
_BYTES = re.compile(r"tried to allocate ([\d.]+ ?\w+)", re.IGNORECASE)
FIX = "close other programs, or give fewer or shorter texts at a time"


def exhausted(error: BaseException) -> bool:
    """Return whether Python, or torch on a CPU or a GPU, had no memory left."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_EXHAUSTED.search(str(error))))


def as_message(error: BaseException, *, where: str = "", fix: str = FIX) -> RuntimeSetupError:
    """Return the error with the size that could not be had, where that is known."""
    size = _BYTES.search(str(error))
    return RuntimeSetupError("out of memory" + (f": no room for {size[1]}" if size else ""), where=where, fix=fix)


@contextmanager
def explained(where: str, fix: Callable[[], str]) -> Iterator[None]:
    """Raise RuntimeSetupError where memory runs out in the ``with`` block. fix: what to lower; called then."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not exhausted(error):
            raise
        raise as_message(error, where=where, fix=fix()) from error
