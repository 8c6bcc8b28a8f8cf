"""Ctrl-C, kill and resume: nothing is lost, and the end is the same to the byte."""

import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from lstmcli import recipes
from lstmcli.config import RunConfig, renamed
from lstmcli.data.batches.encoded import dataset_hash
from lstmcli.errors import ConfigError
from lstmcli.events import Evaluated, Event, Interrupted, Listener, Noted, Planned, Progress, Stepped
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples, run_folder
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.examples import Inputs
from lstmcli.storage.tensors import checksum
from lstmcli.training import resuming
from lstmcli.training.train import Trainer, run
from lstmcli.types import Example
from tests.conftest import SMALL, train_arguments
from tests.stopping import ends_with_the_same_bytes, killed

Run = Callable[..., int]
NOISY = [
    *SMALL,
    "model.dropout=0.3",
    "model.word_dropout=0.1",
    "train.epochs=3",
    "precision=float32",
    "train.save_every=0",
    "train.crop=4",
    "train.adversarial_epsilon=0.1",
    "train.ema_decay=0.8",
    "train.encoder_lr_scale=0.5",
]


def test_a_run_stopped_anywhere_ends_with_the_same_bytes(table: Path, tmp_path: Path) -> None:
    config = recipes.load(str(table), overrides=NOISY)
    data = examples.read(config)
    events = ends_with_the_same_bytes(config, data, tmp_path)
    assert sum(isinstance(event, Stepped) for event in events) >= 9


