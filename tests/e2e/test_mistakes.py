"""Every mistake has a message that a person can act on: exit code 2, no traceback, nothing lost."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import GOOD, train_arguments, write_table

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]

MISTAKES = [  # file content, options of train, what the message must name
    (b"", [], ["the file is empty", "at least one row"]),
    (b"review,label\nfine,good\n", [], ["no column 'text'", "review", "--text-column"]),
    (b"text,mood\nfine,good\n", [], ["no column 'label'", "mood", "--label-column"]),
    (b"text,label\n", [], ["no examples", "at least one row"]),
    (b"text,label\n" + b"fine,good\n" * 40, [], ["only one class to learn: 'good'", "at least two labels"]),
    (b"text,label\nfine,nan\n" + b"x,good\n" * 40, [], ["1 row cannot be used", "mine.csv:2", "data.bad_rows=skip"]),
    (b"text,label\n\xff,a\n" + b"x,good\n" * 40, [], ["not UTF-8", "mine.csv:2"]),
    (b"text,label\nfine,a\nbad,b\n", [], ["too few", "at least 4 examples"]),
    (b"text,label\n" + b"fine,a\nbad,b\n" * 3, [], ["too few", "--set data.validation=0.34"]),
    (None, ["--set", "train.lr=fast"], ["'fast'", "--set train.lr=fast"]),
    (None, ["--set", "modle.hidden=3"], ["unknown key 'modle'", "did you mean 'model'"]),
    (None, ["--device", "cuda:7"], ["CUDA devices", "--device cpu"]),
    (None, ["--device", "gpu"], ["'gpu' is not allowed", "--device gpu", "auto, cpu, cuda or cuda:N"]),
    (None, ["--set", "model.vectors=missing.txt"], ["no such file of vectors", "model.vectors=none"]),
    (None, ["--resume"], ["no run to resume", "without --resume"]),
    (None, ["--data", "missing.csv"], ["no such file or folder", "lstmcli train opinions"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "options", "named"), MISTAKES)
def test_a_mistake_in_training_is_reported(
    run: Run, tmp_path: Path, capsys: Captured, content: bytes | None, options: list[str], named: list[str]
) -> None:
    path = tmp_path / "mine.csv"
    if content is None:
        write_table(path)
    else:
        path.write_bytes(content)
    assert run(*train_arguments(path, tmp_path / "run", *options)) == 2
    shown = capsys.readouterr()
    message = " ".join(shown.err.split())
    for part in named:
        assert part in message
    assert "Traceback" not in message
    assert not (tmp_path / "run" / "model.pt").exists()


def test_options_of_train_without_a_recipe_are_not_passed_over(run: Run, capsys: Captured) -> None:
    assert run("train", "--epochs", "3", "--out", "x") == 2
    assert "--out --epochs" in capsys.readouterr().err
    assert run("train", "--json", "-q") == 0  # lists the recipes
    assert "opinions" in json.loads(capsys.readouterr().out)


def test_steps_that_change_the_learner_are_noted(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    adapt = ["adapt", "-c", trained, "--data", write_table(tmp_path / "mine.csv"), "--out", tmp_path / "a.pt"]
    for steps, noted in ((["--steps", "1"], True), (["--steps", "1", "--learner", "finetune"], False), ([], False)):
        assert run(*adapt, *steps) == 0
        assert ("--steps: the learner is finetune" in capsys.readouterr().err) is noted


def test_a_language_model_without_data_is_told_what_to_name(run: Run, capsys: Captured) -> None:
    assert run("train", "lm") == 2
    message = capsys.readouterr().err
    assert "'texts' needs a file" in message
    assert "--data my.txt" in message
    assert "opinions" not in message


def test_an_unknown_label_in_another_file_is_reported_with_its_line(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = tmp_path / "other.csv"
    data.write_text("text,label\nfine,good\nodd,goood\n")
    assert run("evaluate", "-c", trained, "--data", data) == 2
    message = capsys.readouterr().err
    assert "unknown label 'goood'" in message
    assert "other.csv:3" in message
    assert "did you mean 'good'" in message


def test_misplaced_folders_and_files_are_reported(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("x")
    table = write_table(tmp_path / "mine.csv")
    for arguments, part in (
        (["predict", "-c", trained, "--input", tmp_path / "folder.csv"], "a folder, not a file"),
        (["predict", "-c", trained, "--output", tmp_path / "out.xlsx", "fine"], "cannot be written"),
        (["predict", "-c", trained, "--output", tmp_path / "file" / "out.csv", "fine"], "cannot be written"),
        (["predict", "-c", trained, "--input", tmp_path / "missing.csv"], "no such file"),
        (["predict", "-c", trained, "--input", tmp_path / "mine.csv", "and a text"], "both given"),
        (["predict", "-c", trained, " "], "the text is empty"),
        (["predict", "-c", tmp_path / "missing.pt", "fine"], "no such checkpoint"),
        (["predict", "-c", table, "fine"], "not a checkpoint"),
        (["adapt", "-c", trained, "--out", tmp_path], "cannot be written"),
        (["evaluate", "-c", trained, "--split", "tset"], "no split 'tset'"),
        (["evaluate", "-c", trained, "--data", "imdb"], "LSTMCLI_DATA"),
        (train_arguments(table, tmp_path / "file"), "cannot be written"),
    ):
        assert run(*arguments) == 2, arguments
        message = capsys.readouterr().err
        assert part in " ".join(message.split()), arguments
        assert "Traceback" not in message


def test_a_run_is_not_written_over_unasked(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    table = write_table(tmp_path / "mine.csv")
    before = trained.read_bytes()
    assert run(*train_arguments(table, trained.parent)) == 2
    assert "--force" in capsys.readouterr().err
    assert trained.read_bytes() == before
    assert run(*train_arguments(table, trained.parent, "--force", "--set", "model.vectors=missing.txt")) == 2
    assert trained.read_bytes() == before  # a mistake that shows late does not cost the old run either


def test_imdb_without_data_and_network_names_every_place_within_seconds(run: Run, capsys: Captured) -> None:
    assert run("train", "imdb") == 2
    message = " ".join(capsys.readouterr().err.split())
    for part in ("--data", "$LSTMCLI_DATA", "stanfordnlp/imdb", "lstmcli train opinions"):
        assert part in message


def test_an_unreachable_hub_is_reported() -> None:
    # The hub's address leads to a port of this machine at which nobody listens.
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-m", "lstmcli", "train", "imdb"], capture_output=True, text=True,
                          env=environment, check=False)  # fmt: skip
    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_usage_mistakes_exit_with_2(run: Run, capsys: Captured) -> None:
    assert run("trian") == 2
    assert run("adapt", "--shots", "0") == 2
    assert run("adapt", "--shots", "many") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_that_is_no_checkpoint_is_reported(run: Run, tmp_path: Path, capsys: Captured) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pt")
    for command in (["predict", "fine"], ["evaluate"], ["adapt"]):
        assert run(*command, "-c", tmp_path / "other.pt") == 2
        assert "not a checkpoint of lstmcli" in capsys.readouterr().err


def test_odd_texts_are_answered(run: Run, trained: Path, capsys: Captured) -> None:
    odd = ["🙂" * 50, "\0", "<br /><br />", "\u202e\ufeff", "ا ب", "a\r\nb\tc", "x" * 100_000, GOOD[0]]
    assert run("predict", "-c", trained, *odd) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(odd)


def test_labels_of_other_kinds_are_reported(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    rows = "".join(f"text {label} {number},{label}\n" for label in ("login", "refund") for number in range(9))
    (tmp_path / "other.csv").write_text(f"text,label\n{rows}", "utf-8")
    assert run("evaluate", "-c", trained, "--data", tmp_path / "other.csv", "--shots", "2") == 2
    message = capsys.readouterr().err
    assert "login, refund" in message
    assert "--ways 2" in message
    (tmp_path / "ptb").mkdir()
    for split in ("train", "valid", "test"):
        (tmp_path / "ptb" / f"ptb.{split}.txt").write_text(" a text \n", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LSTMCLI_DATA", str(tmp_path))
        assert run("evaluate", "-c", trained, "--data", "ptb") == 2
    assert "without labels" in capsys.readouterr().err


def test_the_input_is_not_overwritten_by_the_answers(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    table = write_table(tmp_path / "mine.csv")
    before = table.read_bytes()
    assert run("predict", "-c", trained, "-i", table, "-o", tmp_path / "." / "mine.csv") == 2
    assert "the texts would be written over" in capsys.readouterr().err
    assert table.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"body": "fine"}\n' * 3, "no column 'text'"),
        ("a.jsonl", '{"text": 3}\n' * 3, "none of the 3 rows can be used"),
        ("a.csv", "text,label\n,good\n", "no row can be used"),
    ],
)
def test_where_no_text_can_be_used_the_old_answers_stay(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "said.jsonl").write_text("of before")
    assert run("predict", "-c", trained, "-i", tmp_path / name, "-o", tmp_path / "said.jsonl") == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "said.jsonl").read_text() == "of before"


def test_an_adapted_model_is_not_scored_on_labels_that_it_has_no_more(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = tmp_path / "other.csv"
    data.write_text("text,label\n" + "".join(f"film {n},{'odd' if n % 2 else 'even'}\n" for n in range(30)))
    assert run("adapt", "-c", trained, "--data", data, "--out", tmp_path / "a.pt", "-q") == 0
    assert run("evaluate", "-c", tmp_path / "a.pt") == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "the model was adapted to other labels" in message
    assert "--data FILE" in message
