"""Input made to break things: no traceback, no lost row, and nothing of it steers a terminal."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmcli import load, recipes
from lstmcli.api.model import Model
from lstmcli.api.predict import predict
from lstmcli.config import RunConfig
from lstmcli.config.fields import rows as fields
from lstmcli.errors import LstmcliError
from lstmcli.storage.text_io import TextOptions
from tests.conftest import GOOD, SMALL, TIMES, train_arguments
from tests.e2e.test_budget import SETS

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
MODEST = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
LINES = 40  # of generated files


@pytest.fixture(scope="module")
def model(trained: Path) -> Model:
    return load(trained)


# ---- terminals

STEER = "\x1b]0;title\x07\x1b[2J\x9b31m\x08"  # a title, a cleared screen, a colour by one byte, a step back
RAW = re.compile(r"\x1b\]|\x1b\[2J|[\x07\x08\x9b]")  # rich itself writes none of them in what is not its own


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard streams that count as a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.usefixtures("terminal")
def test_nothing_of_a_file_or_its_name_reaches_a_terminal_raw(run: Run, tmp_path: Path, capsys: Captured) -> None:
    folder = tmp_path / f"a{STEER}"
    folder.mkdir()
    path = folder / f"b{STEER}.jsonl"
    labels = [f"good{STEER}", f"bad{STEER}"]
    path.write_text("".join(
        json.dumps({"text": f"{text} {number}{STEER}", "label": labels[number % 2]}) + "\n"
        for number in range(30) for text in GOOD
    ))  # fmt: skip
    broken = folder / f"c{STEER}.csv"
    broken.write_text(f"text{STEER},label{STEER}\nfine,good\n")
    out = folder / "run"
    few = ["-c", out, "--data", path]
    for code, command in (
        (0, train_arguments(path, out)),
        (0, ["evaluate", *few]),
        (0, ["predict", "-c", out, f"a fine film{STEER}"]),
        (0, ["predict", "-c", out, "--json", f"a fine film{STEER}"]),
        (0, ["predict", "-c", out, "-i", path, "-o", folder / "said.csv"]),
        (0, ["adapt", *few, "--out", folder / "adapted.pt", "--steps", "1"]),
        (2, ["train", broken]),
        (2, ["train", path, "--set", f"model.name={STEER}"]),
        (2, ["train", path, "--set", f"{STEER}=1"]),
        (2, ["train", path, f"--{STEER}"]),
        (2, ["train", path, f"{STEER}"]),
        (2, [f"{STEER}"]),
        (2, ["predict", "-c", folder / STEER, "fine"]),
        (2, ["evaluate", *few, "--map", f"x{STEER}=y{STEER}"]),
    ):
        assert run(*command) == code, command
        shown = capsys.readouterr()
        assert not RAW.search(shown.out + shown.err), command
        assert "\x1b[" in shown.out + shown.err or code == 2 or "--json" in command  # it does count as a terminal


# ---- recipes and overrides

KEYS = [f"{row.section}.{row.key}" if row.section else row.key for row in fields(None)]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(key=st.sampled_from(KEYS), value=VALUES)
@settings(max_examples=150 * TIMES, **MODEST)  # type: ignore[arg-type]
def test_any_value_of_any_key_makes_a_recipe_or_an_error(key: str, value: Any) -> None:
    try:
        assert isinstance(recipes.load("reviews", overrides=[f"{key}={yaml.safe_dump(value)}"]), RunConfig)
    except LstmcliError as error:
        assert str(error)  # noqa: PT017


@given(content=st.text(max_size=60) | VALUES.map(yaml.safe_dump), where=st.integers(0, 300), cut=st.integers(0, 20))
@settings(max_examples=150 * TIMES, **MODEST)  # type: ignore[arg-type]
def test_any_recipe_file_makes_a_recipe_or_an_error(content: str, where: int, cut: int, tmp_path: Path) -> None:
    path, whole = tmp_path / "mine.yaml", (recipes.CONFIGS / "table.yaml").read_text("utf-8")
    path.write_text(whole[:where] + content + whole[where + cut :], "utf-8", errors="surrogatepass")
    try:
        assert isinstance(recipes.load(str(path)), RunConfig)
    except LstmcliError as error:
        assert str(error)  # noqa: PT017


BOMB = "a: &a [x, x]\n" + "".join(f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefghijklmnopqrstuvwxy",
                                  "bcdefghijklmnopqrstuvwxyz", strict=True))  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        "!!python/object/apply:os.system ['touch run']",
        f"model: {'[' * 5_000}{']' * 5_000}",
        f"{'a: {' * 2_000}",
        BOMB,
        f"{BOMB}model: *z",
        "base: mine",
        "? [a]\n: b",
        "2020-01-01: x",
        "model: {hidden: 0x7fffffffffffffffffff}",
        "seed: .nan",
    ],
)
def test_a_recipe_from_a_stranger_is_refused_and_runs_nothing(
    content: str, run: Run, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    assert run("train", tmp_path / "mine.yaml", "--dry-run") == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert len(message) < 1_000
    assert not Path("run").exists()


# ---- texts

TEXTS = st.text(max_size=60) | st.text(st.characters(codec="utf-8"), max_size=20).map(lambda text: text * 50)


@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
@settings(max_examples=40 * TIMES, **MODEST)  # type: ignore[arg-type]
def test_any_texts_have_probabilities_or_an_error(texts: list[str], model: Model) -> None:
    try:
        found = model.predict_proba(texts)
    except LstmcliError as error:  # an empty text, or half a character
        assert "texts[" in error.where  # noqa: PT017
        return
    assert found.shape == (len(texts), 2)
    assert abs(found.sum(axis=1) - 1).max() < 1e-5


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".json", ".txt"])
@given(noise=st.binary(max_size=40), where=st.integers(0, 400))
@settings(max_examples=8 * TIMES, **MODEST)  # type: ignore[arg-type]
def test_every_row_of_a_damaged_file_has_an_answer_or_the_file_an_error(
    ending: str, noise: bytes, where: int, trained: Path, tmp_path: Path
) -> None:
    path, said = tmp_path / f"mine{ending}", tmp_path / "said.jsonl"
    lines = [f"a fine film {number}" for number in range(LINES)]
    delimiter = "\t" if ending == ".tsv" else ","
    content = {
        ".jsonl": "".join(json.dumps({"text": line}) + "\n" for line in lines),
        ".json": json.dumps([{"text": line} for line in lines]),
        ".txt": "".join(f"{line}\n" for line in lines),
    }.get(ending, f"text{delimiter}n\n" + "".join(f"{line}{delimiter}1\n" for line in lines))
    raw = content.encode()
    path.write_bytes(raw[:where] + noise + raw[where:])
    said.unlink(missing_ok=True)
    try:
        predict(rows=TextOptions(source=path), model=trained, output=said).run(lambda _: None)
    except LstmcliError as error:
        assert str(error)  # noqa: PT017
        return
    answers = [json.loads(line) for line in said.read_text("utf-8").splitlines()]
    assert [answer["row"] for answer in answers] == list(range(1, len(answers) + 1))
    end = (
        raw[where:].decode().partition("\n")[2] if b'"' not in noise else ""
    )  # a quotation may hold all lines to its end
    shown = "\n".join(str(answer.get("text")) for answer in answers)
    if ending != ".json":
        assert all(text in shown for text in re.findall(r"a fine film \d+", end))


@pytest.mark.slow
def test_one_line_of_ten_megabytes_is_answered(run: Run, trained: Path, tmp_path: Path) -> None:
    for name, line in (("words.txt", "a fine film " * 870_000), ("word.txt", "x" * 10_000_000)):
        (tmp_path / name).write_text(f"{line}\nfine\n")
        assert run("predict", "-c", trained, "-i", tmp_path / name, "-o", tmp_path / "said.csv") == 0
        assert len((tmp_path / "said.csv").read_bytes().splitlines()) == 3


# ---- quiet


def test_no_socket_is_opened_and_nothing_is_written_elsewhere(
    run: Run, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*arguments: object, **_: object) -> None:
        raise AssertionError(f"a socket was opened: {arguments}")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, forbidden)
    cache, out = Path(os.environ["XDG_CACHE_HOME"]), tmp_path / "out"
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    before = set(tmp_path.rglob("*"))
    assert run(*train_arguments(table, out / "run", "--epochs", "1")) == 0
    assert run("evaluate", "-c", out / "run", "--data", table, "--report", out / "report") == 0
    assert run("predict", "-c", out / "run", "-i", table, "-o", out / "said.csv") == 0
    assert run("adapt", "-c", out / "run", "--data", table, "--out", out / "a.pt", "--steps", "1") == 0
    assert run("train", "reviews", "--dry-run", *(part for override in SMALL for part in ("--set", override))) == 0
    assert run("export", out / "run", out / "a.onnx") == 0
    assert run("predict", "-c", out / "a.onnx", "a fine film", "--explain") in (0, 2)  # an export has no gradients
    assert run("evaluate", "-c", out / "a.onnx", "--data", table) == 0
    assert run("check", table, "--report", out / "found.csv", "--fix", out / "fixed.csv") == 0
    assert run("train", table, *SETS, "--budget", "1h", "--out", out / "searched") == 0  # three trials: all there are
    written = set(tmp_path.rglob("*")) - before
    assert {path for path in written if out not in path.parents and path != out} == set()
    assert list(Path.cwd().iterdir()) == []
    assert cache.is_dir()


def test_the_libraries_send_and_keep_nothing(tmp_path: Path) -> None:
    """Some libraries report to their makers from native code, unless they find themselves in a test of their own."""
    home = tmp_path / "home"
    home.mkdir()
    quiet = ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in quiet} | {"HOME": str(home)}
    code = """
import os, sys
from lstmcli import load
assert load().predict(["a fine film"]).tolist() == ["positive"]
assert "onnxruntime" in sys.modules and "ORT_DISABLE_TELEMETRY" not in os.environ
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []
