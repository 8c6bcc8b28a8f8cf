"""Standard streams: any text can be written, and a closed or full stream does not end in a traceback.

A terminal keeps its encoding, and characters that it cannot show are escaped; a pipe or a file gets UTF-8.
"""

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from lstmcli.errors import RuntimeSetupError


class ReaderGoneError(Exception):
    """The reader of standard output has closed it, as ``| head`` does."""


@contextmanager
def guarded() -> Iterator[None]:
    """Let standard output raise ReaderGoneError or RuntimeSetupError where it cannot be written; standard error drops
    what it cannot write."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in this order each gets its file descriptor
        if getattr(sys, name) is None:  # closed: the next file opened would get its descriptor
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open to the end
    before = sys.stdout, sys.stderr
    for stream in before:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
    sys.stdout = cast(TextIO, _Guarded(sys.stdout, _raise))
    sys.stderr = cast(TextIO, _Guarded(sys.stderr, lambda _: None))  # a lost note is no reason to stop
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Guarded:
    """A text stream. After its first failure it drops what is written to it, and reports the failure each time."""

    def __init__(self, stream: TextIO, report: Callable[[OSError], None]) -> None:
        self._stream = stream
        self._report = report
        self._failure: OSError | None = None

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            self._failure = error
            with suppress(OSError):  # the interpreter flushes at exit, which must not fail again
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)
        if self._failure is not None:
            self._report(self._failure)


def _raise(error: OSError) -> None:
    if error.errno == errno.EPIPE:
        raise ReaderGoneError from error
    what = f"standard output cannot be written: {error.strerror}"
    raise RuntimeSetupError(what, fix="make room, or send it elsewhere: > FILE") from error
