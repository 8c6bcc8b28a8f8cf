"""The model that ships, the wheel, and the commands and links of the READMEs."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import Table, parquet

from lstmcli import registry
from lstmcli.cli.app import main
from lstmcli.config import Data
from lstmcli.inference import evaluate
from lstmcli.race import classifiers, quadratics, race
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.storage import run_folder
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.compact import compacted
from lstmcli.training import train
from tests import advice
from tests.conftest import ROOT, skip_unless_run

Run = Callable[..., int]
PAGES = {
    folder: (ROOT / folder / "README.md").read_text("utf-8")
    for folder in (".", "configs", "lstmcli", "lstmcli/pretrained", "tests")
}


def shipped() -> Checkpoint:
    return checkpoints.load(checkpoints.PRETRAINED)


@pytest.mark.parametrize(("name", "size"), [("english", 12_000_000), ("imdb", 8_000_000)])
def test_it_is_small(name: str, size: int) -> None:
    assert run_folder.model_at(Path(name)).stat().st_size <= size


SENTENCES = [
    ("A wonderful, touching film. I loved every minute.", "positive"),
    ("Dull, badly acted and far too long. A waste of time.", "negative"),
    ("Not bad at all, I was pleasantly surprised.", "positive"),
    ("I wanted to like it, but the plot makes no sense and the jokes are awful.", "negative"),
]


def test_predict_works_the_second_after_the_install(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", "--json", *(text for text, _ in SENTENCES)) == 0
    shown = capsys.readouterr()
    assert [json.loads(line)["label"] for line in shown.out.splitlines()] == [label for _, label in SENTENCES]
    assert "the model that ships" in shown.err


def test_evaluate_and_adapt_work_on_the_bundled_reviews(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "--data", "reviews", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["examples"] == 96
    assert set(report["baselines"]) == {"majority"}  # the linear one was fitted on films and did not travel
    assert run("adapt", "--shots", "5", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["query"] == 158 - 10
    assert report["checkpoint"] == "runs/adapted.pt"
    assert run("predict", "-c", "runs/adapted.pt", "fine") == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["english", "imdb"])
def test_its_score_on_imdb_is_that_of_the_model_card(
    name: str, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSTMCLI_DATA", str(real_data))
    path = run_folder.model_at(Path(name))
    checkpoint = checkpoints.load(path)
    _, examples = inputs.to_score(Data(name="imdb"), "test", checkpoint.config)
    report = evaluate.run(checkpoint, examples, data="imdb", split="test", path=path)
    card = PAGES["lstmcli/pretrained"].partition(f"# Model card: `{name}.pt`")[2]
    accuracy, error = re.findall(r"IMDB test accuracy, calibration error \| ([\d.]+) %[^|]*, ([\d.]+) %", card)[0]
    assert 100 * report.metrics["accuracy"]["value"] == pytest.approx(float(accuracy), abs=0.1)
    assert 100 * report.metrics["ece"]["value"] == pytest.approx(float(error), abs=0.1)


@pytest.mark.slow
def test_bfloat16_costs_at_most_0_2_points(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTMCLI_DATA", str(real_data))
    scores = []
    skip_unless_run("bfloat16")
    for precision in ("float32", "bfloat16"):
        config = shipped().config.model_copy(update={"precision": precision})
        _, examples = inputs.to_score(Data(name="imdb"), "test", config)
        checkpoint = replace(shipped(), config=config)
        report = evaluate.run(checkpoint, examples, data="imdb", split="test", path=checkpoints.PRETRAINED)
        scores.append(report.metrics["accuracy"]["value"])
    assert scores[0] == pytest.approx(scores[1], abs=0.002)


def test_compacting_keeps_the_predictions(
    trained: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = checkpoints.load(trained)
    checkpoints.save(compacted(whole), tmp_path / "small.pt")
    reports = []
    for path in (trained, tmp_path / "small.pt"):
        assert run("predict", "-c", path, "--json", "--precision", "float32", "a warm and kind film", "dull") == 0
        reports.append([json.loads(line)["probability"] for line in capsys.readouterr().out.splitlines()])
    assert reports[0] == pytest.approx(reports[1], abs=2e-3)
    fewer = compacted(whole, words=5)
    assert len(fewer.vocabulary) == 5
    assert fewer.vocabulary.words == whole.vocabulary.words[:5]


def commands(page: str) -> list[str]:
    """Every lstmcli command in a page's shell blocks, without comments and without what other programs do."""
    blocks = re.findall(r"```(?:console|sh)\n(.*?)```", PAGES[page], re.S)
    lines = [line.removeprefix("$ ").split("#")[0] for block in blocks for line in block.splitlines()]
    parts = [part.split("|")[-1].split(">")[0].strip() for line in lines for part in line.split("&&")]
    return [part for part in parts if part.startswith("lstmcli ")]


COMMANDS = [
    pytest.param(command, marks=[] if command in commands(".") else pytest.mark.slow, id=command)
    for command in sorted({command for page in PAGES for command in commands(page)})
]


def test_readme_shows_every_command() -> None:
    assert {line.split()[1] for line in commands(".")} == {*advice.COMMANDS}


