"""``export`` and ``train --budget`` killed at any moment: no half file under a final name, and the search goes on."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lstmcli import recipes, search
from lstmcli.api.export import export
from lstmcli.search import trials
from lstmcli.search.limits import Clock
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples, run_folder
from tests.conftest import write_table
from tests.e2e.test_budget import PINNED, SETTINGS, TRIALS

KILLS = int(os.environ.get("LSTMCLI_KILLS", "3"))


def quiet() -> None:
    import torch

    torch.set_num_threads(1)
    os.fsync = lambda _: None  # as in conftest.py: SIGKILL cuts no power


def exporting(model: str, out: str) -> None:
    quiet()
    export(Path(model), Path(out))


def searching(table: str, out: str) -> None:
    quiet()
    os.environ["XDG_CACHE_HOME"] = f"{out}.cache"
    config = recipes.load(table, overrides=SETTINGS)
    resume = (Path(out) / run_folder.TRIALS).is_file()
    search.run(config, examples.read(config), Path(out), search.Limits(Clock(3600)), resume=resume, pinned=PINNED)


def killed(target: Any, arguments: tuple[str, ...], seconds: float | None) -> float:
    """Run in a process of its own, killed after the seconds; return how long a whole run takes."""
    apart = multiprocessing.get_context("forkserver")
    apart.set_forkserver_preload(["tests.e2e.test_killed_commands"])
    process, begun = apart.Process(target=target, args=arguments), time.perf_counter()
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)
    else:
        assert process.exitcode == 0
    return time.perf_counter() - begun


@pytest.mark.slow
def test_an_export_killed_at_any_moment_leaves_a_whole_file_or_none(trained: Path, tmp_path: Path) -> None:
    out, draw = tmp_path / "a.onnx", Random("export")
    whole = killed(exporting, (str(trained), str(out)), None)
    expected = out.read_bytes()
    for _ in range(2 * KILLS):
        out.unlink(missing_ok=True)
        killed(exporting, (str(trained), str(out)), draw.uniform(0, whole))
        assert not out.exists() or out.read_bytes() == expected


@pytest.mark.slow
def test_a_search_killed_at_any_moment_goes_on_and_its_model_is_that_of_the_best_trial(tmp_path: Path) -> None:
    table, draw = write_table(tmp_path / "mine.csv"), Random("search")
    whole = killed(searching, (str(table), str(tmp_path / "straight")), None)
    for number in range(KILLS):
        out = tmp_path / f"killed{number}"
        for _ in range(2):
            killed(searching, (str(table), str(out)), draw.uniform(0, whole))
            if (out / run_folder.MODEL).exists():
                checkpoints.load(out / run_folder.MODEL)
            if (out / run_folder.TRIALS).exists():
                trials.read(out)
        killed(searching, (str(table), str(out)), None)
        tried = trials.read(out)
        best = trials.chosen(tried)
        assert best is not None
        assert len(tried) >= TRIALS
        assert (out / run_folder.MODEL).stat().st_size == best.bytes
        assert (out / run_folder.RECIPE).is_file()
        assert not (out / ".trial").exists()
