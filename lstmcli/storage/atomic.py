"""Files that are whole or not there at all."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lstmcli.errors import LONGEST, REFUSED, RuntimeSetupError


def claim_file(path: Path) -> None:
    """Check that a file can be written there, and change nothing. Raise RuntimeSetupError where it cannot."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if _special(path):
            return
        there = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryDirectory(dir=there):
            pass
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Return a file that replaces the one at the path, flushed to disk, only when all of it is written.

    The target of a symbolic link is replaced, not the link; a device or a pipe is written directly.

    Raises:
        RuntimeSetupError: the disk is full, or the folder cannot be written; an existing file stays.
    """
    try:
        if _special(path):
            with path.open("wb") as file:
                yield file
            return
        path = Path(os.path.realpath(path))
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.unlink(missing_ok=True)
            with partial.open("xb") as file:  # not through a link that lies there
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def _special(path: Path) -> bool:
    """Return True for a device or a pipe, which no file may replace."""
    return path.exists() and not path.is_file() and not path.is_dir()


def unwritable(path: Path, error: OSError) -> RuntimeSetupError:
    free = ""
    for at in (path, *path.absolute().parents):
        with suppress(OSError):
            free = f" ({shutil.disk_usage(at).free / 2**20:,.0f} MB free)"
            break
    return RuntimeSetupError(
        f"cannot be written: {error.strerror}",
        where=f"{str(path)[:LONGEST]}{free}",
        fix=f"{REFUSED.get(error.errno or 0, 'make room')}, or choose another path",
    )