def test_resume_goes_on_where_it_stood(table: Path, tmp_path: Path) -> None:
    config = recipes.load(str(table), overrides=NOISY)
    data = examples.read(config)
    *_, evaluated = killed(config, data, tmp_path, when=lambda seen: isinstance(seen[-1], Evaluated))
    resumed: list[Event] = []
    run(config, data, tmp_path, resume=True, listener=resumed.append)
    assert next(event for event in resumed if isinstance(event, Stepped)).step == evaluated.step + 1
    lines = [json.loads(line) for line in (tmp_path / run_folder.METRICS).read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [1, 2, 3, None]


def test_evaluations_that_come_again_are_not_written_twice(table: Path, tmp_path: Path) -> None:
    config = recipes.load(str(table), overrides=NOISY)
    data = examples.read(config)
    *_, evaluated = killed(config, data, tmp_path, when=lambda seen: isinstance(seen[-1], Evaluated))
    with (tmp_path / run_folder.METRICS).open("a") as file:  # killed between the line and last.pt
        file.write(json.dumps({"epoch": 2, "step": evaluated.step + 1}) + "\n")
    run(config, data, tmp_path, resume=True)
    lines = [json.loads(line) for line in (tmp_path / run_folder.METRICS).read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [1, 2, 3, None]


def test_resume_refuses_another_recipe(
    run: Run, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*train_arguments(table, tmp_path / "run")) == 0
    assert run(*train_arguments(table, tmp_path / "run", "--resume", "--set", "train.lr=0.01")) == 2
    assert "the recipe has changed: train.lr" in capsys.readouterr().err


def test_a_section_that_only_one_of_the_recipes_has_is_another_recipe() -> None:
    whole, episodic = recipes.load("opinions"), recipes.load("opinions", overrides=["episodes.shots=3"])
    held = Inputs([Example("a", "x")], [], [])
    for began, now, shown in ((whole, episodic, "None, is 3"), (episodic, whole, "3, is None")):
        last = SimpleNamespace(config=began, progress={"data": dataset_hash(held.learned), "epoch": 0})
        with pytest.raises(ConfigError, match=f"the recipe has changed: episodes.shots was {shown}"):
            resuming.check(cast(Checkpoint, last), now, held, [])


FILES = (run_folder.MODEL, run_folder.LAST, run_folder.METRICS, run_folder.RECIPE)


def test_a_finished_run_goes_on_to_more_epochs_as_if_it_had_been_planned_so(table: Path, tmp_path: Path) -> None:
    short, long = (
        recipes.load(str(table), overrides=[*NOISY, "train.schedule=constant", f"train.epochs={epochs}"])
        for epochs in (2, 4)
    )
    data = examples.read(long)
    run(long, data, tmp_path / "straight")
    run(short, data, tmp_path / "longer")
    with pytest.raises(ConfigError, match=r"train\.epochs was 2, is 4") as caught:  # a forgotten --epochs
        run(long, data, tmp_path / "longer", resume=True)
    assert "if intended: --set train.epochs=4" in caught.value.fix
    events: list[Event] = []
    run(long, data, tmp_path / "longer", resume=True, chosen=["train.epochs"], listener=events.append)
    assert Noted("4 epochs in place of 2, of which 2 are done") in events
    for name in FILES:
        assert (tmp_path / "longer" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name
    events.clear()
    run(long, data, tmp_path / "longer", resume=True, listener=events.append)
    assert Noted("the run has finished its 4 epochs; to train on: --epochs 8") in events
    for name in FILES:
        assert (tmp_path / "longer" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name
    with pytest.raises(ConfigError, match="the run has trained 4 epochs already"):
        run(short, data, tmp_path / "longer", resume=True, chosen=["train.epochs"])


def test_a_finished_one_cycle_run_is_resumed_and_reports_what_differs(
    run: Run, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*train_arguments(table, tmp_path / "run", "--epochs", "1")) == 0
    assert run(*train_arguments(table, tmp_path / "run", "--epochs", "3", "--resume")) == 0
    assert "3 epochs in place of 1, of which 1 is done; from here on the learning rate" in capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "run" / run_folder.METRICS).read_text().splitlines()]
    assert [line.get("epoch") for line in lines] == [1, 2, 3, None]
    assert checkpoints.load(tmp_path / "run").config.train.epochs == 3


def test_a_run_that_patience_ended_goes_on_without_it(
    run: Run, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = ["--set", "train.lr=1e-9", "--set", "train.patience=1"]
    assert run(*train_arguments(table, tmp_path / "run", *still)) == 0
    assert run(*train_arguments(table, tmp_path / "run", *still, "--resume")) == 0
    assert "train.patience ended the run; to train on: --set train.patience=none" in capsys.readouterr().err
    assert run(*train_arguments(table, tmp_path / "run", *still, "--resume", "--set", "train.patience=none")) == 0
    assert checkpoints.load(tmp_path / "run" / run_folder.LAST).progress["epoch"] == 3


def long_run(table: Path, out: Path) -> subprocess.Popen[str]:
    arguments = train_arguments(table, out, "--epochs", "3000", "--set", "train.save_every=0")
    return subprocess.Popen([sys.executable, "-m", "lstmcli", *arguments], stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.is_file():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.05)


def test_ctrl_c_saves_names_the_file_and_exits_with_130(
    run: Run, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    last, save = tmp_path / "run" / run_folder.LAST, Trainer.save_last
    saved: list[int] = []

    def interrupted(trainer: Trainer) -> None:
        save(trainer)
        saved.append(checkpoints.load(last).progress["step"])
        if len(saved) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "save_last", interrupted)
    assert run(*train_arguments(table, tmp_path / "run")) == 130
    message = capsys.readouterr().err
    assert f"saved in {last}; go on: the same command with --resume" in " ".join(message.split())
    assert 0 < saved[0] <= saved[1] == checkpoints.load(last).progress["step"]
    assert not (tmp_path / "run" / run_folder.RECIPE).exists()  # it is not at its end
    assert run(*train_arguments(table, tmp_path / "run"), "--resume") == 0


def test_ctrl_c_stops_a_run_while_it_evaluates(table: Path, tmp_path: Path) -> None:
    config = recipes.load(str(table), overrides=NOISY)
    seen: list[Event] = []

    def listener(event: Event) -> None:
        seen.append(event)
        if isinstance(event, Progress) and event.what == "validating":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(config, examples.read(config), tmp_path, listener=listener)
    last = tmp_path / run_folder.LAST
    assert seen[-1] == Interrupted(last)
    assert not any(isinstance(event, Evaluated) for event in seen)
    assert checkpoints.load(last).progress["step"] == sum(isinstance(event, Stepped) for event in seen) > 0


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_a_checkpoint_that_loads(table: Path, tmp_path: Path) -> None:
    for number in range(12):
        out = tmp_path / f"run{number}"
        process = long_run(table, out)
        wait_for(out / run_folder.LAST, process)
        time.sleep(0.013 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        for name in (run_folder.LAST, run_folder.MODEL):
            if (out / name).exists():
                checkpoints.load(out / name)


def test_the_plan_of_the_trainer_is_right(table: Path, tmp_path: Path) -> None:
    config = recipes.load(str(table), overrides=NOISY)
    events: list[Event] = []
    run(config, examples.read(config), tmp_path, listener=events.append)
    planned = next(event for event in events if type(event).__name__ == "Planned")
    stepped = [event for event in events if isinstance(event, Stepped)]
    assert planned.steps == pytest.approx(len(stepped), rel=0.2)
    assert planned.tokens == sum(event.tokens for event in stepped)


def test_texts_are_let_go_once_they_are_encoded(
    run: Run, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, plan = examples.read, Trainer.plan
    seen: list[weakref.ref[Inputs]] = []

    def watched(config: RunConfig, *, listener: Listener) -> Inputs:
        found = read(config, listener=listener)
        seen.append(weakref.ref(found))
        return found

    def planned(trainer: Trainer) -> Planned:
        assert seen[-1]() is None
        return plan(trainer)

    monkeypatch.setattr(examples, "read", watched)
    monkeypatch.setattr(Trainer, "plan", planned)
    assert run(*train_arguments(table, tmp_path / "run")) == 0
    assert seen


def test_a_run_of_an_earlier_version_goes_on_though_its_keys_had_other_names(table: Path, tmp_path: Path) -> None:
    whole = [*NOISY, "train.patience=3"]  # nothing is left to follow from the amount of data
    short, long = (recipes.load(str(table), overrides=[*whole, f"train.epochs={epochs}"]) for epochs in (1, 2))
    data = examples.read(long)
    run(short, data, tmp_path)
    last = tmp_path / run_folder.LAST
    content = torch.load(last, weights_only=True)
    header = json.loads(content["header"])
    for old, new in renamed.KEYS.items():
        section, name = new.split(".")
        if name in header["config"][section]:
            header["config"][section][old.partition(".")[2]] = header["config"][section].pop(name)
    assert header["config"]["train"]["average"] == 0.8
    header["config"]["task"] = "classify"
    content["header"] = json.dumps(header)
    content["checksum"] = checksum(content["header"], content["tensors"])
    torch.save(content, last)
    run(long, data, tmp_path, resume=True, chosen=["train.epochs"])
    assert checkpoints.load(tmp_path / run_folder.MODEL).config == long
