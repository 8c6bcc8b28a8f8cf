"""Thresholds, abstention and prediction sets through the commands and the library."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from lstmcli import fit, load
from lstmcli.errors import CheckpointError, ConfigError
from lstmcli.events import Noted
from lstmcli.inference.decisions import critical
from lstmcli.sklearn import TextClassifier
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.compact import compacted
from tests.conftest import BAD, GOOD, train_arguments, write_table

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
TEXTS = [*GOOD, *BAD, "a film", "twice", "warm and cruel", "nothing of this kind"]


def answers(run: Run, capsys: Captured, *arguments: object) -> list[dict[str, Any]]:
    assert run("predict", "--json", *arguments, *TEXTS) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture(scope="module")
def unsure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on noisy labels, whose training chose a threshold: about a third of its labels are wrong."""
    from lstmcli.cli.app import main

    folder = tmp_path_factory.mktemp("unsure")
    random = np.random.default_rng(0)
    rows = [(f"{text} {number}", label if random.random() < 0.8 else other) for number in range(40)
            for label, other, texts in (("good", "bad", GOOD), ("bad", "good", BAD)) for text in texts]  # fmt: skip
    table = folder / "noisy.csv"
    table.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    with pytest.raises(SystemExit) as end:
        main([*train_arguments(table, folder / "run", "--quiet", "--target-coverage", "0.6"), "--epochs", "2"])
    assert not end.value.code
    return folder / "run"


