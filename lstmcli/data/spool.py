"""Data that is appended and then read: in memory up to a size, beyond it in a temporary file, mapped into memory.

The file has no name where the system allows that: it goes with the process, however that ends. It lies in the folder
of temporary files: ``$TMPDIR``, else ``/var/tmp``, since ``/tmp`` is memory on many systems.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from lstmcli.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]
Buffer = bytearray | mmap.mmap
IN_MEMORY = 2**27  # bytes
BUFFERED = 2**20  # bytes that are written at once
PIECE = 2**22  # numbers of a large array that are held at once
LARGE_FILES = Path("/var/tmp")


class Spool:
    """Bytes that are appended. Once they are read nothing more can be appended."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._file: IO[bytes] | None = None
        self._size = 0

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return self._size

    @property
    def on_disk(self) -> bool:
        """True where the bytes are in a file."""
        return self._file is not None

    def append(self, more: bytes) -> None:
        """Append the bytes. Raises DataError where the disk is full."""
        self._size += len(more)
        self._bytes += more
        if self._size > IN_MEMORY and (self._file is None or len(self._bytes) > BUFFERED):
            self._write()

    def _write(self) -> None:
        folder = _folder()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=folder, prefix="lstmcli-", buffering=0)  # noqa: SIM115
            left = memoryview(self._bytes)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            what = f"the texts do not fit into the folder of temporary files: {error.strerror}"
            fix = "make room there, or name a folder of a larger disk: TMPDIR=FOLDER lstmcli ..."
            raise DataError(what, where=folder, fix=fix) from error
        self._bytes = bytearray()

    def read(self) -> Buffer:
        """All bytes. Raises DataError where the disk is full."""
        if self._file is None:
            return self._bytes
        self._write()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)  # keeps the file open by itself
        self._file.close()
        return mapped

    def array(self, dtype: type) -> Array:
        """All bytes as numbers. Raises DataError where the disk is full."""
        return np.frombuffer(self.read(), dtype)


def release(buffer: object) -> None:
    """Take the pages of a file that were read out of the process's memory; they stay in the system's cache of files.

    buffer: of ``Spool.read``, or a part of an array of ``Spool.array``; of other arrays nothing is done.
    """
    while isinstance(buffer, np.ndarray):
        buffer = buffer.base
    if isinstance(buffer, memoryview):
        buffer = buffer.obj
    if isinstance(buffer, mmap.mmap) and hasattr(buffer, "madvise"):
        buffer.madvise(mmap.MADV_DONTNEED)


def taken(array: Array, positions: Array) -> Array:
    """Return the numbers at the positions, ``array[positions]``, with no page of a file left in memory."""
    found: Array = array[positions]
    release(array)
    return found


def in_pieces(array: Array) -> Iterator[Array]:
    """Return the array in pieces, none of which stays in memory where the array is that of a file."""
    for begin in range(0, len(array), PIECE):
        yield array[begin : begin + PIECE]
        release(array)


def _folder() -> str:
    """Return the folder of temporary files."""
    default = tempfile.gettempdir()
    chosen = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    return default if chosen or not os.access(LARGE_FILES, os.W_OK) else str(LARGE_FILES)
