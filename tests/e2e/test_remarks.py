"""What is remarked on words, labels and small data, as a user meets it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lstmcli.storage import checkpoint as checkpoints
from tests.conftest import train_arguments

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def notes_of(capsys: Captured) -> str:
    return " ".join(capsys.readouterr().err.split())


def table(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), "utf-8")
    return path


def test_unknown_words_are_remarked_on_wherever_a_model_reads_texts(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    foreign = [(f"ein Stuhl wie keiner {number} film", ("good", "bad")[number % 2]) for number in range(40)]
    path = table(tmp_path / "de.csv", foreign)
    known = set(checkpoints.load(trained).vocabulary.words)
    words = [word for text, _ in foreign for word in text.lower().split()]
    share = f"{sum(word not in known for word in words) / len(words):.1%} of the tokens are unknown words"
    assert run("evaluate", "-c", trained, "--data", path) == 0
    assert share in notes_of(capsys)
    assert run("predict", "-c", trained, "-i", path) == 0
    assert share in notes_of(capsys)
    assert run("adapt", "-c", trained, "--data", path, "--out", tmp_path / "a.pt", "--steps", "0") == 0
    assert "of the tokens are unknown words" in notes_of(capsys)
    assert run("evaluate", "-c", trained, "--data", path, "--shots", "2", "--episodes", "2") == 0
    assert share in notes_of(capsys)
    assert (
        run("evaluate", "-c", trained, "--data", table(tmp_path / "no.csv", [("很好", "good"), ("okapi", "bad")])) == 0
    )
    assert "2 of 2 texts hold no word that the model knows: the prediction is a guess" in notes_of(capsys)
    assert run("predict", "-c", trained, "a warm film") == 0
    assert "unknown words" not in notes_of(capsys)


def test_training_remarks_on_unknown_words_and_characters(run: Run, tmp_path: Path, capsys: Captured) -> None:
    once = table(tmp_path / "once.csv", [(f"w{number}", "ab"[number % 2]) for number in range(40)])
    plain = ["--dry-run", "--set", "tokens.min_count=2"]  # the last of an option counts
    assert run(*train_arguments(once, tmp_path / "x", *plain)) == 0
    assert "100.0% of the tokens of train are unknown words; rare words: --set tokens.min_count=1;" in notes_of(capsys)
    assert run(*train_arguments(once, tmp_path / "x", "--dry-run", "--set", "tokens.kind=bpe")) == 0
    assert "unknown" not in notes_of(capsys)
    chinese = table(
        tmp_path / "zh.csv", [("这椅子" + "好差"[number % 2] * 2, "ab"[number % 2]) for number in range(40)]
    )
    assert run(*train_arguments(chinese, tmp_path / "x", *plain)) == 0
    assert "characters of scripts without spaces, each read as a word; to read pieces" in notes_of(capsys)


def test_labels_that_are_no_classes_are_refused_before_anything_is_held_out(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    scores = table(tmp_path / "scores.csv", [(f"text {number}", f"{number / 7:.4f}") for number in range(48)])
    for share in (0.05, 0.5):
        assert run("train", scores, "--dry-run", "--set", f"data.validation={share}") == 2
        found = notes_of(capsys)
        assert "48 labels for 48 examples: 'label' looks like a number to predict or an id" in found
        assert "name another column: --label-column NAME" in found
    assert run("train", scores, "--dry-run", "--label-column", "text") == 2
    assert "'text' looks like an id or a text" in notes_of(capsys)


def test_a_language_model_is_validated_on_the_end_of_a_book_on_one_line(
    run: Run, tmp_path: Path, capsys: Captured
) -> None:
    book = tmp_path / "book.txt"
    book.write_text("the kettle sings before it boils . " * 60, "utf-8")
    small = ["--set", "model.embedding=4", "--set", "model.hidden=4", "--epochs", "1"]
    assert run("train", "lm", "--data", book, *small, "--out", tmp_path / "run") == 0
    found = notes_of(capsys)
    assert "texts to train on: 1; the last 10% of the words are held out for validation" in found
    assert run("evaluate", "-c", tmp_path / "run") == 0
    assert "only one text: neither the figures nor their intervals are reliable" in notes_of(capsys)
    book.write_text("five words are too few", "utf-8")
    assert run("train", "lm", "--data", book, "--dry-run") == 2
    assert "5 words are too few for a language model" in notes_of(capsys)


def test_many_classes_are_reported_in_one_line(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    names = [f"intent{number}" for number in range(40)]
    path = table(tmp_path / "many.csv", [(f"{name} {word}", name) for name in names for word in ("one", "two", "ten")])
    assert run(*train_arguments(path, tmp_path / "x", "--dry-run", "--set", "data.validation=0.4")) == 0
    found = notes_of(capsys)
    assert "40 of 40 classes have fewer than 10 training examples, the smallest 'intent" in found
    assert found.count("training examples") == 1
    assert run("adapt", "-c", trained, "--data", path, "--shots", "4", "--out", tmp_path / "a.pt") == 0
    shown = capsys.readouterr()
    found = " ".join(shown.err.split())
    assert "40 of 40 classes have fewer different texts than --shots 4; the smallest" in found
    assert "labels are now: intent0, intent1, intent10," in found
    assert "and 28 more" in found
    assert "intent39" not in found + shown.out


def test_labels_that_may_be_one_are_remarked_on(run: Run, tmp_path: Path, capsys: Captured) -> None:
    rows = [(f"text {number}", ("pos", "Pos", "neg", "NEG")[number % 4]) for number in range(80)]
    path = table(tmp_path / "case.csv", rows)
    assert run(*train_arguments(path, tmp_path / "run", "--epochs", "1")) == 0
    assert "labels 'Pos' (18), 'pos' (18) differ in capitals alone" in notes_of(capsys)
    assert run("evaluate", "-c", tmp_path / "run", "--data", path) == 0
    assert "labels 'Pos' (2), 'pos' (2) differ in capitals alone" in notes_of(capsys)
    assert run("evaluate", "-c", tmp_path / "run", "--data", path, "--map", "Pos=pos", "--map", "NEG=neg") == 0
    assert "capitals" not in notes_of(capsys)


@pytest.mark.parametrize(("labels", "head"), [
    (("positive", "negative"), "its head moved to fit the texts"),
    (("warm", "cold"), "with a new head fitted to the texts"),
])  # fmt: skip
def test_a_run_reports_what_it_starts_from(
    labels: tuple[str, str], head: str, run: Run, tmp_path: Path, capsys: Captured
) -> None:
    lines = [f"a kind and lively thing {n},{labels[0]}\na dull thing {n},{labels[1]}\n" for n in range(10)]
    (tmp_path / "mine.csv").write_text("text,label\n" + "".join(lines), "utf-8")
    assert run("train", tmp_path / "mine.csv", "--epochs", 1, "--threads", 1, "--out", tmp_path / "run") == 0
    assert f"starts from english, {head}" in " ".join(capsys.readouterr().err.split())
