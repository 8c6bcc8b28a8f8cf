"""The model that ships, the wheel, and what README tells people to type."""

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

from lstmcli.cli.app import main
from lstmcli.inference import evaluate
from lstmcli.race import classifiers, quadratics, race
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.export import compacted
from lstmcli.training import train
from lstmcli.types import finish
from tests.conftest import ROOT, skip_unless_run

Run = Callable[..., int]
README = (ROOT / "README.md").read_text("utf-8")


def shipped() -> Checkpoint:
    return checkpoints.load(checkpoints.PRETRAINED)


def test_it_is_small() -> None:
    assert checkpoints.PRETRAINED.stat().st_size <= 8_000_000


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
    said = json.loads(capsys.readouterr().out)
    assert said["examples"] == 96
    assert set(said["baselines"]) == {"majority"}  # the linear one was fitted on films and did not travel
    assert run("adapt", "--shots", "5", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["query"] == 70
    assert said["checkpoint"] == "runs/adapted.pt"
    assert run("predict", "-c", "runs/adapted.pt", "fine") == 0


@pytest.mark.slow
def test_its_score_on_imdb_is_what_the_model_card_says(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTMCLI_DATA", str(real_data))
    config = shipped().config
    _, examples = finish(inputs.to_score(config.data, "test", config))
    report = finish(evaluate.run(shipped(), examples, data="imdb", split="test", path=checkpoints.PRETRAINED))
    (stated,) = re.findall(r"Test accuracy \| ([\d.]+) %", README)
    assert 100 * report.metrics["accuracy"]["value"] == pytest.approx(float(stated), abs=0.1)
    assert report.metrics["ece"]["value"] <= 0.02


@pytest.mark.slow
def test_bfloat16_costs_at_most_0_2_points(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTMCLI_DATA", str(real_data))
    scores = []
    skip_unless_run("bfloat16")
    for precision in ("float32", "bfloat16"):
        config = shipped().config.model_copy(update={"precision": precision})
        _, examples = finish(inputs.to_score(config.data, "test", config))
        checkpoint = replace(shipped(), config=config)
        report = finish(evaluate.run(checkpoint, examples, data="imdb", split="test", path=checkpoints.PRETRAINED))
        scores.append(report.metrics["accuracy"]["value"])
    assert scores[0] == pytest.approx(scores[1], abs=0.002)


def test_compacting_keeps_the_predictions(
    trained: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = checkpoints.load(trained)
    checkpoints.save(compacted(whole), tmp_path / "small.pt")
    said = []
    for path in (trained, tmp_path / "small.pt"):
        assert run("predict", "-c", path, "--json", "--precision", "float32", "a warm and kind film", "dull") == 0
        said.append([json.loads(line)["probability"] for line in capsys.readouterr().out.splitlines()])
    assert said[0] == pytest.approx(said[1], abs=2e-3)
    fewer = compacted(whole, words=5)
    assert len(fewer.vocabulary) == 5
    assert fewer.vocabulary.words == whole.vocabulary.words[:5]


def commands() -> list[str]:
    """Every lstmcli command in README's shell blocks."""
    blocks = re.findall(r"```(?:console|sh)\n(.*?)```", README, re.S)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("lstmcli ")]


def test_readme_shows_the_four_commands() -> None:
    assert {line.split()[1] for line in commands()} == {"train", "evaluate", "adapt", "predict"}


@pytest.fixture(scope="module")
def reviews_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run on the bundled reviews."""
    out = tmp_path_factory.mktemp("reviews") / "run"
    with pytest.raises(SystemExit) as end:
        main(["train", "reviews", "--epochs", "1", "-q", "--out", str(out)])
    assert not end.value.code
    return out


@pytest.mark.parametrize("line", commands())
def test_readmes_commands_are_understood(
    line: str, run: Run, tmp_path: Path, trained: Path, reviews_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is run on small things: every option must exist and every recipe load."""
    for module in (train, race):
        monkeypatch.setattr(module, "TRIED", 1)
    for kind in (classifiers, quadratics):
        monkeypatch.setattr(kind, "COUNT", 4)
    command, *arguments = shlex.split(line.split("#")[0].split("|")[-1].split(">")[0])[1:]
    Path("texts.csv").write_text("text\na fine film\n")
    Path("my.csv").write_text(
        "text,label\n" + "".join(f"a {word} thing {n},{word}\n" for n in range(20) for word in ("good", "bad"))
    )
    Path("scored.csv").write_text("text,label\na fine film,1\na dull one,0\n")
    Path("my-texts.txt").write_text("a fine film\na dull one\n" * 20)
    Path("more.txt").write_text("a fine thing of another kind\n")
    Path("runs/teacher").mkdir(parents=True)
    Path("runs/teacher/model.pt").write_bytes(trained.read_bytes())
    if command == "train":
        arguments += ["--dry-run"] if arguments else []
        if {"imdb", "imdb-lm", "ptb", "conll2003", "news.txt", "my/conll/folder", "model.init=runs/lm/model.pt"} & set(
            arguments
        ):
            pytest.skip("needs data that is not here")
    if any(argument.startswith("reviews-") for argument in arguments):  # they begin with what it has learned
        shutil.copytree(reviews_run, "runs/reviews")
    model = checkpoints.PRETRAINED if "--map" in arguments else trained  # of the labels that README names
    if "--dynamic" in arguments:
        assert run("train", "lm", "--data", "my-texts.txt", "--epochs", "1", "--out", tmp_path / "lm", "-q") == 0
        model = tmp_path / "lm" / "model.pt"
    if command == "evaluate":
        arguments += ["-c", str(model)]
    if "--shots" in arguments and command == "evaluate":
        words = ("good", "bad", "odd", "dull", "kind")[: 5 if "--ways" in arguments else 2]
        Path("few.csv").write_text("text,label\n" + "".join(f"{w} {n},{w}\n" for n in range(9) for w in words))
        arguments += ["--data", "few.csv", "--episodes", "4"]
    if command == "predict" and not {"--input", "-i"} & set(arguments) and not [a for a in arguments if " " in a]:
        arguments += ["a fine film"]
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
