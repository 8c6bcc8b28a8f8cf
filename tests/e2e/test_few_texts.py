"""A run whose length follows from the amount of data: it has its steps, shows what followed, and can go on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lstmcli import recipes
from lstmcli.events import Evaluated, Event, Stepped
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples, run_folder
from lstmcli.training.train import run as train
from tests.stopping import killed

Run = Callable[..., int]
TINY = [
    *("model.init=none", "model.sentence_embedding=0", "model.embedding=4", "model.vectors=none", "model.hidden=4"),
    *("tokens.min_count=1", "train.min_steps=25"),
]
SETS = [part for override in TINY for part in ("--set", override)]


def test_a_run_on_few_texts_has_the_steps(table: Path, tmp_path: Path) -> None:
    config = recipes.load(str(table), overrides=[*TINY, "train.min_steps=60", "train.patience=none"])
    seen: list[Event] = []
    train(config, examples.read(config), tmp_path, listener=seen.append)
    steps = sum(isinstance(event, Stepped) for event in seen)
    assert 60 <= steps < 60 + 8  # an epoch at most beyond


def test_a_run_that_was_stopped_goes_on_in_the_same_batches(table: Path, tmp_path: Path) -> None:
    config = recipes.load(str(table), overrides=[*TINY, "train.epochs=2"])
    data = examples.read(config)
    train(config, data, tmp_path / "straight")
    killed(config, data, tmp_path / "stopped", when=lambda seen: isinstance(seen[-1], Evaluated))
    train(config, data, tmp_path / "stopped", resume=True)
    for name in (run_folder.MODEL, run_folder.LAST, run_folder.METRICS):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def test_a_dry_run_shows_what_the_checkpoint_keeps(
    run: Run, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", table, *SETS, "--dry-run", "--json") == 0
    shown = json.loads(capsys.readouterr().out)["recipe"]["train"]
    config = recipes.load(str(table), overrides=TINY)
    train(config, examples.read(config), tmp_path / "run")
    kept = checkpoints.load(tmp_path / "run" / run_folder.MODEL).config.train
    assert kept.model_dump(mode="json") == shown
    assert kept.patience is not None


def test_a_run_goes_on_with_more_epochs_than_followed(
    run: Run, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = ["train", table, *SETS, "--threads", "1", "--out", out]
    assert run(*arguments, "--epochs", "1") == 0
    assert run(*arguments, "--resume", "--epochs", "2") == 0
    assert "2 epochs in place of 1" in capsys.readouterr().err
    assert len((out / run_folder.METRICS).read_text().splitlines()) == 3  # two epochs, and the calibration
