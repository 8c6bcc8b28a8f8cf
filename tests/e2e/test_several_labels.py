"""Texts with several labels, or none, through the real commands and the Python API."""

import csv
import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lstmcli
from lstmcli.data.batches import label_names, sampling
from lstmcli.data.batches.encoded import dataset_hash
from lstmcli.errors import ConfigError, DataError
from lstmcli.inference import select
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.types import Example, LabelSet

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
WORDS = {"warm": "coats soft snug", "cheap": "price bargain sale", "late": "parcel courier delay"}
TINY = ("--set", "model.init=none", "--set", "model.embedding=8", "--set", "model.hidden=8", "--set",
        "model.sentence_embedding=0", "--set", "tokens.min_count=1", "--set", "train.min_steps=none", "--set",
        "train.lr=0.03", "--epochs", "30", "--set", "train.batch_tokens=128", "--threads", "1", "--precision",
        "float32", "-q")  # fmt: skip
SETTINGS = {"model__init": None, "model__embedding": 8, "model__hidden": 8, "model__sentence_embedding": 0,
            "tokens__min_count": 1, "train__min_steps": None, "train__lr": 0.03,
            "train__epochs": 30, "train__batch_tokens": 128, "threads": 1, "precision": "float32"}  # fmt: skip


def rows() -> Iterator[tuple[str, list[str]]]:
    """Texts that hold a word of each of their labels."""
    for number in range(160):
        labels = [label for bit, label in enumerate(WORDS) if number >> bit & 1]
        words = [WORDS[label].split()[number % 3] for label in labels]
        yield " ".join([f"item {number % 7} is", *words, "or so"]), labels


ROWS = list(rows())


def write(path: Path, separator: str = ",", column: str = "label") -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": text, column: labels}) + "\n" for text, labels in ROWS), "utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"text": [text for text, _ in ROWS], column: [labels for _, labels in ROWS]}), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", column])
            writer.writerows([text, separator.join(labels)] for text, labels in ROWS)
    return path


def said(run: Run, capsys: Captured, *arguments: object) -> Any:
    capsys.readouterr()
    code = run(*arguments, "--json")
    output = capsys.readouterr()
    assert code == 0, output.err
    return json.loads(output.out)


@pytest.fixture(scope="module")
def model() -> lstmcli.Model:
    """Fitted in Python to lists."""
    texts, labels = zip(*ROWS, strict=True)
    return lstmcli.fit(texts, labels, **SETTINGS)


@pytest.fixture
def checkpoint(model: lstmcli.Model, tmp_path: Path) -> Path:
    model.save(tmp_path / "model.pt")
    return tmp_path / "model.pt"


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.csv", "; "), ("a.jsonl", ","), ("a.parquet", ",")])
def test_every_kind_of_column_trains_the_same_model(
    name: str, separator: str, run: Run, tmp_path: Path, capsys: Captured
) -> None:
    table = write(tmp_path / name, separator, "topics")
    how = ("--label-column", "topics", "--label-separator", separator)
    assert run("train", table, *how, *TINY, "--out", tmp_path / "run") == 0, capsys.readouterr().err
    report = said(run, capsys, "evaluate", "-c", tmp_path / "run", "--data", table)  # as it was read in training
    assert report["task"] == "multilabel"
    assert list(report["metrics"]) == ["macro_f1", "micro_f1", "exact_match", "hamming_loss"]
    assert report["metrics"]["macro_f1"]["value"] > 0.95
    assert report["baselines"]["linear"]["macro_f1"]["value"] > 0.95
    assert report["baselines"]["majority"]["macro_f1"]["value"] < 0.7
    assert list(report["by_label"]) == sorted(WORDS)
    assert report["by_label"]["late"]["texts"] in range(2, 16)
    assert 0 < report["by_label"]["late"]["threshold"] < 1


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_answers_are_labelled_data_again(
    kind: str, run: Run, checkpoint: Path, tmp_path: Path, capsys: Captured
) -> None:
    table, answers = write(tmp_path / "texts.jsonl"), tmp_path / f"answers.{kind}"
    assert run("predict", "-c", checkpoint, "-i", table, "-o", answers, "-q") == 0
    report = said(run, capsys, "evaluate", "-c", checkpoint, "--data", answers, "--label-column", "labels")
    assert report["examples"] == len(ROWS)
    assert report["metrics"]["exact_match"]["value"] == 1
    assert report["metrics"]["hamming_loss"]["value"] == 0


def test_a_pipe_gets_json_lines_with_every_probability(run: Run, checkpoint: Path, capsys: Captured) -> None:
    assert run("predict", "-c", checkpoint, "item 1 is soft bargain or so", "item 1 is or so", "-q") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (sorted(first["labels"]), second["labels"]) == (["cheap", "warm"], [])
    given = [first["probabilities"][label] for label in first["labels"]]
    assert given == sorted(given, reverse=True)
    assert list(first["probabilities"]) == sorted(WORDS)


def test_labels_are_given_from_the_stored_thresholds_on(
    run: Run, model: lstmcli.Model, tmp_path: Path, capsys: Captured
) -> None:
    """Also where those are far from the ones that training chose."""
    thresholds = {"cheap": 0.001, "late": 1.0, "warm": 0.4}
    checkpoint = model._checkpoint
    changed = replace(checkpoint, progress=checkpoint.progress | {"thresholds": thresholds})
    checkpoints.save(changed, tmp_path / "model.pt")
    table = write(tmp_path / "texts.jsonl")
    assert run("predict", "-c", tmp_path / "model.pt", "-i", table, "-o", tmp_path / "a.jsonl", "-q") == 0
    for line in (tmp_path / "a.jsonl").read_text("utf-8").splitlines():
        answer = json.loads(line)
        reached = {label for label, p in answer["probabilities"].items() if p >= thresholds[label]}
        assert set(answer["labels"]) == reached
    report = said(run, capsys, "evaluate", "-c", tmp_path / "model.pt", "--data", table)
    assert {label: row["threshold"] for label, row in report["by_label"].items()} == thresholds
    assert report["by_label"]["late"]["recall"]["value"] < 0.5 < report["by_label"]["cheap"]["recall"]["value"]
    other = replace(checkpoint, progress=checkpoint.progress | {"thresholds": {"cheap": 0.5}})
    checkpoints.save(other, tmp_path / "other.pt")
    assert run("predict", "-c", tmp_path / "other.pt", "x") == 2
    assert "thresholds of other labels" in capsys.readouterr().err


def test_texts_without_labels_are_drawn_as_a_class_and_held_out() -> None:
    examples = [Example(text, LabelSet(labels)) for text, labels in ROWS]
    support, _ = sampling.per_class(examples, 3, seed=0)
    counts = Counter(label for example in support for label in sampling.labels(example) or [""])
    assert (counts[""], min(counts.values())) == (3, 3)
    drawn, rest = sampling.stratified(examples, 32, seed=0)
    assert Counter(str(example.target) for example in drawn) == dict.fromkeys({str(one.target) for one in examples}, 4)
    assert len(drawn) + len(rest) == len(examples)


def test_a_row_that_cannot_be_used_has_no_labels(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("item 1 is soft or so\n\n", "utf-8")
    assert run("predict", "-c", checkpoint, "-i", tmp_path / "texts.txt", "-o", tmp_path / "a.jsonl", "-q") == 0
    first, second = map(json.loads, (tmp_path / "a.jsonl").read_text("utf-8").splitlines())
    assert (first["labels"], second["labels"]) == (["warm"], None)
    assert second["problem"]


def test_adapt_learns_new_labels_from_a_few_texts(run: Run, checkpoint: Path, tmp_path: Path, capsys: Captured) -> None:
    names = {"warm": "cosy", "cheap": "good value", "late": "slow"}
    table = tmp_path / "new.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [["text", "label"], *([text, ",".join(map(names.get, labels))] for text, labels in ROWS)]
        )
    out = tmp_path / "adapted.pt"
    found = said(run, capsys, "adapt", "-c", checkpoint, "--data", table, "--shots", "12", "--out", out)
    assert set(found["labels"]) == found["support"].keys() == set(names.values())
    assert found["after"]["micro_f1"]["value"] > 0.9 > found["before"]["micro_f1"]["value"]
    assert "macro_f1" in found["baselines"]["support linear"]
    assert run("predict", "-c", out, "item 1 is courier sale or so", "-q") == 0
    assert set(json.loads(capsys.readouterr().out)["labels"]) == {"good value", "slow"}


def test_python_has_lists_in_and_out(model: lstmcli.Model, tmp_path: Path) -> None:
    assert model.predict(["item 3 is snug parcel or so", "item 3 is or so"]) in (
        [["warm", "late"], []],
        [["late", "warm"], []],
    )
    assert model.predict([]) == []
    assert model.predict_proba(["item 3 is snug or so"]).shape == (1, 3)
    texts, labels = zip(*ROWS, strict=True)
    assert model.score(texts, labels) > 0.95
    again = pickle.loads(pickle.dumps(model))
    assert again.predict(texts[:20]) == model.predict(texts[:20])
    adapted = model.adapt(texts[:40], [["x"] if "warm" in one else [] for one in labels[:40]])
    assert adapted.predict(["item 1 is snug or so", "item 1 is delay or so"]) == [["x"], []]
    numbers = {"cheap": 1, "late": 2, "warm": 3}
    of_numbers = lstmcli.fit(texts, [[*map(numbers.get, one)] for one in labels], **(SETTINGS | {"train__epochs": 4}))
    assert all(type(label) is int for one in of_numbers.predict(texts[:9]) for label in one)


def test_intervals_by_label_and_of_baselines_are_drawn_by_the_seed(model: lstmcli.Model) -> None:
    texts, labels = [text for text, _ in ROWS[:60]], [labels[:1] for _, labels in ROWS[:60]]  # some are wrong
    found = [model.evaluate(texts, labels, seed=seed) for seed in (0, 0, 5)]
    assert found[0].details == found[1].details != found[2].details
    assert found[0].baselines == found[1].baselines != found[2].baselines


