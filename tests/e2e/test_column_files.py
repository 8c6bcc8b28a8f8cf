"""Files of words and tags as commands meet them: known by what they hold, never taken for texts."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lstmcli import recipes
from lstmcli.errors import ConfigError

Run = Callable[..., int]
ROWS = "Ada\tB-PER\nByron\tI-PER\nslept\tO\nin\tO\nNew York\tB-LOC\n\nRain\tO\nfell\tO\n\n"
MARKED = {"text": "Ada Byron slept.", "entities": [[0, 9, "PER"]]}
TINY = ["--set", "model.vectors=none", "--set", "model.embedding=4", "--set", "model.hidden=4", "--set",
        "model.character_features=4", "--threads", "1", "--dry-run"]  # fmt: skip


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lstmcli.cli.app import main

    folder = tmp_path_factory.mktemp("tagger")
    (folder / "train.txt").write_text(ROWS * 8)
    arguments = ["train", folder / "train.txt", *TINY[:-1], "--epochs", "1", "--out", folder / "run", "-q"]
    with pytest.raises(SystemExit) as end:
        main(list(map(str, arguments)))
    assert end.value.code == 0
    return folder / "run" / "model.pt"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mine/train.txt", ROWS * 8),
        ("mine/train.tsv", ROWS * 8),
        ("mine/eng.train", ROWS * 8),
        ("mine.conllu", ROWS * 8),
        ("mine.jsonl", (json.dumps(MARKED) + "\n") * 8),
        ("mine/train.jsonl", (json.dumps(["Ada slept.", {"entities": [[0, 3, "PER"]]}]) + "\n") * 8),
        ("mine.json", json.dumps([MARKED] * 8)),
    ],
)
def test_training_knows_entities_by_what_the_file_holds(name: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    data = path.parent if "/" in name else path
    assert recipes.load(str(data)).data.name == "conll2003"


def test_a_fault_in_columns_is_named_by_a_dry_run(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "train.txt"
    path.write_text("Ada B-PER\nslept\n\n" + "Bob B-PER\nsang O\n\n" * 20)
    assert run("train", tmp_path, *TINY) == 2
    message = capsys.readouterr().err
    assert "train.txt:2: 1 column where the file began with 2" in message.replace("\n", "")
    assert run("train", tmp_path, *TINY, "--set", "data.bad_rows=skip") == 0


def test_the_remedy_for_tags_before_words_works(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "train.txt"
    path.write_text("B-PER Ada\nO slept\n\n" * 20)
    assert run("train", tmp_path, *TINY) == 2
    message = capsys.readouterr().err
    assert "train.txt:1" in message.replace("\n", "")
    assert "--set data.tag_column=1 --set data.word_column=2" in message
    assert run("train", tmp_path, *TINY, "--set", "data.tag_column=1", "--set", "data.word_column=2") == 0


def test_columns_without_an_entity_are_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.txt").write_text("Rain O\nfell O\n\n" * 20)
    assert run("train", tmp_path, *TINY) == 2
    assert "no entities to learn" in capsys.readouterr().err


def test_plain_texts_are_still_no_columns(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("It rained all day.\nThe lid rattles.\n\nAda sang\n")
    with pytest.raises(ConfigError, match="no data that a standard recipe fits"):
        recipes.load(str(tmp_path))


def answers(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_tagger_reads_the_words_of_columns(
    tagger: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("# id 1\n" + ROWS * 2)
    assert run("predict", "-c", tagger, "--input", tmp_path / "mine.txt", "-o", tmp_path / "out.jsonl") == 0
    assert "words and tags in columns" in capsys.readouterr().err
    found = answers(tmp_path / "out.jsonl")
    assert [(one["row"], one["text"]) for one in found[:2]] == [(1, "Ada Byron slept in New York"), (2, "Rain fell")]
    assert found[0]["tokens"] == ["Ada", "Byron", "slept", "in", "New York"]
    assert len(found) == 4
    assert run("predict", "-c", tagger, "--input", tmp_path / "mine.txt", "-o", tmp_path / "out.conll") == 0
    lines = (tmp_path / "out.conll").read_text("utf-8").splitlines()
    assert [line.split("\t")[0] for line in lines] == [line.split("\t")[0] for line in (ROWS * 2).splitlines()]
    assert [line.split("\t")[1] for line in lines[:5]] == found[0]["tags"]
    assert run("predict", "-c", tagger, "--input", tmp_path / "mine.txt", "-o", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text("utf-8").splitlines()[0] == "row,text,entities,problem"


def test_a_sentence_with_a_fault_keeps_its_place(tagger: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(ROWS + "Ada\n\n" + ROWS)
    assert run("predict", "-c", tagger, "--input", tmp_path / "mine.txt", "-o", tmp_path / "out.conll", "-q") == 0
    blocks = (tmp_path / "out.conll").read_text("utf-8").split("\n\n")
    assert blocks[2] == "# row 3: 1 column where the file began with 2"
    assert len(blocks) == 6


def test_columns_come_through_a_pipe_too(
    tagger: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, number, message in (
        (["--format", "conll"], 2, "words and tags in columns"),
        ([], 9, "--format conll"),
    ):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ROWS.encode())))
        assert run("predict", "-c", tagger, "--input", "-", *options, "-o", tmp_path / "out.jsonl") == 0
        assert len(answers(tmp_path / "out.jsonl")) == number
        assert message in capsys.readouterr().err


def test_a_classifier_reads_sentences_and_writes_no_columns(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text(ROWS)
    assert run("predict", "--input", tmp_path / "mine.txt", "-o", tmp_path / "out.jsonl") == 0
    assert [one["text"] for one in answers(tmp_path / "out.jsonl")] == ["Ada Byron slept in New York", "Rain fell"]
    assert "words and tags in columns" in capsys.readouterr().err
    assert run("predict", "--input", tmp_path / "mine.txt", "-o", tmp_path / "out.conll") == 2
    assert "by a tagger only" in capsys.readouterr().err


def test_raw_text_is_answered_in_columns_too(tagger: Path, run: Run, tmp_path: Path) -> None:
    assert run("predict", "-c", tagger, "Ada slept. Bob didn't.", "-o", tmp_path / "out.conll", "-q") == 0
    blocks = [[line.split("\t")[0] for line in block.splitlines()]
              for block in (tmp_path / "out.conll").read_text("utf-8").split("\n\n")[:-1]]  # fmt: skip
    assert blocks == [["Ada", "slept", "."], ["Bob", "did", "n't", "."]]


@pytest.mark.parametrize("option", [["--keep", "all"], ["--text-column", "x"], ["--set", "data.header=false"]])
def test_options_for_tables_are_refused_for_columns(option: list[str], run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(ROWS)
    assert run("predict", "--input", tmp_path / "mine.txt", *option, "-q") == 2


def test_a_column_of_words_is_refused_for_texts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("It rained.\n")
    assert run("predict", "--input", tmp_path / "mine.txt", "--set", "data.word_column=1", "-q") == 2
