"""One process at a time writes into a folder.

The system's lock on an open file in the folder: it ends with the process, however that ends. Where the system or the
file system has no locks, the run goes on without one.
"""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lstmcli.errors import ConfigError

NAME = ".lock"
TRIES = 100  # while other processes that end remove the file or the folder

if sys.platform == "win32":
    import msvcrt

    HELD_ELSEWHERE = PermissionError

    def _lock(file: IO[bytes]) -> None:
        file.seek(2**30)  # a locked byte cannot be read, and the process id at the beginning should be
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    HELD_ELSEWHERE = BlockingIOError

    def _lock(file: IO[bytes]) -> None:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder, which is created if need be, and removed again where it stays empty.

    Raises:
        ConfigError: another process holds it.
        OSError: it cannot be created.
    """
    missing = [at for at in (folder, *folder.absolute().parents) if not at.exists()]  # the innermost first
    file = _acquired(folder)
    try:
        yield
    finally:
        if file is not None:
            _release(file, folder / NAME)
        with suppress(OSError):  # not empty
            for at in missing:
                at.rmdir()


def _acquired(folder: Path) -> IO[bytes] | None:
    """Return the locked file; None where there are no locks."""
    path = folder / NAME
    for _ in range(TRIES):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            file = open(path, "a+b", buffering=0, opener=_not_through_links)  # noqa: SIM115
        except FileNotFoundError:  # a run that ended has just removed the folder
            continue
        except OSError:
            return None
        try:
            _lock(file)
        except HELD_ELSEWHERE as error:
            file.close()
            fix = "wait until it ends, or choose another folder: --out DIR"
            raise ConfigError("a run is being written there", where=f"{folder}{_holder(path)}", fix=fix) from error
        except (OSError, ImportError):
            _release(file, path)
            return None
        if _is_at(file, path):
            with suppress(OSError):  # a full disk
                file.truncate(0)
                file.write(f"process {os.getpid()} on {platform.node()}".encode())
            return file
        file.close()
    return None


def _not_through_links(path: str, flags: int) -> int:
    """Open the file, but none that a symbolic link names: it would be emptied."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Return False where the run that held the lock removed the file as it ended: others would lock a new one."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _release(file: IO[bytes], path: Path) -> None:
    """Remove the file while it is still locked; Windows removes none that is open."""
    if sys.platform == "win32":
        file.close()
    with suppress(OSError):
        path.unlink()
    file.close()


def _holder(path: Path) -> str:
    """Which process holds the lock, where that is known."""
    with suppress(OSError):
        if holder := path.read_text("utf-8", errors="replace"):
            return f" ({holder})"
    return ""
