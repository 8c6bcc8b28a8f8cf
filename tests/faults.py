"""A disk that fails: each call of open, write, fsync and rename, by its number."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


class Disk:
    """Counts the calls, and fails from one on. count: how many fail; errno: of the error."""

    def __init__(self, first: int | None = None, errno: int = 0, count: int = 1) -> None:
        self.calls = 0
        self._failing = range(0) if first is None else range(first, first + count)
        self._errno = errno

    def call(self, path: object) -> None:
        self.calls += 1
        if self.calls - 1 in self._failing:
            raise OSError(self._errno, os.strerror(self._errno), str(path))


class _File(io.FileIO):
    """An unbuffered file on the disk."""

    disk: Disk

    def write(self, content: Any, /) -> int:
        try:
            self.disk.call(self.name)
        except OSError as error:
            raise OSError(error.errno, error.strerror) from None  # as of write, which knows no path
        return super().write(content)


@contextmanager
def failing(disk: Disk) -> Iterator[None]:
    """Let every file that is written within the block lie on the disk."""
    opened, renamed = Path.open, Path.replace

    def open_(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        if mode not in ("wb", "xb"):
            return opened(path, mode, *more, **options)
        disk.call(path)
        raw = _File(path, mode)
        raw.disk = disk
        return io.BufferedWriter(raw)

    def replace(path: Path, target: Path) -> Path:
        disk.call(path)
        return renamed(path, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", open_)
        patch.setattr(Path, "replace", replace)
        patch.setattr(os, "fsync", lambda _: disk.call("fsync"))
        yield
