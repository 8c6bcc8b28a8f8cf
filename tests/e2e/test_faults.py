"""A disk that is full, or fails, at any call of a save: a message, the file before it whole, and nothing beside it."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lstmcli import recipes
from lstmcli.errors import RuntimeSetupError
from lstmcli.events import Evaluated, Event, Stepped
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples, run_folder, sinks
from lstmcli.training.train import run as train
from tests.conftest import SMALL
from tests.faults import Disk, failing
from tests.stopping import FILES

ERRORS = (errno.ENOSPC, errno.EIO)
ANSWER = {"row": 1, "text": "a film " * 2_000, "label": "good", "probability": 0.5, "probabilities": {"good": 0.5}}
ENTITIES = {"row": 1, "text": "A film", "entities": []}


def predictions(path: Path) -> None:
    blank = ENTITIES if path.suffix == ".conll" else ANSWER
    with sinks.sink(path, blank, [], typed=False) as put:
        for _ in range(20):
            put(blank)


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "model.pt": lambda path, real: checkpoints.save(checkpoints.load(real), path),
    "metrics.jsonl": lambda path, _: run_folder.append(path, {"epoch": 3}),
    "forgotten.jsonl": lambda path, _: run_folder.forget_after(path, 1),
    **{f"said{kind}": lambda path, _: predictions(path) for kind in (".jsonl", ".csv", ".tsv", ".parquet", ".conll")},
}


@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", WRITERS)
def test_a_save_that_fails_at_any_call_leaves_what_was_there(
    name: str, code: int, trained: Path, tmp_path: Path
) -> None:
    path, before = tmp_path / name, b'{"epoch": 1}\n{"epoch": 2}\n'
    path.write_bytes(before)
    write = WRITERS[name]
    disk = Disk()
    with failing(disk):
        write(path, trained)
    assert path.read_bytes() != before
    assert disk.calls >= 4  # open, write, fsync, rename
    for first in range(disk.calls):
        for count in (1, 1_000):
            path.write_bytes(before)
            with failing(Disk(first, code, count)), pytest.raises(RuntimeSetupError) as caught:
                write(path, trained)
            assert os.strerror(code) in caught.value.what
            assert str(path) in caught.value.where
            assert caught.value.fix
            assert path.read_bytes() == before
            assert os.listdir(tmp_path) == [name]


RECIPE = [*SMALL, "train.epochs=2", "train.save_every=0"]


def run_on_a_failing_disk(table: Path, root: Path, step: int) -> None:
    """Let a run fail at each ``step``-th call, look at what is left, and go on."""
    config = recipes.load(str(table), overrides=RECIPE)
    data, disk = examples.read(config), Disk()
    with failing(disk):
        train(config, data, root / "straight")
    expected = {name: (root / "straight" / name).read_bytes() for name in (*FILES, run_folder.RECIPE)}
    assert disk.calls > 40
    out = root / "failed"
    for first in range(0, disk.calls, step):
        seen: list[Event] = []
        failure = Disk(first, ERRORS[first % 2], 1_000)
        error = None
        with failing(failure):
            try:
                train(config, data, out, listener=seen.append)
            except RuntimeSetupError as caught:
                error = caught
        if failure.calls <= first:  # a file of another size is written in another number of calls
            break
        assert error is not None
        assert "cannot be written" in error.what
        assert not set(os.listdir(out)) - expected.keys()
        for name in (run_folder.MODEL, run_folder.LAST):
            if (out / name).is_file():
                checkpoints.load(out / name)
        steps = [event.step for event in seen if isinstance(event, Stepped)]
        if len(steps) > 1:  # saved after each step: at most the last one is lost
            assert checkpoints.load(out / run_folder.LAST).progress["step"] >= steps[-1] - 1
            train(config, data, out, resume=True)
            assert {name: (out / name).read_bytes() for name in expected} == expected
        shutil.rmtree(out)
    assert first > 40


def test_a_run_on_a_failing_disk_keeps_its_last_save_and_goes_on(table: Path, tmp_path: Path) -> None:
    run_on_a_failing_disk(table, tmp_path, 11)


@pytest.mark.slow
def test_a_run_that_fails_at_any_call_keeps_its_last_save_and_goes_on(table: Path, tmp_path: Path) -> None:
    run_on_a_failing_disk(table, tmp_path, 1)


def test_a_folder_that_is_removed_during_the_run_is_reported(table: Path, tmp_path: Path) -> None:
    config, out = recipes.load(str(table), overrides=RECIPE), tmp_path / "run"

    def listener(event: Event) -> None:
        if isinstance(event, Evaluated) and event.epoch == 2:
            shutil.rmtree(out)

    with pytest.raises(RuntimeSetupError, match="the best model was removed during the run") as caught:
        train(config, examples.read(config), out, listener=listener)
    assert str(out / run_folder.MODEL) == caught.value.where
    assert "--force" in caught.value.fix


def test_halves_of_files_of_a_killed_run_are_removed_by_the_next(table: Path, tmp_path: Path) -> None:
    config, out = recipes.load(str(table), overrides=RECIPE), tmp_path / "run"
    data = examples.read(config)
    for resume in (False, True):
        out.mkdir(exist_ok=True)
        (out / ".model.pt.12345").write_bytes(b"half")
        (out / ".mine.12345").write_bytes(b"not the run's")
        train(config, data, out, resume=resume)
        assert {name for name in os.listdir(out) if name.startswith(".")} == {".mine.12345"}
