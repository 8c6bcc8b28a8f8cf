"""``lstmcli check`` as people use it: findings, report, corrected data, JSON, wrong input."""

import csv
import json
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstmcli import check_texts
from lstmcli.data.readers import opinions
from lstmcli.types import Example, Rows
from tests.conftest import BAD, GOOD

PLACES = ["at home", "last night", "in Rome", "on a plane", "with friends", "in May", "by the sea", "at school"]
TEXTS = [(f"{text} {place}", label) for place in PLACES for label, texts in (("good", GOOD), ("bad", BAD))
         for text in texts]  # fmt: skip
FLIPPED = (5, 16, 33)  # rows of the table, whose label is exchanged
HEAD = 2  # line of the first row
LONG = " ".join(f"very{number} good" for number in range(300))


def rows() -> list[dict[str, str]]:
    """Texts with an id, and the wrong rows after them."""
    found = [{"id": str(number), "body": text, "stars": label} for number, (text, label) in enumerate(TEXTS)]
    for number in FLIPPED:
        found[number]["stars"] = {"good": "bad", "bad": "good"}[found[number]["stars"]]
    more = [
        (TEXTS[3][0], TEXTS[3][1]),  # a duplicate
        (TEXTS[8][0].upper() + "!", TEXTS[8][1]),  # the same but for capitals and a mark
        (TEXTS[10][0], "good" if TEXTS[10][1] == "bad" else "bad"),  # contradicts row 12
        ("", "good"),
        ("no label here", ""),
        (LONG, "good"),
    ]
    return [*found, *({"id": f"x{number}", "body": text, "stars": label} for number, (text, label) in enumerate(more))]


def write(path: Path, table: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


COLUMNS = ("--text-column", "body", "--label-column", "stars", "--threads", "1")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with the table, the report and the corrected table, and the JSON of the command."""
    from lstmcli.api.check import check
    from lstmcli.types import Option

    folder = tmp_path_factory.mktemp("checked")
    source = write(folder / "mine.csv", rows())
    found = check(
        source,
        report=folder / "report.csv",
        fix=folder / "fixed.csv",
        reading={"text_column": "body", "label_column": "stars"},
        options=[Option("threads", "--threads", 1)],
    )
    return folder, json.loads(json.dumps(found.plain()))


def of_kind(plain: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one for one in plain["findings"] if one["kind"] == kind]


def test_each_planted_fault_is_found_at_its_line(checked: tuple[Path, dict[str, Any]]) -> None:
    _, plain = checked
    last = HEAD + len(TEXTS)
    errors = {one["row"]: one for one in of_kind(plain, "label error")}
    assert {number + HEAD for number in FLIPPED} <= errors.keys()
    for number in FLIPPED:
        assert errors[number + HEAD]["suggested"] == TEXTS[number][1]
        assert "models fitted without this text" in errors[number + HEAD]["reason"]
    (duplicate,) = of_kind(plain, "duplicate")
    assert (duplicate["row"], duplicate["reason"]) == (last, f"repeats row {3 + HEAD}")
    near = {one["row"]: one["reason"] for one in of_kind(plain, "near duplicate")}
    assert near[last + 1] == f"but for capitals, spaces or marks at the ends repeats row {8 + HEAD}"
    assert {one["row"] for one in of_kind(plain, "contradiction")} == {10 + HEAD, last + 2}
    unusable = [(one["row"], one["reason"]) for one in of_kind(plain, "unusable")]
    assert unusable == [(last + 3, "empty 'body'"), (last + 4, "no 'stars'")]
    (truncated,) = of_kind(plain, "truncated")
    assert truncated["row"] == last + 5
    kinds = list(dict.fromkeys(one["kind"] for one in plain["findings"]))
    assert kinds == list(plain["counts"])
    assert kinds[:3] == ["unusable", "contradiction", "label error"]


def test_the_report_has_every_finding(checked: tuple[Path, dict[str, Any]]) -> None:
    folder, plain = checked
    table = read(folder / "report.csv")
    assert [(one["kind"], one["row"]) for one in table] == [(one["kind"], str(one["row"])) for one in plain["findings"]]
    assert {Path(one["file"]) for one in table} == {folder / "mine.csv"}


def test_the_corrected_table_has_all_columns_and_the_old_labels(checked: tuple[Path, dict[str, Any]]) -> None:
    folder, plain = checked
    assert read(folder / "mine.csv") == rows()  # the input stays
    fixed = {row["id"]: row for row in read(folder / "fixed.csv")}
    assert list(next(iter(fixed.values()))) == ["id", "body", "stars", "stars_before"]
    assert {row["id"] for row in rows()} - fixed.keys() == {"x0", "x3", "x4"}
    changed = {one["row"] - HEAD: one for one in of_kind(plain, "label error") if one["confidence"] >= 0.9}
    assert set(FLIPPED) & changed.keys()
    for number, row in enumerate(rows()):
        if row["id"] in fixed:
            new = changed[number]["suggested"] if number in changed else row["stars"]
            before = row["stars"] if number in changed else ""
            assert fixed[row["id"]] == {**row, "stars": new, "stars_before": before}
    assert plain["fixed"] == {
        "paths": [str(folder / "fixed.csv")],
        "rows": len(fixed),
        "unusable": 2,
        "duplicates": 1,
        "labels": len(changed),
    }


def test_a_copy_in_test_of_a_text_in_train_is_a_leak(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    table = [{"text": text, "label": "1" if label == "good" else "0"} for text, label in TEXTS[:40]]
    write(folder / "train.csv", table)
    write(folder / "test.csv", [table[4], {"text": "another one entirely", "label": "1"}])
    assert run("check", folder, "--fix", tmp_path / "out.csv") == 2
    assert "name a folder" in capsys.readouterr().err
    assert run("check", folder, "--fix", tmp_path / "out", "--threads", "1") == 0
    out, err = capsys.readouterr()
    findings = [json.loads(line) for line in out.splitlines()]  # in a pipe
    (leak,) = [one for one in findings if one["kind"] == "leak"]
    assert (leak["split"], leak["row"], leak["reason"]) == ("test", 2, f"also in train, row {4 + HEAD}")
    assert "left out: nothing" in err
    for name in ("train", "test"):
        before, after = read(folder / f"{name}.csv"), read(tmp_path / "out" / f"{name}.csv")
        assert [row["text"] for row in after] == [row["text"] for row in before]
        assert {row["label"] for row in after} <= {"0", "1"}


@pytest.mark.parametrize("wrapped", [False, True])
def test_elements_of_json_on_one_line_are_corrected_one_by_one(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], *, wrapped: bool
) -> None:
    table = [{"text": row["body"], "label": row["stars"]} for row in rows()[: len(TEXTS) + 1]]
    (tmp_path / "in.json").write_text(json.dumps({"data": table} if wrapped else table), "utf-8")
    assert run("check", tmp_path / "in.json", "--fix", tmp_path / "out.jsonl", "--threads", "1") == 0
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (duplicate,) = [one for one in findings if one["kind"] == "duplicate"]
    assert (duplicate["row"], duplicate["reason"]) == (len(TEXTS) + 1, "repeats row 4")
    sure = {
        one["row"] - 1: one["suggested"] for one in findings if (one["confidence"] or 0) >= 0.9 and one["suggested"]
    }
    assert set(FLIPPED) & sure.keys()
    expected = [row | {"label": sure.get(number, row["label"])} for number, row in enumerate(table[:-1])]
    after = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [{"text": row["text"], "label": row["label"]} for row in after] == expected


def test_rows_that_a_reader_places_alike_are_not_corrected(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Rows([Example(text, label, where="all.txt") for text, label in TEXTS], [])
    monkeypatch.setattr(opinions, "read", lambda *_: found)
    assert run("check", "opinions", "--fix", "out") == 2
    assert "gives two rows the same place" in capsys.readouterr().err
    assert not Path("out").exists()


def test_texts_in_memory_are_found_by_their_index() -> None:
    labels = [label == "good" for _, label in TEXTS]
    labels[9] = not labels[9]
    audit = check_texts([text for text, _ in TEXTS], labels)
    wrong = {one.row: one for one in audit.findings if one.kind == "label error"}
    assert wrong[9].suggested == str(not labels[9])
    assert wrong[9].text == TEXTS[9][0]


def test_of_many_texts_outliers_are_found_and_the_gain_of_more_is_estimated() -> None:
    texts = [(f"{text} {number}", label) for number in range(4) for text, label in TEXTS][:204]
    texts[100] = ("qzxv wvkkq zzjq xqjw vvbq", "good")
    audit = check_texts(*map(list, zip(*texts, strict=True)))  # type: ignore[arg-type]
    reasons = {one.row: one.reason for one in audit.findings if one.kind == "outlier"}
    assert reasons[100] == "0% of the words are known"
    assert audit.curve is not None
    assert audit.curve.sizes == [round(fraction * 0.8 * len(texts)) for fraction in (0.125, 0.25, 0.5, 1)]


def test_texts_that_repeat_do_not_make_the_others_outliers() -> None:
    once = [(f"{text} {number}", label) for number in range(4) for text, label in TEXTS][:210]
    audits = [check_texts(*map(list, zip(*texts, strict=True))) for texts in (once, once + 30 * once[:8])]
    without, repeated = [[one for one in audit.findings if one.kind == "outlier"] for audit in audits]
    assert repeated == without


def test_labels_of_few_texts_are_named_and_not_searched() -> None:
    audit = check_texts(["a fine film", "a dull film", "a kind film", "a cruel film"], ["good", "bad", "good", "bad"])
    assert [one for one in audit.findings if one.kind == "label error"] == []
    assert "2 labels of fewer than 5 distinct texts are not searched for errors" in audit.remarks


MISTAKES = [
    (("missing.csv",), "there is no such file, folder or data set"),
    (("opinoins",), "did you mean 'opinions'"),
    (("mine.csv", "--text-column", "text"), "no column 'text'"),
    (("mine.csv", *COLUMNS, "--report", "out.pdf"), "'.pdf' cannot be written"),
    (("mine.csv", *COLUMNS, "--report", "mine.csv"), "the data would be written over"),
    (("mine.csv", *COLUMNS, "--fix", "mine.csv"), "the data would be written over"),
    (("mine.csv", *COLUMNS, "--report", "r.csv", "--fix", "./r.csv"), "the findings would be written over"),
    (("entities",), "not for tagged words"),
    (("one.csv",), "only one class to learn"),
    (("empty.csv",), "none of the 2 rows can be used"),
    (("mine.csv", "--set", "train.lr=1"), "is not a field of section data"),
]


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES)
def test_a_mistake_is_named_and_loses_nothing(
    run: Callable[..., int], arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("mine.csv"), rows())
    write(Path("one.csv"), [{"text": text, "label": "x"} for text, _ in TEXTS])
    write(Path("empty.csv"), [{"text": "", "label": "x"}, {"text": "a", "label": ""}])
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    assert run("check", *arguments) == 2
    assert expected in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_a_terminal_shows_each_kind_with_its_count_and_its_rows(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    table = [{**row, "body": f"{row['body']} [red]\x1b[2J"} for row in rows() if row["body"]]
    write(Path("mine.csv"), table)
    assert run("check", "mine.csv", *COLUMNS, "--fix", "fixed.csv", "--report", "all.csv") == 0
    shown = capsys.readouterr()
    assert "\x1b[2J" not in shown.out
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.out).splitlines()
    assert lines[0].startswith(f"train: {len(table) - 1} texts, ")  # one has no label
    kinds = Counter(one["kind"] for one in read(Path("all.csv")))
    headings = {name: int(count) for line in lines if (match := re.match(r"([a-z ]+): (\d+)  ", line))
                for name, count in [match.groups()]}  # fmt: skip
    assert headings == kinds
    at = next(index for index, line in enumerate(lines) if line.startswith("duplicate: "))
    assert lines[at + 1].split() == ["row", "label", "text", "why"]
    row, label, *text = lines[at + 2].split()
    assert (row, label) == (str(HEAD + len(TEXTS)), TEXTS[3][1])
    assert " ".join(text).startswith(f"{TEXTS[3][0]} [red]\\x1b[2J repeats row {3 + HEAD}")
    remarks = " ".join(shown.err.split())
    assert f"all {kinds.total()} findings: all.csv" in remarks
    left = "left out: 1 row that cannot be used and 1 exact duplicate"
    assert f"fixed.csv: {len(read(Path('fixed.csv')))} rows; {left}" in remarks


@pytest.mark.parametrize("command", ["check", "evaluate", "adapt", "predict", "train"])
def test_ctrl_c_is_reported_once(
    command: str, run: Callable[..., int], trained: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    write(Path("mine.csv"), [{"text": text, "label": label} for text, label in TEXTS])
    monkeypatch.setattr("lstmcli.data.text.vocabulary.Vocabulary.encode", interrupted)
    arguments = {
        "check": ["mine.csv"], "train": ["mine.csv"], "predict": ["-c", trained, "a fine film"],
    }.get(command, ["-c", trained, "--data", "mine.csv"])  # fmt: skip
    assert run(command, *arguments) == 130
    assert [line for line in capsys.readouterr().err.splitlines() if "interrupted" in line] == ["• interrupted"]


def test_class_weights_are_proposed_where_the_classes_are_uneven() -> None:
    texts = [f"{text} {place}" for place in PLACES[:6] for text in GOOD] + [f"{text} at home" for text in BAD]
    for good, proposed in ((24, True), (20, False)):  # 4 of the other label
        kept = [*texts[:good], *texts[24:]]
        remarks = check_texts(kept, ["good"] * good + ["bad"] * 4).remarks
        assert any("uneven" in remark and "train.class_weights=adjusted" in remark for remark in remarks) == proposed
