"""Answers line up with the rows of the input, whatever the input is: a table, lines, a pipe, good rows and bad ones."""

import csv
import io
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lstmcli.storage import checkpoint as checkpoints
from tests.conftest import BAD, GOOD, write_table

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
TABLE = f"id,text,label\n007,,x\n008,{GOOD[0]},y\n009,  ,z\n010,{BAD[1]},\n"
OWN = ["row", "text", "label", "probability", "probability_bad", "probability_good", "problem"]


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    delimiter = "\t" if path.suffix == ".tsv" else ","
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""), delimiter=delimiter))


def piped(monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_a_table_has_a_row_for_each_row_also_where_the_first_is_bad(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, kind: str
) -> None:
    (tmp_path / "ids.csv").write_text(TABLE)
    out = tmp_path / f"out.{kind}"
    assert run("predict", "-c", trained, "-i", tmp_path / "ids.csv", "-o", out, "--keep", "label,id", "-q") == 0
    rows = read(out)
    assert list(rows[0]) == [*OWN, "label_input", "id"]
    assert [int(row["row"]) for row in rows] == [1, 2, 3, 4]
    assert [row["id"] for row in rows] == ["007", "008", "009", "010"]
    assert [row["label"] for row in rows] == ["", "good", "", "bad"]
    assert [row["label_input"] or "" for row in rows] == ["x", "y", "z", ""]
    assert [row["problem"] for row in rows] == ["empty 'text'", "", "empty 'text'", ""]
    assert [row["probability"] in (None, "") for row in rows] == [True, False, True, False]


def test_json_names_the_row_what_is_kept_and_the_problem(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "ids.csv").write_text(TABLE)
    assert run("predict", "-c", trained, "-i", tmp_path / "ids.csv", "--keep", "all", "--json") == 0
    shown = capsys.readouterr()
    bad, good, *_ = [json.loads(line) for line in shown.out.splitlines()]
    assert bad == {
        "row": 1, "text": "", "label": "", "probability": None, "probabilities": {"bad": None, "good": None},
        "kept": {"id": "007", "label": "x"}, "problem": "empty 'text'",
    }  # fmt: skip
    assert list(good) == ["row", "text", "label", "probability", "probabilities", "kept"]
    assert good["kept"] == {"id": "008", "label": "y"}
    assert "each of 2 rows that cannot be used has an empty answer" in shown.err


def test_skipped_rows_leave_a_gap_in_the_numbers(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "ids.csv").write_text(TABLE)
    out = tmp_path / "out.csv"
    assert run("predict", "-c", trained, "-i", tmp_path / "ids.csv", "-o", out, "--skip-bad") == 0
    assert "each of 2 rows that cannot be used was skipped" in capsys.readouterr().err
    assert [row["row"] for row in read(out)] == ["2", "4"]
    assert list(read(out)[0]) == OWN[:-1]


def test_each_line_of_a_pipe_has_a_line_also_a_blank_one(
    run: Run, trained: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [GOOD[0], "", BAD[1], " \t ", GOOD[2]]
    piped(monkeypatch, "\n".join(lines) + "\n")
    assert run("predict", "-c", trained, "-q") == 0
    cells = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [(cell[0], cell[2]) for cell in cells] == [
        ("good", GOOD[0]), ("", ""), ("bad", BAD[1]), ("", ""), ("good", GOOD[2])
    ]  # fmt: skip
    assert {len(cell) for cell in cells} == {3}


def test_kept_columns_follow_the_text_in_a_pipe(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"text": GOOD[0], "id": 7, "tags": ["a\tb"]}) + "\n" + json.dumps({"id": None, "text": ""}) + "\n"
    )
    assert run("predict", "-c", trained, "-i", tmp_path / "a.jsonl", "--keep", "id,tags", "-q") == 0
    first, second = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert (first[0], first[2:]) == ("good", [GOOD[0], "7", '["a\\tb"]'])
    assert second == ["", "", "", "", ""]