def test_the_report_page_has_a_table_of_labels(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    table = write(tmp_path / "texts.jsonl")
    assert run("evaluate", "-c", checkpoint, "--data", table, "--report", tmp_path / "report", "-q") == 0
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert "Figures by label" in page
    assert "hamming loss" in page
    first = json.loads((tmp_path / "report" / "predictions.jsonl").read_text("utf-8").splitlines()[5])
    assert first["target"] == sorted(ROWS[5][1])


MISTAKES = [  # arguments, what the error says
    (("train", "lists.jsonl"), "--label-separator ','"),
    (("train", "one.csv", "--set", "model.name=multilabel"), "--label-separator ','"),
    (("train", "opinions", "--label-separator", ","), "one label each"),
    (("train", "entities", "--label-separator", ","), "not for tagger"),
    (("train", "one.csv", "--label-separator", ",", "--set", "train.class_weights=balanced"), "its own threshold"),
    (("train", "one.csv", "--label-separator", ",", "--learner", "maml"), "one label each"),
    (("train", "empty.csv", "--label-separator", ","), "no text has a label"),
    (("train", "null.jsonl", "--label-separator", ","), "an empty cell or list"),
    (("evaluate", "-c", "english", "--data", "one.csv", "--label-separator", ","), "leave it out"),
    (("evaluate", "-c", "MODEL", "--data", "opinions"), "one per text"),
    (("evaluate", "-c", "MODEL", "--data", "unknown.csv"), "unknown label 'wram'"),
    (
        ("evaluate", "-c", "MODEL", "--data", "joined.csv", "--label-separator", ","),
        "known labels: --label-separator '|'",
    ),
    (("train", "holes.csv"), "--label-separator '|'; correct the rows"),
    (("evaluate", "-c", "MODEL", "--data", "one.csv", "--shots", "2"), "several labels"),
    (("evaluate", "-c", "MODEL", "--data", "one.csv", "--thresholds"), "beside its threshold"),
    (("adapt", "-c", "MODEL", "--data", "one.csv", "--learner", "ridge"), "--learner anchored"),
    (("predict", "-c", "MODEL", "x", "--min-confidence", "0.9"), "--threshold LABEL=P"),
    (("predict", "-c", "MODEL", "x", "--sets", "0.9"), "a threshold of its own"),
    (("predict", "-c", "MODEL", "x", "--threshold", "wram=0.9"), "did you mean 'warm'"),
    (("predict", "-c", "MODEL", "x", "--explain"), "several labels"),
    (("train", "two.csv", "--set", "train.teacher=MODEL", "--set", "data.unlabelled=null.jsonl"), "several labels"),
    (("check", "opinions", "--label-separator", ","), "one label per text"),
    (("check", "empty.csv", "--label-separator", ","), "no text has a label"),
]


@pytest.mark.parametrize(
    ("arguments", "expected"), MISTAKES, ids=lambda one: " ".join(one) if isinstance(one, tuple) else ""
)
def test_a_mistake_is_answered_with_its_remedy(
    arguments: tuple[str, ...], expected: str, run: Run, checkpoint: Path, tmp_path: Path, capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "lists.jsonl")
    (tmp_path / "one.csv").write_text(
        "text,label\n" + "".join(f"item {n} is soft or so,warm\n" for n in range(20)), "utf-8"
    )
    known = lstmcli.load(checkpoint, threads=1).classes_[:3]
    pairs = [f"{a}|{b}" for a in known for b in known if a != b]
    (tmp_path / "joined.csv").write_text(
        "text,label\n" + "".join(f"item {n},{pair}\n" for n, pair in enumerate(pairs * 3)), "utf-8"
    )
    (tmp_path / "holes.csv").write_text((tmp_path / "joined.csv").read_text("utf-8") + "an item,\n", "utf-8")
    two = "".join(f"item {n} is {'soft,warm' if n % 2 else 'sale,cheap'}\n" for n in range(20))
    (tmp_path / "two.csv").write_text("text,label\n" + two, "utf-8")
    (tmp_path / "unknown.csv").write_text('text,label\nsoft,"warm,wram"\n', "utf-8")
    (tmp_path / "empty.csv").write_text("text,label\n" + "".join(f"soft {n},\n" for n in range(20)), "utf-8")
    (tmp_path / "null.jsonl").write_text('{"text": "soft", "label": null}\n' * 9, "utf-8")
    assert run(*(one.replace("MODEL", str(checkpoint)) for one in arguments)) == 2
    assert expected in " ".join(capsys.readouterr().err.split())


def test_the_uncertainty_is_that_of_each_label_about_its_threshold() -> None:
    thresholds = np.array([0.5, 0.01, 0.9])
    probabilities = np.array([[0.3, 0.01, 0.9], [0.99, 0.092, 0.3], [0.0, 0.001, 1.0]])
    with np.errstate(divide="ignore"):
        shifted = np.log(probabilities / (1 - probabilities)) - np.log(thresholds / (1 - thresholds))
    expected = 1 - np.abs(np.tanh(shifted / 2))  # of σ(x): |2 σ(x) - 1|
    np.testing.assert_allclose(select.of_each_label(probabilities, thresholds), expected, atol=1e-12)
    np.testing.assert_allclose(
        select.of_each_label(np.array([[0.3], [0.8]]), np.array([0.5])).ravel(),
        select.uncertainty(np.array([[0.7, 0.3], [0.2, 0.8]])),
    )
    assert select.of_each_label(np.array([1.0, 0.0]), np.array([1.0, 0.0])).tolist() == [1.0, 1.0]


def test_texts_are_selected_about_the_thresholds_of_the_command(
    run: Run, checkpoint: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "CANDIDATES", 1)  # the most uncertain text, no choice among clusters
    pool = [f"{text} {number}" for number, (text, _) in enumerate(ROWS)]
    model = lstmcli.load(checkpoint, threads=1)
    first = model.classes_[0]
    limit = float(model.predict_proba(pool)[:, 0].max())
    assert run("predict", "-c", checkpoint, "--select", 1, "--threshold", f"{first}={limit}", *pool, "-q") == 0
    [found] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (found["unsure"], found["probability"]) == (first, pytest.approx(limit, abs=1e-6))  # at the threshold


def test_the_most_uncertain_texts_are_selected_and_adapt_learns_what_was_filled_in(
    run: Run, checkpoint: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "CANDIDATES", 1)
    pool = [f"{text} {number}" for number, (text, _) in enumerate(ROWS)]
    pool += ["soft price courier", "soft price courier", "nobody knows these words"]
    (tmp_path / "pool.txt").write_text("\n".join(pool), "utf-8")
    path = tmp_path / "next.csv"
    assert run("predict", "-c", checkpoint, "--select", 9, "-i", tmp_path / "pool.txt", "-o", path, "-q") == 0
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["row", "text", "label", "proposal", "probability", "unsure"]
    model = lstmcli.load(checkpoint, threads=1)
    chosen = [int(row["row"]) - 1 for row in found]
    assert chosen == model.select(pool, 9)
    progress = checkpoints.load(checkpoint).progress["thresholds"]
    thresholds = np.array([progress[label] for label in model.classes_])
    probabilities = model.predict_proba(pool).round(6)
    each = select.of_each_label(probabilities, thresholds)
    order = (-each.max(axis=1)).argsort(kind="stable").tolist()
    learned = {text for text, _ in ROWS}
    expected = [index for index in order if pool[index] not in learned and pool.index(pool[index]) == index]
    assert chosen == expected[:9]
    for index, row in zip(chosen, found, strict=True):
        assert row["label"] == ""
        assert row["unsure"] == model.classes_[each[index].argmax()]
        assert float(row["probability"]) == probabilities[index, each[index].argmax()]
        assert set(filter(None, row["proposal"].split(","))) == set(model.predict([pool[index]])[0])

    arguments = ("adapt", "-c", checkpoint, "--data", path, "--shots", 50, "--json", "--out", tmp_path / "adapted.pt")
    assert run(*arguments) == 2  # nothing is filled in: no text is learned as one without labels
    assert "no 'label' yet" in " ".join(capsys.readouterr().err.split())
    for row, filled in zip(found, ["warm", "cheap, late", "late", ",", "warm,late", "", "", "", " "], strict=True):
        row["label"] = filled
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    assert run(*arguments) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["support"] == {"cheap": 1, "late": 3, "warm": 2}
    assert "4 rows skipped" in shown.err
    texts = [len(checkpoints.load(one).group("learned")["texts"]) for one in (checkpoint, tmp_path / "adapted.pt")]
    assert texts[1] == texts[0] + 5


CHECKED = [
    ("a soft coat", ["warm"]),
    ("a late parcel", ["late"]),
    ("a late parcel", ["late", "cheap"]),  # contradicts the row before
    ("a soft coat", ["warm"]),  # a duplicate
    ("A SOFT COAT!", ["warm"]),  # the same but for capitals and a mark
    ("nothing of that", []),
    ("nothing of that", []),  # a duplicate
    ("", ["warm"]),
    (" ".join(f"very{number} soft" for number in range(300)), ["warm", "cheap"]),
]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_check_reads_sets_of_labels(suffix: str, run: Run, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / f"mine{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": text, "label": labels}) + "\n" for text, labels in CHECKED))
    else:
        lines = [f'"{text}",{"|".join(reversed(labels))}\n' for text, labels in CHECKED]
        path.write_text("text,label\n" + "".join(lines))
    first = 1 if suffix == ".jsonl" else 2
    fixed = tmp_path / f"fixed{suffix}"
    found = said(run, capsys, "check", path, "--label-separator", "|", "--fix", fixed, "--json")
    at = {(one["kind"], one["row"] - first): one for one in found["findings"]}
    assert list(at) == [
        ("unusable", 7), ("contradiction", 1), ("contradiction", 2), ("duplicate", 3), ("duplicate", 6),
        ("near duplicate", 4), ("truncated", 8),
    ]  # fmt: skip
    assert at["contradiction", 1]["reason"] == f"the same text has the label 'cheap, late' in row {2 + first}"
    assert found["splits"]["train"]["labels"] == {"cheap": 2, "late": 2, "warm": 4}
    assert any("label errors are searched for where each text has one label" in one for one in found["remarks"])
    kept = [row for number, row in enumerate(CHECKED) if number not in (3, 6, 7)]
    if suffix == ".jsonl":
        rows_fixed = [json.loads(line) for line in fixed.read_text().splitlines()]
        assert [(row["text"], row["label"]) for row in rows_fixed] == kept
        audit = lstmcli.check_texts(*zip(*(row for row in CHECKED if row[0]), strict=True))
        assert [(one.kind, one.row) for one in audit.findings] == [
            (kind, row - (row > 7)) for kind, row in at if kind != "unusable"
        ]
    else:
        with fixed.open(newline="") as file:
            rows_fixed = list(csv.DictReader(file))
        assert [(row["text"], row["label"]) for row in rows_fixed] == [
            (text, "|".join(reversed(labels))) for text, labels in kept
        ]


