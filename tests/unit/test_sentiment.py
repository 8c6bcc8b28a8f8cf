"""The mixture of sentiment data sets: which rows count, with which label, in which split."""

import json
from pathlib import Path

import pytest

from lstmcli.config import Data
from lstmcli.data.readers import sentiment
from lstmcli.data.text import templates
from lstmcli.errors import DataError
from lstmcli.storage import examples as inputs


def write(root: Path, name: str, rows: list[dict[str, object]]) -> None:
    path = root / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


SETS = tuple(name for name in sentiment.DOMAINS if name != "templates")


def labels(root: Path, split: str = "train", *domains: str) -> dict[str, str | None]:
    found = sentiment.read(root, split, Data(name="sentiment", domains=domains or SETS))
    assert found.bad == []
    return {str(example.text): str(example.target) for example in found.examples}


def test_rows_whose_label_is_in_doubt_are_left_out(tmp_path: Path) -> None:
    emotions = {"a": ["joy"], "b": ["joy", "love"], "c": ["joy", "anger"], "d": ["neutral"], "e": ["joy", "neutral"]}
    write(tmp_path, "goemotions/train", [{"text": text, "labels": names} for text, names in emotions.items()])
    subtitles = {"f": ["anger", "surprise"], "g": ["surprise"], "h": ["trust", "fear"]}
    write(tmp_path, "xed/en", [{"text": text, "labels": names} for text, names in subtitles.items()])
    aspects = {"i": "neutral,positive", "j": "negative,positive", "k": "negative"}
    write(tmp_path, "mams/train", [{"text": text, "polarities": names} for text, names in aspects.items()])
    assert labels(tmp_path) == {"a": "positive", "b": "positive", "f": "negative", "i": "positive", "k": "negative"}


def test_of_the_thresholds_of_stars_the_certain_labels_count(tmp_path: Path) -> None:
    (tmp_path / "arsc").mkdir()
    for name in ("filtered", "target"):
        (tmp_path / "arsc" / f"workspace.{name}.list").write_text("toys\n" if name == "filtered" else "books\n")
    for threshold in ("t2", "t4", "t5"):
        rows = f"{threshold} up\t1\n{threshold} down\t-1\n"
        (tmp_path / "arsc" / f"toys.{threshold}.train").write_text(rows)
    expected = {"t2 down": "negative", "t4 up": "positive", "t4 down": "negative", "t5 up": "positive"}
    assert labels(tmp_path) == expected


def test_each_text_is_in_one_split_with_one_label(tmp_path: Path) -> None:
    rows = [{"text": f"text {number}", "label": number % 2} for number in range(500)]
    rows[3] = rows[4] | {"label": 1 - rows[4]["label"]}  # both labels
    rows[480] = rows[5]  # a row of the stretch that is held out
    write(tmp_path, "opinions/pros_cons", rows)
    train, held_out = labels(tmp_path), labels(tmp_path, "validation")
    assert set(held_out) == {f"text {number}" for number in range(475, 500) if number != 480}
    assert set(train) == {f"text {number}" for number in range(500) if number not in (3, 4, *range(475, 500))}
    assert all(label == ("positive" if int(text[5:]) % 2 else "negative") for text, label in (train | held_out).items())


def test_a_domain_is_one_data_set(tmp_path: Path) -> None:
    write(tmp_path, "opinions/pros_cons", [{"text": "light", "label": 1}])
    write(tmp_path, "opinions/product_reviews", [{"text": "heavy", "label": 0}])
    assert labels(tmp_path, "train", "products") == {"heavy": "negative"}
    with pytest.raises(DataError, match="no domain 'product'"):
        labels(tmp_path, "train", "product")


def test_its_folder_is_the_one_that_holds_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "opinions/pros_cons", [{"text": "light", "label": 1}])
    monkeypatch.setenv("LSTMCLI_DATA", str(tmp_path))
    assert inputs.root_of(Data(name="sentiment")) == tmp_path
    assert inputs.splits(Data(name="sentiment")) == ("train", "validation")


def test_sentences_without_an_opinion_have_either_label_equally_often(tmp_path: Path) -> None:
    write(tmp_path, "opinions/pros_cons", [{"text": "light", "label": 1}])
    found = sentiment.read(tmp_path, "train", Data(name="sentiment", domains=("templates",))).examples
    expected = {case.texts[0]: case.expected for case in templates.generate(templates.read(sentiment.TEMPLATES), 900)}
    known = [example for example in found if expected[str(example.text)] != "unsure"]
    assert len(known) > 9_000
    assert all(example.target == expected[str(example.text)] for example in known)
    unsure = [example.target == "positive" for example in found if expected[str(example.text)] == "unsure"]
    assert len(unsure) > 1_000
    assert abs(sum(unsure) / len(unsure) - 0.5) < 0.05  # three standard deviations at 1,500 sentences are 0.04
    assert labels(tmp_path, "validation") == {}
    assert sentiment.read(tmp_path, "validation", Data(name="sentiment")).examples == []
