"""Where a run is written, and files that are whole or not there at all."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lstmcli.errors import ConfigError, RuntimeSetupError

MODEL, LAST, METRICS, RECIPE = "model.pt", "last.pt", "metrics.jsonl", "config.yaml"
OPTIMIZER = "optimizer.pt"  # of a race; not model.pt: no command should take it for a model of texts
WRITTEN = (MODEL, LAST, METRICS, RECIPE, OPTIMIZER)
ADAPTED = "adapted.pt"
RUNS = Path("runs")


def claim(folder: Path, *, resume: bool, force: bool) -> None:
    """Make sure that a run may be written there; nothing is changed yet.

    Raises:
        ConfigError: it holds a run already, or with ``resume`` none.
        RuntimeSetupError: it cannot be written.
    """
    if resume and not (folder / LAST).is_file():
        raise ConfigError("there is no run to resume", where=str(folder / LAST), fix="start it without --resume")
    if not resume and not force and any((folder / name).exists() for name in WRITTEN):
        begun = (folder / LAST).is_file() and not (folder / RECIPE).is_file()
        unfinished = "go on with it: --resume, or " if begun else ""
        raise ConfigError(
            f"{' and '.join(name for name in WRITTEN if (folder / name).exists())} lie there already",
            where=str(folder),
            fix=f"{unfinished}choose another folder: --out DIR, or write over it: --force",
        )
    claim_file(folder / MODEL)


def claim_file(path: Path) -> None:
    """Make sure that a file can be written there; nothing is changed yet. Raises RuntimeSetupError where it cannot."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "a folder stands there")
        there = next(folder for folder in path.absolute().parents if folder.exists())
        with tempfile.TemporaryDirectory(dir=there):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def begin(folder: Path) -> None:
    """Clear the folder for a new run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in WRITTEN:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def model_at(path: Path) -> Path:
    """The model that is meant by a file, or by the folder of its run."""
    return path / MODEL if path.is_dir() else path


def newest() -> Path | None:
    """The newest model of a finished run under ``./runs``."""
    found = [path for path in RUNS.rglob(MODEL) if path.with_name(RECIPE).is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def beside(checkpoint: Path, out: Path | None) -> Path:
    """Where an adapted checkpoint goes: the path named, else beside its origin; for the model that ships, under ./runs.

    Raises:
        ConfigError: a run's own model lies there.
        RuntimeSetupError: the folder cannot be written.
    """
    packaged = Path(__file__).parent.parent in checkpoint.absolute().parents
    path = out or (RUNS if packaged else checkpoint.parent) / ADAPTED
    if path.is_file() and path.with_name(RECIPE).is_file() and path.name in WRITTEN:
        raise ConfigError("a run's own file lies there", where=f"--out {path}", fix="choose another name")
    claim_file(path)
    return path


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the path's place, flushed to disk, only when all of it is written.

    Raises:
        RuntimeSetupError: the disk is full, or the folder cannot be written; what stood there stays.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


def append(path: Path, line: dict[str, Any]) -> None:
    """One more line of JSON at the end of the file."""
    before = path.read_bytes() if path.is_file() else b""
    with whole(path) as file:  # no half line, whatever happens
        file.write(before + json.dumps(line).encode() + b"\n")


def forget_after(path: Path, step: int) -> None:
    """Forget evaluations that a resumed run will make again, and what the end of a run says."""
    if path.is_file():
        lines = [
            line for line in path.read_text("utf-8").splitlines() if json.loads(line).get("step", step + 1) <= step
        ]
        with whole(path) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())


def _unwritable(path: Path, error: OSError) -> RuntimeSetupError:
    at = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(at).free / 2**20
    return RuntimeSetupError(
        f"cannot be written: {error.strerror}",
        where=f"{path} ({free:,.0f} MB free)",
        fix="make room, or choose another place",
    )