def test_parquet_keeps_the_types_of_parquet(run: Run, trained: Path, tmp_path: Path) -> None:
    table = pa.table({"text": ["", GOOD[0]], "id": pa.array([3, None], pa.int64()), "none": pa.nulls(2, pa.int32())})
    pq.write_table(table, tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    assert run("predict", "-c", trained, "-i", tmp_path / "in.parquet", "-o", out, "--keep", "all", "-q") == 0
    found = pq.read_table(out)
    types = {field.name: str(field.type) for field in found.schema}
    assert types == {
        "row": "int64", "text": "string", "label": "string", "probability": "double", "probability_bad": "double",
        "probability_good": "double", "problem": "string", "id": "int64", "none": "string",
    }  # fmt: skip
    assert found["id"].to_pylist() == [3, None]


def test_kept_numbers_that_are_not_finite_are_valid_json_and_cells(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    columns = {"text": GOOD[:2], "price": [math.nan, 2.5], "most": [math.inf, 1.0], "all": [[1.0, math.nan], []]}
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    command = ["predict", "-c", trained, "-i", tmp_path / "in.parquet", "--keep", "all", "-q"]
    assert run(*command, "--json") == 0
    assert run(*command, "-o", tmp_path / "out.jsonl") == 0
    assert run(*command, "-o", tmp_path / "out.csv") == 0
    for lines in (capsys.readouterr().out, (tmp_path / "out.jsonl").read_text("utf-8")):
        first, second = [json.loads(line, parse_constant=pytest.fail)["kept"] for line in lines.splitlines()]
        assert first == {"price": None, "most": None, "all": [1.0, None]}
        assert second == {"price": 2.5, "most": 1.0, "all": []}
    first = read(tmp_path / "out.csv")[0]
    assert [first[name] for name in ("price", "most", "all")] == ["", "inf", "[1.0, null]"]


def test_a_column_that_comes_late_is_kept_in_json_and_reported_for_a_table(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "".join(json.dumps({"text": GOOD[0], key: "v"}) + "\n" for key in ("id", "more"))
    for out, reported in (("out.jsonl", False), ("out.csv", True)):
        piped(monkeypatch, content)
        assert run("predict", "-c", trained, "--format", "jsonl", "--keep", "all", "-o", tmp_path / out) == 0
        assert ("columns that come late are not kept: more" in capsys.readouterr().err) is reported
    assert [row["kept"] for row in read(tmp_path / "out.jsonl")] == [{"id": "v"}, {"id": None, "more": "v"}]
    assert list(read(tmp_path / "out.csv")[0]) == [*OWN, "id"]


def test_few_of_many_bad_rows_are_reported_one_by_one(
    run: Run, trained: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(monkeypatch, "\n" * 9 + GOOD[0])
    assert run("predict", "-c", trained) == 0
    message = capsys.readouterr().err
    assert message.count("standard input:") == 5
    assert "each of 9 rows" in message


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("csv", f"id,text\n1,{GOOD[0]}\n2,{BAD[1]}\n"),
        ("tsv", f"id\ttext\n1\t{GOOD[0]}\n2\t{BAD[1]}\n"),
        ("jsonl", "".join(json.dumps({"id": str(n), "text": t}) + "\n" for n, t in ((1, GOOD[0]), (2, BAD[1])))),
    ],
)
def test_a_pipe_is_read_as_the_table_that_it_is_called(
    run: Run, trained: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, kind: str, content: str
) -> None:
    command = ["predict", "-c", trained, "--format", kind, "--keep", "id", "--json", "-q"]
    expected = [("1", "good"), ("2", "bad")]
    piped(monkeypatch, content)
    assert run(*command) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["kept"]["id"], row["label"]) for row in rows] == expected
    reading, writing = os.pipe()  # as a shell gives it for <(...): it can be read once only
    os.write(writing, content.encode())
    os.close(writing)
    assert run(*command, "--input", f"/dev/fd/{reading}") == 0
    os.close(reading)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows


