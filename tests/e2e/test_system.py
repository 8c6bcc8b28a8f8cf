"""What the operating system refuses stops nothing that it need not, and never ends in a traceback."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from lstmcli.config import Data, RunConfig
from lstmcli.errors import ConfigError
from lstmcli.storage import atomic, data_option, examples, lock, run_folder
from tests.conftest import train_arguments, write_table

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
LSTMCLI = f"{sys.executable} -m lstmcli"
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


# ---- the cache folder


@pytest.mark.parametrize("home", ["/dev/null", "file"])
def test_a_home_that_is_no_folder_stops_nothing(
    run: Run, trained: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / home))
    if home == "file":
        assert run(*train_arguments(table, tmp_path / "run")) == 0
    assert run("evaluate", "-c", trained, "--data", table) == 0
    assert run("adapt", "-c", trained, "--data", table, "--out", tmp_path / "a.pt", "--steps", "1") == 0


def refuse_paths_in(closed: Path, patch: pytest.MonkeyPatch) -> None:
    """Nothing about what is in the folder can be found out, as for a user who may not enter it."""
    real = os.stat

    def stat(path: Any, *more: Any, **options: Any) -> os.stat_result:
        if not isinstance(path, int) and closed in Path(os.fsdecode(path)).parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *more, **options)

    patch.setattr(os, "stat", stat)


def test_a_home_of_another_user_stops_nothing(
    run: Run, trained: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    refuse_paths_in(tmp_path / "home", monkeypatch)
    assert examples.cache_folder() is None
    assert run("adapt", "-c", trained, "--data", table, "--out", tmp_path / "a.pt", "--steps", "1") == 0


@pytest.mark.parametrize("found", [RuntimeError("no home"), "~/.cache/lstmcli"])
def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch, found: object) -> None:
    def user_cache_dir(_: str) -> object:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(platformdirs, "user_cache_dir", user_cache_dir)
    assert examples.cache_folder() is None


# ---- paths


CLOSED = [  # arguments with {}, the closed folder
    ["train", "{}/mine.csv"],
    ["train", "{}/recipe.yaml"],
    ["train", "--data", "{}/mine.csv"],
    ["train", "reviews", "--data", "{}/mine.csv"],
    ["train", "reviews", "--out", "{}/run"],
    ["train", "reviews", "--out", "{}/run", "--resume"],
    ["train", "reviews", "--set", "model.init={}/model.pt"],
    ["train", "reviews", "--set", "train.teacher={}/model.pt"],
    ["predict", "-i", "{}/mine.csv"],
    ["predict", "-o", "{}/said.csv", "fine"],
    ["predict", "-c", "{}/model.pt", "fine"],
    ["evaluate", "-c", "{}"],
    ["evaluate", "--data", "{}/mine.csv"],
    ["evaluate", "--report", "{}/report"],
    ["adapt", "--data", "{}/mine.csv"],
    ["adapt", "--out", "{}/a.pt"],
]


@pytest.mark.parametrize("arguments", CLOSED, ids=" ".join)
def test_a_path_that_may_not_be_entered_is_named_with_the_remedy(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, arguments: list[str]
) -> None:
    closed = tmp_path / "closed" / "in"
    refuse_paths_in(tmp_path / "closed", monkeypatch)
    assert run(*(argument.format(closed) for argument in arguments)) == 2
    message = "".join(capsys.readouterr().err.splitlines())
    assert any(
        what in message for what in ("cannot be read: Permission denied", "cannot be written: Permission denied")
    )
    assert str(closed) in message
    assert "check its permissions" in message


def test_a_file_of_another_user_is_named_with_the_remedy(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    write_table(closed / "mine.csv")
    as_user: list[str] = []
    if os.geteuid() == 0:  # who may read everything, unless that is given up
        if shutil.which("setpriv") is None:
            pytest.skip("root without setpriv cannot give up its rights")
        as_user = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        os.chown(closed, 65534, 65534)
    closed.chmod(0o700 if as_user else 0)
    done = subprocess.run(
        [*as_user, sys.executable, "-m", "lstmcli", "predict", "-i", closed / "mine.csv"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    closed.chmod(0o700)
    assert done.returncode == 2
    what, where, fix = done.stderr.splitlines()
    assert what.endswith("cannot be read: Permission denied")
    assert where == str(closed / "mine.csv")
    assert fix.startswith("→ check its permissions")


def test_a_fault_of_the_program_keeps_its_traceback(run: Run, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (OSError(errno.EINVAL, "Invalid argument", "x"), OSError("odd"), FileNotFoundError(2, "None", "x")):

        def fail(*_: object, listener: object, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr(examples, "read", fail)
        with pytest.raises(OSError, match=str(error).partition("]")[0].lstrip("[")):
            run("train", table, "--dry-run")


@pytest.mark.parametrize(
    ("name", "message"), [("x" * 300 + ".csv", "File name too long"), ("loop.csv", "there is no such")]
)
def test_odd_paths_are_reported(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, name: str, message: str
) -> None:
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    for command in (["train"], ["train", "reviews", "--data"], ["predict", "-c", trained, "-i"],
                    ["evaluate", "-c", trained, "--data"], ["predict", "fine", "-c"]):  # fmt: skip
        assert run(*command, tmp_path / name) == 2
        assert message in capsys.readouterr().err
    assert run("train", "reviews", "--out", tmp_path / name) == 2
    assert "cannot be written: File" in capsys.readouterr().err
    assert run("train", "reviews", "--set", 'data.path="a\\0b.csv"') == 2
    assert "there is no such file" in capsys.readouterr().err
    assert run("train", tmp_path / "loop.csv") == 2
    assert "check the symbolic link: it leads to loop.csv" in capsys.readouterr().err


def test_a_name_that_is_not_utf8_is_read_written_and_shown(
    run: Run, table: Path, tmp_path: Path, capsys: Captured
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        odd.mkdir()
    except OSError:
        pytest.skip("this file system has UTF-8 names alone")
    data = table.rename(odd / "mine.csv")
    assert run(*train_arguments(data, odd / "run", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == str(odd / "run")
    assert run("evaluate", "-c", odd / "run", "--json", "--report", odd / "report") == 0
    assert json.loads(capsys.readouterr().out)["data"] == str(data)
    assert run("evaluate", "-c", odd / "run") == 0
    assert "caf\\udce9/mine.csv" in capsys.readouterr().out
    assert run("train", odd / "missing.csv") == 2
    assert "caf\\udce9/missing.csv" in capsys.readouterr().err


def test_control_characters_of_a_name_do_not_reach_the_terminal(run: Run, capsys: Captured) -> None:
    assert run("train", "a\x1b]0;title\x07\r\x9b.csv") == 2
    assert capsys.readouterr().err.splitlines()[1] == r"a\x1b]0;title\x07\x0d\x9b.csv"


def test_a_deleted_folder_is_reported(run: Run, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run("train") == 2
    assert "the current folder does not exist any more" in capsys.readouterr().err


# ---- standard streams


def shell(command: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False,
                          env=os.environ | environment)  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["--help", "train --json"])
def test_a_full_standard_output_is_reported(arguments: str, unbuffered: str) -> None:
    message = (
        "error: standard output cannot be written: No space left on device\n→ make room, or send it elsewhere: > FILE\n"
    )
    assert shell(f"{LSTMCLI} {arguments} > {FULL}", PYTHONUNBUFFERED=unbuffered) == (2, "", message)


@pytest.mark.slow
@needs_full
def test_notes_that_cannot_be_written_stop_nothing() -> None:
    code, out, _ = shell(f"{LSTMCLI} train 2> {FULL}")
    assert (code, out[:6]) == (0, "recipe")
    assert shell(f"{LSTMCLI} train missing.csv 2> {FULL}")[0] == 2
    code, out, _ = shell(f"{LSTMCLI} train 2>&-")
    assert (code, out[:6]) == (0, "recipe")


@pytest.mark.slow
def test_closed_streams_end_in_no_traceback() -> None:
    assert shell(f"{LSTMCLI} train --json >&- <&-") == (0, "", "")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "lstmcli", "train", "--json"], stdout=writer, stderr=subprocess.PIPE,
                          check=False)  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


class Terminal(io.TextIOWrapper):
    """A terminal of another encoding."""

    def isatty(self) -> bool:
        return True


def bytes_of(monkeypatch: pytest.MonkeyPatch, kind: type[io.TextIOWrapper], encoding: str) -> io.BytesIO:
    """What is written to standard output from now on."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", kind(written, encoding))
    return written


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_pipe_of_another_encoding_gets_utf8(
    run: Run, trained: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    text = "東京 café 🙂"
    written = bytes_of(monkeypatch, io.TextIOWrapper, encoding)
    assert run("predict", "-c", trained, text) == 0
    assert run("predict", "-c", trained, text, "--json") == 0
    plain, as_json = written.getvalue().decode().splitlines()
    assert plain.split("\t")[2] == json.loads(as_json)["text"] == text
    written = bytes_of(monkeypatch, io.TextIOWrapper, encoding)
    assert run(*train_arguments(table, tmp_path / "run")) == 0
    assert " → " in written.getvalue().decode()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_of_another_encoding_gets_what_it_lacks_escaped(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    text = "東京 café 🙂"
    written = bytes_of(monkeypatch, Terminal, encoding)
    assert run("predict", "-c", trained, text) == 0
    assert text.encode(encoding, "backslashreplace") in written.getvalue()
    written = bytes_of(monkeypatch, Terminal, encoding)
    assert run("predict", "-c", trained, text, "--json") == 0
    assert json.loads(written.getvalue().decode("ascii"))["text"] == text


def test_what_is_no_file_is_written_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    atomic.claim_file(pipe)
    with atomic.whole(pipe) as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()
    (tmp_path / "link").symlink_to("target")
    for content in (b"one", b"two"):
        with atomic.whole(tmp_path / "link") as file:
            file.write(content)
        assert (tmp_path / "target").read_bytes() == content
    assert (tmp_path / "link").is_symlink()


# ---- two at once


@pytest.mark.parametrize("option", ["--quiet", "--force", "--resume"])
def test_a_second_run_in_the_same_folder_is_refused(
    run: Run, table: Path, tmp_path: Path, capsys: Captured, option: str
) -> None:
    out = tmp_path / "run"
    with lock.held(out):
        (out / run_folder.LAST).write_text("of the first run")
        assert run(*train_arguments(table, out, option)) == 2
        assert sorted(os.listdir(out)) == [lock.NAME, run_folder.LAST]
    message = " ".join(capsys.readouterr().err.split())
    assert f"a run is being written there {out} (process {os.getpid()} on" in message
    assert "--out DIR" in message


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("mine.csv", "mine"),
        ("fold1/train.csv", "fold1-train"),
        ("fold2/../fold1/Train.tsv", "fold1-Train"),
        ("fold1/train-00000-of-00001.parquet", "fold1-train-00000-of-00001"),
        ("fold1/data.csv.gz", "fold1-data"),
        ("project/data", "project-data"),
        ("v1.0", "v1.0"),
        ("v1.0/trains.csv", "trains"),
    ],
)
def test_data_of_common_names_is_trained_in_folders_of_its_own(tmp_path: Path, data: str, name: str) -> None:
    for made in ("fold1", "fold2", "project/data", "v1.0"):
        (tmp_path / made).mkdir(parents=True)
    assert run_folder.default(str(tmp_path / data)) == Path("runs") / name


