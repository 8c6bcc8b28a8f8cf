"""Labelled data written again with corrections."""

import csv
import json
from pathlib import Path

import pytest

from lstmcli.config import Data
from lstmcli.data.readers import table
from lstmcli.storage import corrected
from lstmcli.storage.corrected import Corrections


def written(
    source: Path, target: Path, *, dropped: tuple[int, ...] = (), labels: dict[int, str], **reading: str
) -> int:
    """Write the source with the corrections of lines, and return the number of rows."""
    data = Data(path=source, **reading)
    examples = table.read(source, "train", data).examples
    corrections = Corrections(
        frozenset(f"{source}:{line}" for line in dropped), {f"{source}:{line}": new for line, new in labels.items()}
    )
    return corrected.write(target, data, "train", examples, corrections)


def test_all_columns_stay_in_their_order_and_the_old_label_comes_last(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('id;stars;body;stars_before\n1;1.0;"a; b";x\n2;2.0;c;\n3;2.0;d;\n4;2;"e\nf";\n5;;g;\n', "utf-8")
    columns = {"text_column": "body", "label_column": "stars"}
    assert written(source, target, dropped=(3,), labels={2: "2"}, **columns) == 4
    with target.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [
            ["id", "stars", "body", "stars_before", "stars_before_before"],
            ["1", "2.0", "a; b", "x", "1.0"],  # as most rows write this label
            ["3", "2.0", "d", "", ""],
            ["4", "2", "e\nf", "", ""],
            ["5", "", "g", "", ""],
        ]


def test_labels_of_json_keep_their_type(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"text": "a", "label": 0, "n": [1]}\n{"text": "b", "label": 1}\n', "utf-8")
    written(source, target, labels={1: "1"})
    assert [json.loads(line) for line in target.read_text("utf-8").splitlines()] == [
        {"text": "a", "label": 1, "n": [1], "label_before": 0},
        {"text": "b", "label": 1, "n": None, "label_before": ""},
    ]


def test_lines_of_fasttext_become_a_table_that_can_be_read(tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.csv"
    source.write_text("__label__good a\n__label__bad b\n__label__good c\n", "utf-8")
    written(source, target, dropped=(3,), labels={2: "good"})
    found = table.read(target, "train", Data()).examples
    assert [(one.text, one.target) for one in found] == [("a", "good"), ("b", "good")]


def test_a_folder_per_class_becomes_a_table(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "1.txt").write_text(f"{name} text", "utf-8")
    source, target = tmp_path / "in", tmp_path / "out.tsv"
    data = Data(path=source)
    examples = table.read(source, "train", data).examples
    corrections = Corrections(frozenset({str(source / "bad" / "1.txt")}), {})
    assert corrected.write(target, data, "train", examples, corrections) == 1
    assert target.read_text("utf-8").splitlines() == ["text\tlabel\tlabel_before", "good text\tgood\t"]


def test_what_is_not_written_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("text,label\na,x\nb,y\n", "utf-8")
    target.write_text("of yesterday", "utf-8")

    def broken(*_: object) -> object:
        yield {"text": "a", "label": "x"}, ""
        raise KeyboardInterrupt

    monkeypatch.setattr(corrected, "_of_tables", broken)
    with pytest.raises(KeyboardInterrupt):
        written(source, target, labels={})
    assert target.read_text("utf-8") == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]
