"""A run that is killed at any moment: the saves load, at most one interval is lost, and its end is the same bytes.

In fresh processes, with SIGKILL, at moments drawn from a seed as fractions of the time that a whole run takes.
"""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lstmcli import recipes
from lstmcli.config import RunConfig
from lstmcli.errors import RuntimeSetupError
from lstmcli.events import Event, Stepped
from lstmcli.machine import memory
from lstmcli.machine.interrupt import TERMINATED, terminable
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples, run_folder
from lstmcli.training.supervised import SupervisedObjective
from lstmcli.training.train import run as train
from tests.conftest import SMALL, train_arguments, write_table

Run = Callable[..., int]
KILLS = int(os.environ.get("LSTMCLI_KILLS", "3"))  # runs of each kind of model, each killed twice
SAVED = ["train.save_every=0", "precision=float32", "threads=1"]
FILES = (run_folder.MODEL, run_folder.LAST, run_folder.METRICS, run_folder.RECIPE)


def recipe_of(kind: str, folder: Path) -> RunConfig:
    """A small run with dropout of the kind of model."""
    if kind == "classifier":
        table = write_table(folder / "mine.csv")
        return recipes.load(str(table), overrides=[*SMALL, *SAVED, "train.epochs=6", "train.ema_decay=0.8"])
    if kind == "maml":
        table = write_table(folder / "mine.csv")
        few = ["learner.name=maml", "learner.steps=2", "learner.rates=layer-step", "episodes.shots=2",
               "episodes.queries=2", "episodes.batch=3", "episodes.count=12", "episodes.validation=2",
               "data.validation=0.4", "train.epochs=4"]  # fmt: skip
        return recipes.load(str(table), overrides=[*SMALL, *few, *SAVED])
    if kind == "language model":
        (folder / "mine.txt").write_text("\n".join(["the cat sat on the mat", "a dog ran to the cat"] * 60))
        small = ["model.embedding=8", "model.hidden=8", "train.batch_tokens=64", "train.bptt=8", "train.epochs=3"]
        return recipes.load("lm", overrides=[f"data.path={folder / 'mine.txt'}", *small, "tokens.min_count=1", *SAVED])
    (folder / "mine").mkdir()
    lines = ["Ada B-PER", "saw O", "Oslo B-LOC", "", "Lima B-LOC", "left O", "Grace B-PER", ""] * 12
    for name in ("train.txt", "valid.txt"):
        (folder / "mine" / name).write_text("\n".join(lines))
    small = ["model.hidden=6", "model.embedding=6", "model.character_features=4", "model.vectors=none",
             "train.batch_tokens=32", "train.epochs=3"]  # fmt: skip
    return recipes.load(str(folder / "mine"), overrides=[*small, *SAVED])


def run_apart(config: RunConfig, out: Path, *, resume: bool, told: Path) -> None:
    """Run in a process of its own; write the number of each step that is saved."""
    torch.set_num_threads(1)
    os.fsync = lambda _: None  # as in conftest.py: SIGKILL cuts no power
    os.environ["XDG_CACHE_HOME"] = str(told.with_name("cache"))

    def listener(event: Event) -> None:
        if isinstance(event, Stepped):
            with told.open("a") as file:
                file.write(f"{event.step}\n")

    train(config, examples.read(config), out, resume=resume, listener=listener)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classifier", "tagger", "language model", "maml"])