def test_the_label_is_empty_below_the_confidence_and_probabilities_stay(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    plain = answers(run, capsys, "-c", trained)
    middle = sorted(one["probability"] for one in plain)[len(plain) // 2]
    found = answers(run, capsys, "-c", trained, "--min-confidence", middle)
    assert {one["label"] for one in found} == {"", "good", "bad"}
    for before, after in zip(plain, found, strict=True):
        assert after == before | ({} if before["probability"] > middle - 1e-5 else {"label": ""})
    (tmp_path / "a.txt").write_text("\n".join(["", *TEXTS]) + "\n")
    for kind in ("csv", "parquet"):
        out = tmp_path / f"out.{kind}"
        options = ("--min-confidence", middle, "--sets", 0.9, "--in-scope", 0.8)
        assert run("predict", "-c", trained, *options, "-i", tmp_path / "a.txt", "-o", out) == 0
        rows = pq.read_table(out).to_pylist() if kind == "parquet" else [
            *csv.DictReader(io.StringIO(out.read_text(), newline=""))]  # fmt: skip
        assert [row["label"] for row in rows] == ["", *(one["label"] for one in found)]
        assert [bool(row["probability"]) for row in rows] == [False, *[True] * len(TEXTS)]
        assert not rows[0]["set"]
        assert {row["in_scope"] for row in rows} <= (
            {None, True, False} if kind == "parquet" else {"", "true", "false"}
        )
        assert all(isinstance(json.loads(row["set"]), list) for row in rows[1:])


def test_a_threshold_moves_the_operating_point(run: Run, trained: Path, capsys: Captured) -> None:
    good = [one["probabilities"]["good"] for one in answers(run, capsys, "-c", trained)]
    limit = sorted(good)[len(good) // 3]
    found = answers(run, capsys, "-c", trained, "--threshold", f"good={limit}")
    assert [one["label"] for one in found if abs(one["probabilities"]["good"] - limit) > 1e-5] == [
        "good" if probability > limit else "bad" for probability in good if abs(probability - limit) > 1e-5
    ]
    for one in found:
        assert one["probability"] == one["probabilities"][one["label"]]
    everything = answers(run, capsys, "-c", trained, "--threshold", "good=1", "--threshold", "bad=1")
    assert {one["label"] for one in everything} == {""}


def test_sets_follow_from_the_scores_in_the_checkpoint(run: Run, unsure: Path, capsys: Captured) -> None:
    scores = checkpoints.load(unsure).group("conformal")["scores"].numpy()
    assert len(scores) == 32  # a tenth of 320 texts
    np.testing.assert_array_equal(scores, np.sort(scores))
    for promised in (0.7, 0.9, 0.99):
        limit = critical(scores, promised)
        for one in answers(run, capsys, "-c", unsure, "--sets", promised):
            ordered = sorted(one["probabilities"].items(), key=lambda item: -item[1])
            assert one["set"] == [label for label, probability in ordered if 1 - probability <= limit + 1e-6]
    assert all(len(one["set"]) == 2 for one in answers(run, capsys, "-c", unsure, "--sets", 0.99))  # too few scores


def test_scope_follows_from_the_entropies_in_the_checkpoint(run: Run, unsure: Path, capsys: Captured) -> None:
    kept = checkpoints.load(unsure).group("conformal")["entropies"].numpy()
    np.testing.assert_array_equal(kept, np.sort(kept))
    assert len(kept) == 32
    found = set()
    for promised in (0.3, 0.6, 0.9):
        limit, within = critical(kept, promised), load(unsure).in_scope(TEXTS, promised)
        for one, inside in zip(answers(run, capsys, "-c", unsure, "--in-scope", promised), within, strict=True):
            spread = -sum(p * np.log(p) for p in one["probabilities"].values())
            assert one["in_scope"] == inside
            assert inside == (spread <= limit) or abs(spread - limit) < 1e-5
            found.add(one["in_scope"])
    assert found == {True, False}
    assert run("predict", "-c", unsure, "--in-scope", 0.3, *TEXTS) == 0
    assert {line.split("\t")[3] for line in capsys.readouterr().out.splitlines()} == {"true", "false"}


def test_the_threshold_of_training_is_applied_reported_and_can_be_switched_off(
    run: Run, unsure: Path, tmp_path: Path, capsys: Captured
) -> None:
    chosen = checkpoints.load(unsure).min_confidence
    assert 0.5 < chosen < 1
    assert run("predict", "-c", unsure, *TEXTS) == 0
    assert f"no label below a probability of {chosen:.3f}" in capsys.readouterr().err
    applied = answers(run, capsys, "-c", unsure)
    assert applied == answers(run, capsys, "-c", unsure, "--min-confidence", chosen)
    assert run("predict", "-c", unsure, "--min-confidence", "0", *TEXTS) == 0
    assert "no label below" not in capsys.readouterr().err
    assert all(one["label"] for one in answers(run, capsys, "-c", unsure, "--min-confidence", "0"))

    data = write_table(tmp_path / "data.csv")
    assert run("evaluate", "-c", unsure, "--data", data, "--thresholds", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    row = report["decision"]
    assert (row["threshold"], row["target"]) == (chosen, {"coverage": 0.6})
    assert {**row, "target": 0} in [point | {"target": 0} for point in report["thresholds"]["min_confidence"]]
    texts = [line.rsplit(",", 1) for line in data.read_text().splitlines()[1:]]
    labels = load(unsure).predict([text.strip('"') for text, _ in texts])
    given = [(label, true) for label, (_, true) in zip(labels, texts, strict=True) if label]
    assert row["coverage"]["value"] == pytest.approx(len(given) / len(texts))
    assert row["precision"]["value"] == pytest.approx(np.mean([label == true for label, true in given]))
    assert report["thresholds"].keys() == {"min_confidence", "labels", "sets"}
    assert report["thresholds"]["labels"].keys() == {"bad", "good"}
    assert [one["promised"] for one in report["thresholds"]["sets"]] == [0.8, 0.9, 0.95, 0.99]
    assert report["thresholds"]["sets"][-1]["coverage"]["value"] == 1.0  # all labels

    assert run("evaluate", "-c", unsure, "--data", data, "--thresholds") == 0
    shown = capsys.readouterr().out
    for part in ("--min-confidence", "--threshold good=P", "promised", "target coverage 60.0%"):
        assert part in shown


def test_an_adapted_model_keeps_neither_and_an_exported_one_both(
    run: Run, unsure: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = write_table(tmp_path / "data.csv")
    assert run("adapt", "-c", unsure, "--data", data, "--shots", 5, "--out", tmp_path / "a.pt") == 0
    adapted = checkpoints.load(tmp_path / "a.pt")
    assert (adapted.min_confidence, adapted.group("conformal")) == (0.0, {})
    capsys.readouterr()
    assert run("predict", "-c", tmp_path / "a.pt", "--sets", "0.9", "fine") == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "no scores of validation texts" in message
    assert "lstmcli train FILE" in message
    whole = checkpoints.load(unsure)
    small = compacted(whole)
    assert small.min_confidence == whole.min_confidence
    assert small.group("conformal")["scores"].equal(whole.group("conformal")["scores"])


MISTAKES = [  # options of predict, what the message must name
    (["--threshold", "god=0.5"], ["no label 'god'", "did you mean 'good'", "--threshold god=0.5"]),
    (["--threshold", "good"], ["'good' is not LABEL=P", "--threshold positive=0.7"]),
    (["--threshold", "=0.5"], ["is not LABEL=P"]),
    (["--threshold", "good=high"], ["'good=high' is not LABEL=P"]),
    (["--threshold", "good=1.5"], ["1.5 is not a probability", "from 0 to 1"]),
    (["--threshold", "good=nan"], ["nan is not a probability"]),
    (["--threshold", "good=0.5", "--threshold", "good=0.6"], ["two thresholds: 0.5, 0.6"]),
    (["--min-confidence", "80"], ["80.0 is not a probability", "--min-confidence 0.8"]),
    (["--min-confidence", "-0.1"], ["-0.1 is not a probability"]),
    (["--sets", "1"], ["1.0 is not a probability below 1", "--sets 0.9"]),
    (["--sets", "0"], ["0.0 is not a probability below 1"]),
    (["--in-scope", "95"], ["95.0 is not a probability below 1", "--in-scope 0.9"]),
]


@pytest.mark.parametrize(("options", "named"), MISTAKES)
def test_a_mistake_is_reported(run: Run, trained: Path, capsys: Captured, options: list[str], named: list[str]) -> None:
    assert run("predict", "-c", trained, *options, "fine") == 2
    message = " ".join(capsys.readouterr().err.split())
    assert all(part in message for part in named), message


def test_a_tagger_has_no_thresholds(run: Run, tmp_path: Path, capsys: Captured) -> None:
    for options in (["--target-precision", "0.9"], ["--target-coverage", "0.9"]):
        assert run("train", "entities", "--dry-run", *options) == 2
        assert "is for classifiers of texts" in " ".join(capsys.readouterr().err.split())
    sizes = ["--set", "model.hidden=4", "--set", "model.embedding=4", "--set", "model.vectors=none"]
    assert run("train", "entities", *sizes, "--limit", 20, "--epochs", 1, "--out", tmp_path / "run", "-q") == 0
    for options in (["--min-confidence", "0.5"], ["--sets", "0.5"], ["--threshold", "PER=0.5"]):
        assert run("predict", "-c", tmp_path / "run", *options, "fine") == 2
        message = " ".join(capsys.readouterr().err.split())
        assert "does not give each text its likeliest label" in message
        assert options[0] in message
    assert run("evaluate", "-c", tmp_path / "run", "--thresholds") == 2
    assert "--thresholds" in capsys.readouterr().err


TARGETS = [
    (["--target-precision", "1.5"], ["1.5 is out of range", "--target-precision 1.5"]),
    (["--target-coverage", "0"], ["0 is out of range", "--target-coverage 0"]),
    (["--target-precision", "0.9", "--target-coverage", "0.9"], ["cannot reach both", "leave out --target-precision"]),
    (["--target-precision", "0.9", "--learner", "maml"], ["no effect on episodes"]),
]


@pytest.mark.parametrize(("options", "named"), TARGETS)
def test_a_wrong_target_is_reported(
    run: Run, table: Path, tmp_path: Path, capsys: Captured, options: list[str], named: list[str]
) -> None:
    assert run(*train_arguments(table, tmp_path / "run", "--dry-run", *options)) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert all(part in message for part in named), message


def test_thresholds_of_few_shot_tasks_do_not_exist(run: Run, trained: Path, capsys: Captured) -> None:
    assert run("evaluate", "-c", trained, "--thresholds", "--shots", "2") == 2
    assert "--thresholds and --shots" in " ".join(capsys.readouterr().err.split())


SETTINGS: dict[str, Any] = {
    "model__init": None, "model__sentence_embedding": 0, "model__embedding": 8, "model__hidden": 8,
    "train__probe": False, "tokens__extend": False, "tokens__min_count": 1, "train__batch_tokens": 64,
    "train__lr": 0.02, "train__epochs": 2, "precision": "float32",
}  # fmt: skip


@pytest.mark.parametrize(("labels", "none"), [((10, 9), None), (("yes", "no"), ""), ((True, False), None)])
def test_the_library_decides_in_the_labels_of_the_user(labels: tuple[Any, Any], none: object) -> None:
    texts = [f"{text} {number}" for number in range(6) for text in (*GOOD, *BAD)]
    targets = [labels[0]] * 4 + [labels[1]] * 4
    model = fit(texts, targets * 6, **SETTINGS)
    table = dict(zip(TEXTS, model.predict_proba(TEXTS), strict=True))
    classes = model.classes_.tolist()
    plain = [classes[row.argmax()] for row in table.values()]
    assert model.predict(TEXTS).tolist() == plain
    limit = float(np.median([row.max() for row in table.values()]))
    expected = [label if row.max() >= limit else none for label, row in zip(plain, table.values(), strict=True)]
    assert model.predict(TEXTS, min_confidence=limit).tolist() == expected
    first = classes.index(labels[0])
    moved = [labels[0] if row[first] >= 0.3 else labels[1] for row in table.values()]
    assert model.predict(TEXTS, thresholds={labels[0]: 0.3}).tolist() == moved
    assert all(set(found) <= set(classes) for found in model.predict_sets(TEXTS, 0.6))
    with pytest.raises(ConfigError, match="no label 'maybe'") as caught:
        model.predict(TEXTS, thresholds={"maybe": 0.5})
    assert caught.value.where == "thresholds={'maybe': 0.5}"
    with pytest.raises(ConfigError, match="not a probability") as caught:
        model.predict(TEXTS, min_confidence=2)
    assert caught.value.where == "min_confidence=2"


def test_the_library_chooses_a_threshold_and_scikit_learn_always_gets_a_label() -> None:
    texts = [f"{text} {number}" for number in range(10) for text in (*GOOD, *BAD)]
    labels = [0, 0, 0, 0, 1, 1, 1, 1] * 10
    notes: list[str] = []
    listener = lambda event: notes.append(event.text) if isinstance(event, Noted) else None  # noqa: E731
    model = fit(texts, labels, train__target_coverage=0.5, listener=listener, **SETTINGS)
    assert any("of the validation texts get a label" in note and "unreliable" in note for note in notes)
    assert None in model.predict(TEXTS).tolist()
    assert None not in model.predict(TEXTS, min_confidence=0).tolist()
    assert "decision" in model.evaluate(texts, labels).details
    estimator = TextClassifier(settings=SETTINGS | {"train__target_coverage": 0.5}).fit(texts, labels)
    assert set(estimator.predict(TEXTS)) <= {0, 1}


def test_a_target_that_no_threshold_reaches_is_reported() -> None:
    texts = [f"{text} {number}" for number in range(10) for text in (*GOOD, *BAD)]
    notes: list[str] = []
    listener = lambda event: notes.append(event.text) if isinstance(event, Noted) else None  # noqa: E731
    wrong = (TEXTS[:8], [0, 0, 0, 0, 1, 1, 1, 1])  # the opposite of what is learned
    settings = SETTINGS | {"train__epochs": 15}
    model = fit(texts, [1, 1, 1, 1, 0, 0, 0, 0] * 10, validation=wrong, train__target_precision=0.99,
                listener=listener, **settings)  # fmt: skip
    assert "no threshold has a precision of 99.0% on validation: all texts get a label" in notes
    assert None not in model.predict(TEXTS).tolist()


def test_the_scores_of_an_older_file_are_missing_not_wrong(trained: Path, tmp_path: Path) -> None:
    now = checkpoints.load(trained)
    tensors = {name: value for name, value in now.tensors.items() if not name.startswith("conformal/")}
    checkpoints.save(replace(now, tensors=tensors), tmp_path / "old.pt")
    with pytest.raises(CheckpointError, match="no scores of validation texts"):
        load(tmp_path / "old.pt").predict_sets(TEXTS)
