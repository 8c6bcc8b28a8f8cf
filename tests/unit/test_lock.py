"""One process at a time writes into a folder, and none that has died keeps another out."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

from lstmcli.errors import ConfigError
from lstmcli.storage import lock

fcntl = pytest.importorskip("fcntl", reason="this system has no fcntl")


def test_a_held_folder_is_refused_by_name_and_process_until_it_is_free(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with lock.held(folder):
        for _ in range(2):  # being refused takes nothing away
            with pytest.raises(ConfigError, match="a run is being written there") as caught, lock.held(folder):
                pass
            assert caught.value.where.startswith(f"{folder} (process {os.getpid()} on ")
        (folder / "model.pt").write_text("x")
    assert os.listdir(folder) == ["model.pt"]
    with lock.held(folder):
        pass


def test_a_folder_in_which_nothing_was_written_goes_as_it_came(tmp_path: Path) -> None:
    with lock.held(tmp_path / "runs" / "mine"):
        assert (tmp_path / "runs" / "mine").is_dir()
    assert os.listdir(tmp_path) == []


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    code = "import sys, pathlib; from lstmcli.storage import lock\nwith lock.held(pathlib.Path(sys.argv[1])):\n"
    code += "    print(flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(ConfigError, match="being written") as caught, lock.held(tmp_path):
        pass
    assert f"process {process.pid} on" in caught.value.where
    process.kill()
    process.communicate()
    with lock.held(tmp_path):
        assert (tmp_path / lock.NAME).read_text().startswith(f"process {os.getpid()} on")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "error", [ImportError("no fcntl"), OSError(errno.ENOLCK, "No locks"), OSError(errno.ENOTSUP, "Not supported")]
)
def test_without_locks_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr(lock, "_lock", refuse)
    with lock.held(tmp_path), lock.held(tmp_path):
        assert os.listdir(tmp_path) == []


def test_a_lock_on_a_file_that_was_removed_meanwhile_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, locked = lock._lock, []

    def late(file: IO[Any]) -> None:
        if not locked:  # the run before ends between our opening the file and our locking it
            (tmp_path / lock.NAME).unlink()
        locked.append(file)
        real(file)

    monkeypatch.setattr(lock, "_lock", late)
    with lock.held(tmp_path):
        assert len(locked) == 2
        with pytest.raises(ConfigError, match="being written"), lock.held(tmp_path):
            pass


def test_a_file_that_a_link_names_is_not_emptied(tmp_path: Path) -> None:
    mine, folder = tmp_path / "mine.txt", tmp_path / "of a stranger"
    mine.write_text("precious")
    folder.mkdir()
    (folder / lock.NAME).symlink_to(mine)
    with lock.held(folder):
        assert mine.read_text() == "precious"
    assert mine.read_text() == "precious"