def test_a_run_killed_at_any_moment_loses_one_interval_and_ends_the_same(kind: str, tmp_path: Path) -> None:
    config, told = recipe_of(kind, tmp_path), tmp_path / "told"
    apart = multiprocessing.get_context("forkserver")
    apart.set_forkserver_preload(["tests.e2e.test_kills"])
    draw, kills = random.Random(f"kills of a {kind}"), 0

    def run_until(seconds: float | None, out: Path) -> float:
        nonlocal kills
        process = apart.Process(
            target=run_apart, args=(config, out), kwargs={"resume": (out / run_folder.LAST).is_file(), "told": told}
        )
        begun = time.perf_counter()
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            kills += process.exitcode == -signal.SIGKILL  # else it had ended in the meantime
        else:
            assert process.exitcode == 0
        return time.perf_counter() - begun

    run_until(None, tmp_path / "straight")
    whole = run_until(None, tmp_path / "again")
    expected = {name: (tmp_path / "straight" / name).read_bytes() for name in FILES}
    assert {name: (tmp_path / "again" / name).read_bytes() for name in FILES} == expected
    for number in range(KILLS):
        out, before = tmp_path / f"killed{number}", kills
        while kills < before + 2:  # a run, and the run that goes on from it
            told.unlink(missing_ok=True)
            run_until(draw.uniform(0, whole), out)
            for name in (run_folder.MODEL, run_folder.LAST):
                if (out / name).exists():
                    checkpoints.load(out / name)
            steps = [int(line) for line in told.read_text().splitlines()] if told.exists() else []
            if steps:
                assert checkpoints.load(out / run_folder.LAST).progress["step"] >= steps[-1]
        run_until(None, out)
        assert {name: (out / name).read_bytes() for name in FILES} == expected
        assert sorted(os.listdir(out)) == sorted(FILES)
    print(f"{kind}: {kills} kills")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_asked_to_end_saves_and_says_so(
    number: int, code: int, run: Run, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    loss, calls = SupervisedObjective.loss, 0

    def interrupted(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 5:
            signal.raise_signal(number)
        return loss(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(SupervisedObjective, "loss", interrupted)
    assert run(*train_arguments(table, tmp_path / "run")) == code
    last = tmp_path / "run" / run_folder.LAST
    assert f"saved in {last}; go on: the same command with --resume" in " ".join(capsys.readouterr().err.split())
    assert checkpoints.load(last).progress["step"] == 5
    assert run(*train_arguments(table, tmp_path / "run"), "--resume") == 0


def test_sigterm_clears_away_what_was_begun(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from lstmcli.machine.interrupt import terminable\n"
        "from lstmcli.storage import atomic\n"
        "with terminable(), atomic.whole(Path('said.csv')) as file:\n"
        "    file.write(b'half'); file.flush(); print(os.listdir(), flush=True); os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == TERMINATED == 143
    assert ".said.csv." in done.stdout
    assert done.stderr == ""
    assert os.listdir(tmp_path) == []


def test_sigterm_ends_the_process_again_after_the_command() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end, terminable():
        signal.raise_signal(signal.SIGTERM)
    assert end.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before


# ---- memory

ROOM = 2**58  # bytes that no machine has


@pytest.mark.parametrize("how", ["torch", "python"])
def test_memory_that_runs_out_names_what_to_lower_and_the_last_save_stands(
    how: str, run: Run, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loss, calls = SupervisedObjective.loss, 0

    def hungry(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 5:
            return torch.empty(ROOM, dtype=torch.uint8) if how == "torch" else bytearray(ROOM)
        return loss(*arguments)  # type: ignore[arg-type]

    arguments = train_arguments(table, tmp_path / "run", "--set", "train.save_every=0")
    with monkeypatch.context() as patched:
        patched.setattr(SupervisedObjective, "loss", hungry)
        assert run(*arguments) == 2
    message = " ".join(capsys.readouterr().err.split())
    last = tmp_path / "run" / run_folder.LAST
    assert "error: out of memory" in message
    assert (
        f"train again on smaller batches: --force --set train.batch_tokens=32; or free memory and go on from {last}"
        in (message)
    )
    assert checkpoints.load(last).progress["step"] == 4
    assert run(*arguments, "--resume") == 0


def test_memory_that_runs_out_elsewhere_is_reported(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lstmcli.inference.engines.session", lambda *_: torch.empty(ROOM, dtype=torch.uint8))
    assert run("predict", "-c", trained, "a fine film") == 2
    assert "error: out of memory: no room for" in capsys.readouterr().err


def test_another_fault_of_torch_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="size") as caught, memory.explained("here", lambda: "lower it"):
        torch.ones(2) @ torch.ones(3)
    assert not isinstance(caught.value, RuntimeSetupError)


# ---- while a library is loaded

LOADED = {"predict": "onnxruntime", "evaluate": "onnxruntime", "adapt": "torch", "train": "torch", "check": "torch",
          "export": "torch", "budget": "optuna", "begun": "lstmcli.cli.render"}  # fmt: skip
SIGNALLED = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == {name!r}:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Interrupting())
from lstmcli.cli.app import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", LOADED)
def test_a_signal_while_a_library_is_loaded_ends_in_one_line_and_its_code(
    command: str, number: int, code: int, trained: Path, table: Path, tmp_path: Path
) -> None:
    small = [part for override in SMALL for part in ("--set", override)]
    arguments = {
        "predict": ["predict", "-c", trained, "fine"],
        "begun": ["predict", "-c", trained, "fine"],  # before anything listens to events
        "evaluate": ["evaluate", "-c", trained, "--data", table],
        "adapt": ["adapt", "-c", trained, "--data", table, "--out", "a.pt"],
        "train": ["train", table, *small, "--out", "run"],
        "check": ["check", table],
        "export": ["export", trained, "a.onnx"],
        "budget": ["train", table, *small, "--budget", "1h", "--out", "run"],
    }[command]
    program = SIGNALLED.format(name=LOADED[command], number=int(number))
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == code
    ends = [line for line in done.stderr.splitlines() if "interrupted" in line]
    assert ends == (["• interrupted"] if number == signal.SIGINT else [])
    assert "Traceback" not in done.stderr
    assert set(os.listdir(tmp_path)) <= {table.name, "run"}
    assert not (tmp_path / "run").exists() or os.listdir(tmp_path / "run") == []