def test_a_table_piped_in_unnamed_is_remarked_on(
    run: Run, trained: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content, kind in (
        ("id,text\n1,fine\n", "csv"), ("id\ttext\n1\tfine\n", "tsv"), ('{"id": 1, "text": "fine"}\n', "jsonl"),
        ("Some text, for example this\n", ""), ("text\nfine\n", ""),
    ):  # fmt: skip
        piped(monkeypatch, content)
        assert run("predict", "-c", trained) == 0
        message = capsys.readouterr().err
        assert message.partition("--format ")[2].partition("\n")[0] == kind


@pytest.mark.parametrize(
    ("arguments", "named", "where"),
    [
        (["--text-column", "text", "fine film"], "--text-column is for tables", "arguments"),
        (["--text-column", "text"], "--text-column is for tables", "standard input"),
        (["--set", "data.delimiter=;", "--keep", "id"], "--set data.delimiter and --keep are for tables", "input"),
        (["--input", "lines.txt", "--keep", "id"], "--keep is for tables", "lines.txt"),
        (["--format", "csv", "fine film"], "--format is for tables", "arguments"),
    ],
)
def test_an_option_of_tables_is_not_passed_over(
    run: Run, capsys: Captured, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: str, where: str
) -> None:
    Path("lines.txt").write_text("fine film\n")
    piped(monkeypatch, "fine film\n")
    assert run("predict", *arguments) == 2
    message = " ".join(capsys.readouterr().err.split())
    for part in (named, where, "--input FILE"):
        assert part in message


def test_a_column_to_keep_that_is_not_there_is_reported(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ids.csv").write_text(TABLE)
    piped(monkeypatch, TABLE)
    for source in (["-i", tmp_path / "ids.csv"], ["--format", "csv"]):
        assert run("predict", "-c", trained, *source, "--keep", "id,lable") == 2
        message = " ".join(capsys.readouterr().err.split())
        assert "no column 'lable' to keep" in message
        assert "did you mean 'label'" in message


@pytest.fixture
def of_reviews(trained: Path, tmp_path: Path) -> Path:
    """The trained model, as if trained on columns of other names."""
    model = checkpoints.load(trained)
    data = model.config.data.model_copy(update={"text_column": "review", "label_column": "mood"})
    path = tmp_path / "reviews.pt"
    checkpoints.save(replace(model, config=model.config.model_copy(update={"data": data})), path)
    return path


def test_column_names_of_training_are_tried_in_other_files(
    run: Run, of_reviews: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{text},{label}\n" for texts, label in ((GOOD, "good"), (BAD, "bad")) for text in texts)
    data = tmp_path / "new.csv"
    commands = [["evaluate", "--data", data], ["predict", "-i", data],
                ["adapt", "--data", data, "--shots", "1", "--steps", "1", "--out", tmp_path / "a.pt"]]  # fmt: skip
    for header in ("review,mood", "text,label"):
        data.write_text(f"{header}\n{rows}")
        for command in commands:
            assert run(*command, "-c", of_reviews, "-q") == 0
    data.write_text(f"review,text\n{GOOD[0]},{BAD[1]}\n")
    capsys.readouterr()
    for more, label in (([], "good"), (["--text-column", "text"], "bad")):
        assert run("predict", "-i", data, "-c", of_reviews, "-q", *more) == 0
        piped(monkeypatch, data.read_text())
        assert run("predict", "--format", "csv", "-c", of_reviews, "-q", *more) == 0
        assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == [label, label]


def test_every_command_takes_the_dialect(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    data = tmp_path / "new.csv"
    rows = "".join(f"{text}|{label}\n" for texts, label in ((GOOD, "good"), (BAD, "bad")) for text in texts)
    data.write_text(f"text|label\n{rows}")
    dialect = ["--set", "data.delimiter=|", "-c", trained, "-q"]
    assert run("evaluate", "--data", data, *dialect, "--json") == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 8
    assert run("predict", "--input", data, *dialect) == 0
    assert len(capsys.readouterr().out.splitlines()) == 8
    assert run("adapt", "--data", data, "--shots", "1", "--steps", "1", "--out", tmp_path / "a.pt", *dialect) == 0


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("train.lr=0.1", ["'train.lr' is not a field of section data", "data.delimiter"]),
        ("data.limit=5", ["'data.limit' cannot be set here", "data.label_column"]),
        ("data.delimeter=;", ["'data.delimeter' cannot be set here", "did you mean 'data.delimiter'"]),
        ("data.quote=maybe", ["'maybe' is not allowed", "--set data.quote=auto"]),
    ],
)
def test_only_how_data_is_read_can_be_set(run: Run, capsys: Captured, override: str, parts: list[str]) -> None:
    for command in ("evaluate", "adapt"):
        assert run(command, "--set", override) == 2
        message = " ".join(capsys.readouterr().err.split())
        for part in parts:
            assert part in message


def test_a_mapping_of_the_own_data_does_not_change_what_is_scored(run: Run, trained: Path, capsys: Captured) -> None:
    assert run("evaluate", "-c", trained, "--map", "Bad=bad", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["split"], report["examples"]) == ("validation", 4)


def relabelled(path: Path, **names: str) -> Path:
    """The small table, with other names of its labels."""
    text = write_table(path, copies=1).read_text()
    for label, name in names.items():
        text = text.replace(f",{label}\n", f",{name}\n")
    path.write_text(text)
    return path


def test_labels_that_differ_by_capitals_are_read_as_the_models(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = relabelled(tmp_path / "new.csv", good="Good", bad="BAD")
    data.write_text(data.read_text() + f"{GOOD[0]} too,good\n")
    assert run("evaluate", "-c", trained, "--data", data, "--json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["metrics"]["accuracy"]["value"] == 1
    assert "labels 'BAD', 'Good' are read as 'bad', 'good'" in shown.err
    out = ["--steps", "1", "--out", tmp_path / "a.pt"]
    assert run("adapt", "-c", trained, "--data", data, "--shots", "2", "--json", *out) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["support"] == {"bad": 2, "good": 2}
    assert checkpoints.load(tmp_path / "a.pt").vocabulary.labels == ("bad", "good")


def test_labels_by_number_are_refused_with_the_mapping_that_works(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = relabelled(tmp_path / "new.csv", good="1", bad="0")
    command = ["evaluate", "-c", trained, "--data", data]
    assert run(*command) == 2
    message = " ".join(capsys.readouterr().err.split())
    option = message[message.index("--map") :].split()
    assert option == ["--map", "0=bad,1=good"]
    assert run(*command, *option, "--json") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["accuracy"]["value"] == 1
    adapt = ["adapt", "-c", trained, "--data", data, "--shots", "1", "--steps", "1", "--out", tmp_path / "a.pt"]
    assert run(*adapt) == 0
    assert (
        "labels '0', '1' are new classes; if they mean the model's own: --map 0=bad,1=good" in capsys.readouterr().err
    )
    assert run(*adapt, *option, "--json") == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["bad", "good"]


@pytest.mark.parametrize(
    ("mapping", "parts"),
    [
        ("1=god", ["the model has no label 'god'", "did you mean 'good'"]),
        ("1", ["'1' is not OLD=NEW", "--map 1=positive,0=negative"]),
        ("1=good,1=bad", ["'1' has two names"]),
        ("excelent=good", ["the data has no label 'excelent'", "did you mean 'excellent'"]),
    ],
)
def test_a_name_in_a_mapping_that_is_not_there_is_reported(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, mapping: str, parts: list[str]
) -> None:
    data = relabelled(tmp_path / "new.csv", good="excellent")
    for command in ("evaluate", "adapt"):
        assert run(command, "-c", trained, "--data", data, "--map", mapping) == 2
        message = " ".join(capsys.readouterr().err.split())
        for part in parts:
            assert part in message