# ---- names of recipes, and of files


def enough(*_: object, listener: object) -> None:
    raise ConfigError("that is enough")


def test_a_bare_name_is_the_recipe_or_data_set_and_a_note_names_the_folder(
    run: Run, trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    Path("reviews").mkdir()
    write_table(Path("reviews/train.csv"))
    assert run("train", "reviews", "--set", "train.lr=-1") == 2
    assert "'reviews' is the recipe of that name; for the file or folder here: lstmcli train ./reviews" in (
        capsys.readouterr().err
    )
    assert data_option.named("reviews", RunConfig(), {}) == Data(name="reviews")
    for path in ("./reviews", "reviews/"):
        assert data_option.named(path, RunConfig(), {}).path == Path(path)
    with monkeypatch.context() as patched:
        for read in ("to_score", "everything"):
            patched.setattr(examples, read, enough)
        for command in ("evaluate", "adapt"):
            assert run(command, "-c", trained, "--data", "reviews") == 2
            assert "'reviews' is the data set of that name; for the file or folder here: --data ./reviews" in (
                capsys.readouterr().err
            )
    assert run("evaluate", "-c", trained, "--data", "./reviews") == 0
    assert "data set of that name" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message", "fix"),
    [
        ("data/nofile.csv", "there is no such file or folder data/nofile.csv", "did you mean 'data/my-file.csv'?"),
        ("daat/my-file.csv", "daat/my-file.csv: there is no folder daat", "did you mean 'data'?"),
        ("ymfile.csv", "there is no such file or folder ymfile.csv", "check the path"),
        ("revews", "there is no recipe, recipe file or data at 'revews'", "did you mean 'reviews'?"),
        ("datta", "there is no recipe, recipe file or data at 'datta'", "did you mean 'data'?"),
        ("qqqqqq", "there is no recipe, recipe file or data at 'qqqqqq'", "the recipes: lstmcli train"),
    ],
)
def test_a_mistyped_path_or_name_is_reported_with_the_nearest(
    run: Run, capsys: Captured, given: str, message: str, fix: str
) -> None:
    Path("data").mkdir()
    Path("data/my-file.csv").write_text("text,label\n")
    assert run("train", given) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert message in shown
    assert fix in shown
    assert len(shown) < 300
