"""What this machine can do: precisions, by trying them, and threads."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lstmcli import load
from lstmcli.config import RunConfig
from lstmcli.errors import RuntimeSetupError
from lstmcli.machine import malloc, runtime
from lstmcli.models.lstm import LSTM
from lstmcli.storage import checkpoint as checkpoints
from tests.conftest import train_arguments, write_table

Run = Callable[..., int]


@pytest.fixture
def no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor without a bfloat16 LSTM, whichever is at hand."""
    monkeypatch.setattr(runtime, "runs_bfloat16", lambda _: False)


def test_the_probe_finds_what_the_programs_own_lstm_can_do() -> None:
    torch.manual_seed(0)
    lstm = LSTM(3, 5, layers=2, bidirectional=True)
    where = runtime.Runtime("cpu", torch.bfloat16)
    works = []
    for training in (False, True):
        try:
            with torch.inference_mode(not training), where.autocast():
                hidden, _ = lstm.train(training)(torch.randn(3, 6, 3), torch.tensor([6, 2, 4]))
            if training:
                hidden.float().sum().backward()
            works.append(True)
        except RuntimeError:
            works.append(False)
    assert runtime.runs_bfloat16("cpu") == all(works)


def standing_in(inputs: torch.Tensor, _state: object, weights: list[torch.Tensor], *_: object) -> list[torch.Tensor]:
    """An LSTM that runs on every processor, as far as the probe can see."""
    return [inputs.sum() * torch.stack([weight.sum() for weight in weights])]


@pytest.mark.parametrize("missing", [{False}, {True}, {False, True}, set()])
def test_a_kernel_that_lacks_for_inference_or_for_training_is_found(
    missing: set[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_in_one(*arguments: Any) -> list[torch.Tensor]:
        if arguments[6] in missing:  # whether it is for training
            raise RuntimeError("could not create a primitive descriptor")
        return standing_in(*arguments)

    monkeypatch.setattr(torch, "lstm", fails_in_one)
    assert runtime.runs_bfloat16.__wrapped__("cpu") == (not missing)


def test_a_kernel_that_fails_backward_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr(torch, "lstm", standing_in)
    monkeypatch.setattr(torch.autograd, "grad", fails)
    assert not runtime.runs_bfloat16.__wrapped__("cpu")


def test_the_probe_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    runtime.runs_bfloat16.__wrapped__("cpu")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("fast", "runs", "chosen"),
    [(False, True, torch.float32), (True, False, torch.float32), (True, True, torch.bfloat16)],
)
def test_auto_is_bfloat16_where_it_is_fast_and_runs(
    fast: bool, runs: bool, chosen: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "fast_bfloat16", lambda _: fast)
    monkeypatch.setattr(runtime, "runs_bfloat16", lambda _: runs)
    assert runtime.prepare(RunConfig(device="cpu")).dtype is chosen


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_nothing_is_tried_where_bfloat16_is_not_in_question(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(_: str) -> bool:
        raise AssertionError

    monkeypatch.setattr(runtime, "fast_bfloat16", lambda _: False)
    monkeypatch.setattr(runtime, "runs_bfloat16", tried)
    assert runtime.prepare(RunConfig(device="cpu", precision=precision)).dtype is torch.float32


@pytest.mark.usefixtures("no_bfloat16")
def test_bfloat16_where_it_cannot_run_names_a_remedy_that_works_for_each_command(
    run: Run, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_table(tmp_path / "mine.csv")
    kept = checkpoints.load(trained)  # of a machine that runs it
    halved = replace(kept, config=kept.config.model_copy(update={"precision": "bfloat16"}))
    checkpoints.save(halved, tmp_path / "halved.pt")
    recipe = train_arguments(data, tmp_path / "run", "--epochs", "1", "--set", "precision=bfloat16")
    adapt = ["adapt", "--data", data, "--shots", "1", "--steps", "1", "--out", tmp_path / "a.pt", "-c"]
    for command in (
        ["predict", "fine", "-c", tmp_path / "halved.pt"],
        ["predict", "fine", "-c", trained, "--precision", "bfloat16"],
        ["evaluate", "-c", tmp_path / "halved.pt"],
        [*adapt, tmp_path / "halved.pt"],
        recipe,
    ):
        capsys.readouterr()
        assert run(*command) == 2, command
        message = " ".join(capsys.readouterr().err.split())
        assert "the device runs no LSTM in bfloat16 precision=bfloat16 on cpu → --precision float32" in message
        assert run(*command, "--precision", "float32") == 0, command


def test_a_run_goes_on_in_another_precision_since_another_machine_may_lack_the_first(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = train_arguments(write_table(tmp_path / "mine.csv"), tmp_path / "run", "--epochs", "1")
    assert run(*arguments, "--precision", "auto") == 0
    assert run(*arguments, "--resume", "--precision", "float32") == 0


def test_each_precision_is_that_of_the_command(
    run: Run, trained: Path, precision: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", "a warm and quiet film", "-c", trained, "--json", "--precision", precision) == 0
    assert json.loads(capsys.readouterr().out)["label"] == "good"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("1", 1), ("1,2", 1), ("100000", None), ("0", None), ("-1", None), ("many", None), ("", None), (None, None)],
)
def test_omp_num_threads_bounds_the_threads(
    given: str | None, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    available = runtime.available_threads()
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert runtime.available_threads() == (expected or available)


def test_what_others_set_in_the_environment_during_a_call_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KMP_INIT_AT_FORK", raising=False)
    monkeypatch.setenv("KMP_DUPLICATE_LIB_OK", "mine")
    monkeypatch.delenv("SET_BY_A_LISTENER", raising=False)

    def listener(_: object) -> None:
        os.environ["SET_BY_A_LISTENER"] = "1"
        os.environ["KMP_INIT_AT_FORK"] = "FALSE"  # as scikit-learn sets it

    load().evaluate(["a fine film", "a dull film"], ["positive", "negative"], listener=listener)
    assert os.environ.pop("SET_BY_A_LISTENER") == "1"
    assert "KMP_INIT_AT_FORK" not in os.environ
    assert os.environ["KMP_DUPLICATE_LIB_OK"] == "mine"


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(RuntimeSetupError, match="CUDA devices"):
        runtime.prepare(RunConfig(device="cuda:99"))


def test_commands_keep_freed_memory(run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bool] = []
    monkeypatch.setattr(malloc, "keep", lambda *, shared: kept.append(shared))
    assert run("predict", "fine", "-c", trained) == 0
    assert kept == [False]


@pytest.mark.parametrize(
    ("device", "driver", "torch_has_cuda", "expected"),
    [("cpu", True, True, False), ("cuda:0", False, False, True), ("auto", False, True, False),
     ("auto", True, True, True), ("auto", True, False, False)],
)  # fmt: skip
def test_torch_is_asked_for_a_gpu_only_where_there_is_a_driver(
    device: str, driver: bool, torch_has_cuda: bool, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "DRIVER", tmp_path if driver else tmp_path / "none")
    monkeypatch.setattr(runtime.shutil, "which", lambda _: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: torch_has_cuda)
    assert runtime.may_be_cuda(RunConfig(device=device)) == expected
