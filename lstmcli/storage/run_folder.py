"""Where a run is written."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from lstmcli import registry
from lstmcli.config import Data, RunConfig
from lstmcli.data.rows import COMPRESSED
from lstmcli.errors import ConfigError
from lstmcli.storage import atomic, lock
from lstmcli.storage.data_option import title

MODEL, LAST, METRICS, RECIPE = "model.pt", "last.pt", "metrics.jsonl", "config.yaml"
OPTIMIZER = "optimizer.pt"  # of a race; not model.pt: no command should take it for a model of texts
TRIALS, DEFAULT = (
    "trials.jsonl",
    "default.pt",
)  # of a search: what was tried, and the model of the recipe as it was given
WRITTEN = (MODEL, LAST, METRICS, RECIPE, OPTIMIZER, TRIALS, DEFAULT)
ADAPTED = "adapted.pt"
SHIPPED = Path(__file__).parent.parent / "pretrained"  # models by name
RUNS = Path("runs")
COMMON = {"train", "training", "data", "dataset", "texts", "all", "input", "labels", "labelled", "labeled", "corpus"}


def default(recipe: str, learner: str | None = None) -> Path:
    """Return the default folder of a run of the recipe or data: ./runs/NAME.

    A name that many data sets have, such as train.csv, follows that of the folder: runs/fold1-train. With another
    learner its name ends the folder's: runs/banking77-ridge of banking77-maml.
    """
    path = Path(os.path.normpath(Path(recipe).absolute()))
    name = path.name if path.is_dir() else path.with_suffix("").stem if path.suffix.lower() in COMPRESSED else path.stem
    common = re.split(r"[-_.]", name.lower())[0] in COMMON and path.parent.name
    name = f"{path.parent.name}-{name}" if common else name
    if learner is None:
        return RUNS / name
    named = next((known for known in registry.LEARNERS if name.endswith(f"-{known}")), "")
    return RUNS / f"{name.removesuffix(f'-{named}')}-{learner}"


@contextmanager
def claimed(folder: Path, data: Data, *, resume: bool, force: bool, state: str = LAST) -> Iterator[None]:
    """Hold the folder for a run on the data; what it holds is not changed. state: the file that a run resumes from.

    Raises:
        ConfigError: it holds a run already, or with ``resume`` none; or another process writes one there.
        RuntimeSetupError: it cannot be written.
    """
    if resume and not (folder / state).is_file():
        searched = state == LAST and (folder / TRIALS).is_file()
        fix = (
            "it holds a search, which goes on with --budget TIME --resume" if searched else "start it without --resume"
        )
        raise ConfigError("there is no run to resume", where=str(folder / state), fix=fix)
    atomic.claim_file(folder / MODEL)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock.held(folder))
        except OSError as error:
            raise atomic.unwritable(folder, error) from error
        if not resume and not force:
            _check_free(folder, data)
        yield


def _check_free(folder: Path, data: Data) -> None:
    """Raise ConfigError where it holds a run already."""
    found = [name for name in WRITTEN if (folder / name).exists()]
    if not found:
        return
    begun = (folder / LAST).is_file() and not (folder / RECIPE).is_file()
    unfinished = "go on with it: --resume, or " if begun else ""
    if (folder / TRIALS).is_file():
        unfinished = "go on with the search: --budget TIME --resume, or "
    other = _data_of(folder)
    raise ConfigError(
        f"{' and '.join(found)} already exist",
        where=f"{folder}, a run on {other}, not on {title(data)}" if other not in ("", title(data)) else str(folder),
        fix=f"{unfinished}choose another folder: --out DIR, or write over it: --force",
    )


def _data_of(folder: Path) -> str:
    """Return the data of the finished run in the folder; empty where that is not known."""
    try:
        recipe = yaml.safe_load((folder / RECIPE).read_text("utf-8"))
        return title(Data.model_validate(recipe["data"]))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        yaml.YAMLError,
    ):  # not finished, or not written by a run
        return ""


def begin(folder: Path) -> None:
    """Clear the folder for a new run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in WRITTEN:
            (folder / name).unlink(missing_ok=True)
        clear_partial(folder)
    except OSError as error:
        raise atomic.unwritable(folder, error) from error


def clear_partial(folder: Path) -> None:
    """Remove the halves of files that a killed run was writing. The folder is held: no other run writes there."""
    for name in WRITTEN:
        for partial in folder.glob(f".{name}.*"):
            partial.unlink(missing_ok=True)


def model_at(path: Path) -> Path:
    """Return the model that is meant by a file, by the folder of its run, or by the name of one that ships."""
    found = path / MODEL if path.is_dir() else path
    shipped = SHIPPED / f"{path}.pt"
    return shipped if len(path.parts) == 1 and not found.is_file() and shipped.is_file() else found


def check_models(config: RunConfig, target: Path) -> None:
    """Raise ConfigError where a model that the recipe begins with, reads with or learns from is missing, or is in the
    folder of the run."""
    for section, key in (("model", "init"), ("model", "context"), ("train", "teacher")):
        path = getattr(getattr(config, section), key, None)
        where = f"{section}.{key}: {path}"
        if not isinstance(path, Path):
            continue
        if not model_at(path).is_file():
            known = path.parent.name if path.parent.parent == RUNS else ""
            fix = f"train it first: lstmcli train {known or 'RECIPE'}; or name another: --set {section}.{key}=FILE"
            raise ConfigError("there is no such checkpoint", where=where, fix=fix)
        if within(model_at(path), target):
            what = "the run would write over a model that it needs"
            raise ConfigError(what, where=where, fix="choose another folder: --out DIR")


def newest() -> Path | None:
    """Return the newest model of a finished run under ``./runs``; folders that cannot be read are skipped."""
    found = {}
    for path in RUNS.rglob(MODEL):
        with suppress(OSError):
            if path.with_name(RECIPE).is_file():
                found[path] = path.stat().st_mtime
    return max(found, key=found.__getitem__, default=None)


def within(path: Path, folder: Path) -> bool:
    """Return whether the path lies in the folder, symbolic links followed."""
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents  # Path.resolve fails on a loop


def beside(checkpoint: Path, out: Path | None) -> Path:
    """Where an adapted checkpoint goes: the path named, else beside its origin; for the model that ships, under ./runs.

    Raises:
        ConfigError: the path is that of a run's own model.
        RuntimeSetupError: the folder cannot be written.
    """
    packaged = Path(__file__).parent.parent in checkpoint.absolute().parents
    path = out or (RUNS if packaged else checkpoint.parent) / ADAPTED
    if path.is_file() and path.with_name(RECIPE).is_file() and path.name in WRITTEN:
        raise ConfigError("the path is that of a run's own file", where=f"--out {path}", fix="choose another name")
    atomic.claim_file(path)
    return path


def append(path: Path, line: dict[str, Any]) -> None:
    """One more line of JSON at the end of the file."""
    before = path.read_bytes() if path.is_file() else b""
    with atomic.whole(path) as file:  # never half a line
        file.write(before + json.dumps(line).encode() + b"\n")


def forget_after(path: Path, epoch: int) -> None:
    """Remove the lines that a resumed run will write again: evaluations after the epoch, and the end of the run."""
    if path.is_file():
        lines = [
            line for line in path.read_text("utf-8").splitlines() if json.loads(line).get("epoch", epoch + 1) <= epoch
        ]
        with atomic.whole(path) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