def test_one_label_everywhere_is_noted(run: Run, tmp_path: Path, capsys: Captured) -> None:
    lines = [f"item {n} is {'soft' if n % 2 else 'sale'} or so,{'warm' if n % 2 else 'cheap'}" for n in range(40)]
    (tmp_path / "one.csv").write_text("text,label\n" + "\n".join(lines), "utf-8")
    assert run("train", tmp_path / "one.csv", "--label-separator", ",", *TINY[:-1], "--dry-run") == 0
    assert "each text has exactly one label" in " ".join(capsys.readouterr().err.split())


def test_labels_that_look_like_several_are_noted() -> None:
    counts = dict.fromkeys(["warm", "warm,cheap", "cheap,late", "warm,late", "warm,cheap,late"], 9)
    (remark,) = label_names.joined(counts)
    assert "4 labels, such as 'warm,cheap', are made of 3 parts" in remark
    assert "--label-separator ','" in remark
    assert label_names.joined({"Paris, France": 1, "Lyon, France": 1, "Bonn, Germany": 1, "a, b": 1}) == []


def test_mistakes_in_python(model: lstmcli.Model) -> None:
    texts = ["a b", "c d"]
    with pytest.raises(DataError, match="the label is a list"):
        lstmcli.fit(texts, [["x"], "y"])
    with pytest.raises(DataError, match="a str, not a list"):
        model.evaluate(texts, [["warm"], "late"])
    with pytest.raises(DataError, match="does not know 'wram'"):
        model.evaluate(texts, [["warm"], ["wram"]])
    with pytest.raises(ConfigError, match="several labels"):
        model.explain(texts)
    with pytest.raises(DataError, match="the label is a list"):
        lstmcli.load().evaluate(texts, [["positive"], []])
    with pytest.raises(ConfigError, match="class_weights"):
        lstmcli.fit(texts, [["x"], []], train__class_weights="balanced")


def test_the_hash_of_a_set_does_not_depend_on_its_order() -> None:
    names = [f"label {number}" for number in range(40)]
    one, other = LabelSet(names), LabelSet(reversed(names))
    assert dataset_hash([Example("a", one)]) == dataset_hash([Example("a", other)])
    assert str(one) == ", ".join(sorted(names))
    assert dataset_hash([Example("a", one)]) != dataset_hash([Example("a", LabelSet(names[1:]))])
