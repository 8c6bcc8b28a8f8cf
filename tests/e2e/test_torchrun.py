"""Several processes that train one model, as torchrun starts them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lstmcli.storage import checkpoint as checkpoints
from tests.conftest import SMALL, write_table

Run = Callable[..., int]
LONGEST = 300  # seconds that a test waits
COMMAND = [sys.executable, "-m", "lstmcli"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lstmcli"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["lm"], "a language model carries its state from batch to batch"),
        (["hwu64-maml"], "episodes are drawn for one process"),
        (["imdb", "--set", "train.vat_epsilon=1"], "entropy of texts without labels run in one process"),
        (["quadratics-lstm-optimizer"], "the benchmark of optimisers runs in one process"),
        (["opinions", "--device", "cuda:0"], "all processes would use one device"),
    ],
)
def test_what_several_processes_cannot_train(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    for name, value in environment(1, "1").items():
        monkeypatch.setenv(name, value)
    assert run("train", *arguments, "--out", "run") == 2
    assert reason in capsys.readouterr().err
    assert not Path("run").exists()


def environment(rank: int, port: str) -> dict[str, str]:
    return {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost",
            "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}  # fmt: skip


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return str(one.getsockname()[1])


def arguments(table: Path, out: str, *more: str) -> list[str]:
    sets = [part for one in [*SMALL, *more] for part in ("--set", one)]
    return ["train", str(table), *sets, "--out", out]


def both(*tables: Path, more: tuple[str, ...] = ()) -> list[subprocess.Popen[str]]:
    """Start two processes, each on its table."""
    port = free_port()
    return [
        subprocess.Popen(
            [*COMMAND, *arguments(path, f"run{rank}", *more)],
            env=os.environ | environment(rank, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, path in enumerate(tables)
    ]


def wait_for(path: Path) -> None:
    end = time.monotonic() + LONGEST
    while not path.exists():
        assert time.monotonic() < end, f"{path} is not written"
        time.sleep(0.1)


@pytest.mark.slow
def test_the_learning_curve_is_that_of_one_process(tmp_path: Path) -> None:
    table = write_table(tmp_path / "mine.csv", copies=10)
    even = ("model.dropout=0", "model.word_dropout=0", "train.epochs=3")
    curves = []
    for command, out in ((COMMAND, "one"), (TORCHRUN, "two")):
        ended = subprocess.run(
            [*command, *arguments(table, out, *even), "--json"], check=True, capture_output=True, text=True
        )
        assert json.loads(ended.stdout)["folder"] == out  # by one process alone
        assert ended.stderr.count("epoch  1") == 1
        lines = [json.loads(line) for line in Path(out, "metrics.jsonl").read_text().splitlines()]
        curves.append([(line["step"], line["train_loss"], line["loss"]) for line in lines[:-1]])
    assert curves[0] == [pytest.approx(line, rel=1e-5) for line in curves[1]]
    assert len(curves[0]) == 3


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    table = write_table(tmp_path / "mine.csv", copies=10)
    noisy = ("model.dropout=0.3", "train.epochs=3", "train.save_every=0")
    straight = [*TORCHRUN, *arguments(table, "straight", *noisy)]
    subprocess.run(straight, check=True, capture_output=True)
    begun = subprocess.Popen([*TORCHRUN, *arguments(table, "stopped", *noisy)], stderr=subprocess.PIPE, text=True)
    wait_for(Path("stopped/last.pt"))
    begun.send_signal(signal.SIGTERM)
    assert "Traceback" not in begun.communicate(timeout=LONGEST)[1].split("torch/distributed")[0]
    assert not Path("stopped/config.yaml").exists()
    assert checkpoints.load(Path("stopped/last.pt")).progress["epoch"] < 3
    subprocess.run([*TORCHRUN, *arguments(table, "stopped", *noisy), "--resume"], check=True, capture_output=True)
    assert Path("stopped/model.pt").read_bytes() == Path("straight/model.pt").read_bytes()


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others(tmp_path: Path) -> None:
    table = write_table(tmp_path / "mine.csv", copies=10)
    first, second = both(table, table, more=("train.epochs=5000", "train.patience=none"))
    wait_for(Path("run0/model.pt"))
    second.kill()
    second.communicate()
    told = first.communicate(timeout=LONGEST)[1]
    assert first.returncode == 2
    assert "another process of the run has ended" in told
    assert "process 1 of 2" in told


@pytest.mark.slow
def test_processes_with_other_data_are_told_apart(tmp_path: Path) -> None:
    tables = write_table(tmp_path / "mine.csv", copies=10), write_table(tmp_path / "other.csv", copies=9)
    for process in both(*tables):
        told = process.communicate(timeout=LONGEST)[1]
        assert process.returncode == 2
        assert "the processes have read different data" in told