def test_readme_is_short() -> None:
    assert PAGES["."].count("\n") <= 150


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", PAGES[page])
    assert [target for target in targets if not (ROOT / page / target).exists()] == []
    anchors = re.findall(r"\]\(([^)#]*)#([^)]+)\)", PAGES[page])
    for target, anchor in anchors:
        titles = re.findall(r"^#+ (.*)", (ROOT / page / (target or "README.md")).read_text("utf-8"), re.M)
        assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of short runs that other commands start from: the bundled reviews, and a language model."""
    folder = tmp_path_factory.mktemp("short")
    texts = folder / "texts.txt"
    texts.write_text("a fine film\na dull one\n" * 20)
    for arguments in (["reviews"], ["lm", "--data", str(texts)]):
        with pytest.raises(SystemExit) as end:
            main(["train", *arguments, "--epochs", "1", "-q", "--out", str(folder / "runs" / arguments[0])])
        assert not end.value.code
    return folder / "runs"


# What a dry run on a specimen does without: large vectors, and what other runs have learned.
WITHOUT = {
    "imdb-pretrained": ["model.init=none"],
    "imdb-taught": ["model.init=none", "train.teacher=linear"],
    "imdb-small": ["model.vectors=none", "train.teacher=linear"],
    "conll2003": ["model.vectors=none"],
    "my/conll/folder": ["model.vectors=none"],
}


def write_inputs() -> None:
    """The files that the commands name, and the specimens of the data sets under ``data``."""
    for name in ("imdb", "conll2003", "ptb"):
        for file, content in registry.find(registry.DATASETS, name).SPECIMEN.items():
            path = Path("data", name, file)
            for number in range(10 if name == "imdb" else 1):  # of two reviews none can be held out
                path.parent.mkdir(parents=True, exist_ok=True)
                path.with_name(f"{number}{path.name}" if name == "imdb" else path.name).write_text(content)
    Path("data/imdb/train/unsup").mkdir()
    for number in range(10):
        Path(f"data/imdb/train/unsup/{number}_0.txt").write_text(f"Film number {number} is one of another kind. " * 3)
    shutil.copytree("data/conll2003", "my/conll/folder")
    Path("banking77").mkdir()
    named = {"my.csv": ("good", "bad"), "travel.csv": ("carry_on", "car_rental"), "few.csv": ("a", "b", "c", "d", "e")}
    for file, labels in {**named, "banking77/train.csv": ("lost_card", "top_up")}.items():
        rows = [f"the {label} thing {number},{label}" for number in range(20) for label in labels]
        Path(file).write_text("\n".join(["text,category" if "/" in file else "text,label", *rows]))
    rows = [{"text": f"thing {number}", "labels": ["new", "old"][number % 3 :]} for number in range(20)]
    parquet.write_table(Table.from_pylist(rows), "my.parquet")
    Path("texts.csv").write_text("text\na fine film\n")
    shutil.copy("texts.csv", "pool.csv")
    shutil.copy("my.csv", "next.csv")
    Path("scored.csv").write_text("text,label\na fine film,1\na dull one,0\n")
    for file in ("my-texts.txt", "news.txt"):
        Path(file).write_text("a fine film\na dull one\n" * 20)
    Path("more.txt").write_text("a fine thing of another kind\n")


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_pages_are_understood(
    line: str, run: Run, trained: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is run on small things, training without its steps: every option must exist and every recipe load."""
    for module in (train, race):
        monkeypatch.setattr(module, "TIMED", 1)
    for kind in (classifiers, quadratics):
        monkeypatch.setattr(kind, "COUNT", 4)
    monkeypatch.setenv("LSTMCLI_DATA", "data")
    write_inputs()
    for name in ("reviews", *(["lm"] if "runs/lm" in line else [])):
        shutil.copytree(runs / name, Path("runs", name))
    Path("runs/teacher").mkdir()
    Path("runs/teacher/model.pt").write_bytes(trained.read_bytes())
    command, *arguments = shlex.split(line)[1:]
    if command == "train" and arguments:
        without = [part for override in WITHOUT.get(arguments[0], []) for part in ("--set", override)]
        arguments += [*without, *([] if "--dry-run" in arguments else ["--dry-run"])]
    model = checkpoints.PRETRAINED if "--map" in arguments else trained  # of the labels that the page names
    if command == "evaluate":
        arguments += ["-c", str(runs / "lm" if "--dynamic" in arguments else model)]
    if "--shots" in arguments and command == "evaluate":
        arguments += ["--data", "few.csv" if "--ways" in arguments else "my.csv", "--episodes", "4"]
    if command == "predict" and "--input" not in arguments and not [part for part in arguments if " " in part]:
        arguments += ["--input", "my.csv"]  # in place of a pipe
    assert run(command, *arguments) == 0


@pytest.mark.slow
def test_the_wheel_works_in_a_clean_place(tmp_path: Path) -> None:
    """Built, installed into a fresh virtual environment away from the repository, and the four commands run there."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT], check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    binaries = tmp_path / "venv" / "bin"
    install = [binaries / "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, check=True, capture_output=True, timeout=600)
    away = tmp_path / "away"
    away.mkdir()
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LSTMCLI", "VIRTUAL"))
    }
    for arguments in (
        ["--version"],
        ["predict", "a fine film"],
        ["train", "reviews", "--epochs", "2"],
        ["evaluate"],
        ["adapt", "--shots", "5"],
        ["train", "imdb", "--dry-run", "--data", "missing"],
    ):
        command = [binaries / "lstmcli", *arguments]
        done = subprocess.run(command, cwd=away, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == (2 if "missing" in arguments else 0), done.stderr
        assert "Traceback" not in done.stderr
