"""``predict --explain`` as people use it: JSON, files, pipes, a terminal; and the library."""

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.text import Text

from lstmcli import fit, load
from lstmcli.cli import console, contributions
from lstmcli.errors import ConfigError
from tests.conftest import BAD, GOOD, SMALL, untrained

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def summed(answer: dict[str, Any]) -> float:
    """The probability whose log odds are the sum of base value and weights."""
    return 1 / (1 + math.exp(-answer["base_value"] - sum(weight for *_, weight in answer["contributions"])))


def test_the_weights_of_the_words_sum_to_the_log_odds(run: Run, trained: Path, capsys: Captured) -> None:
    texts = [GOOD[0], "a cold\tand  empty film, zzz"]
    assert run("predict", "-c", trained, "--json", "--explain", *texts) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert list(answers[0])[-3:] == ["contributions", "base_value", "cut"]
    for text, answer in zip(texts, answers, strict=True):
        assert summed(answer) == pytest.approx(answer["probability"], abs=1e-5)
        assert [text[start:end] for start, end, _ in answer["contributions"]] == text.replace(",", " ,").split()
        assert answer["cut"] is None
    weights = {texts[1][start:end]: weight for start, end, weight in answers[1]["contributions"]}
    assert weights["zzz"] == 0.0  # unknown to the model
    assert min(weights["cold"], weights["empty"]) > max(weights["a"], weights["and"])
    explained = load(trained, threads=1).explain(texts)
    keys = ("label", "probability", "contributions", "base_value", "cut")
    assert explained == [{key: answer[key] for key in keys} for answer in answers]


@pytest.mark.parametrize(("names", "none"), [((0, 1), None), ((False, True), None), (("bad", "good"), "")])
def test_where_training_chose_a_threshold_no_label_is_explained_as_another(
    trained: Path, names: tuple[Any, Any], none: Any
) -> None:
    texts = [*GOOD, *BAD, "a film", "warm and cruel"]
    settings = {name.replace(".", "__"): value for name, _, value in (one.partition("=") for one in SMALL)}
    labels = [names[1]] * len(GOOD) + [names[0]] * len(BAD)
    model = fit(texts[: len(labels)] * 5, labels * 5, train__target_coverage=0.6, **settings)
    predicted = list(model.predict(texts))
    assert none in predicted
    assert [(type(one["label"]), one["label"]) for one in model.explain(texts)] == [
        (type(none), none) if label == none else (type(names[0]), label) for label in predicted
    ]


def test_files_have_the_same_explanations_in_one_column(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "a.csv").write_text(f"id,text\n1,{GOOD[0]}\n2,\n3,{BAD[1]}\n")
    read = {}
    for kind in ("jsonl", "csv", "parquet"):
        path = tmp_path / f"out.{kind}"
        assert run("predict", "-c", trained, "--explain", "-i", tmp_path / "a.csv", "-o", path, "--keep", "id") == 0
        if kind == "jsonl":
            read[kind] = [json.loads(line) for line in path.read_text().splitlines()]
        else:
            rows = list(csv.DictReader(io.StringIO(path.read_text(), newline=""))) if kind == "csv" else None
            rows = rows or pq.read_table(path).to_pylist()
            for row in rows:
                row["contributions"] = json.loads(row["contributions"])
                row["base_value"] = float(row["base_value"]) if row["base_value"] else None
            read[kind] = rows
    assert "problem" in read["jsonl"][1]
    for name in ("contributions", "base_value"):
        columns = [[row[name] for row in rows] for rows in read.values()]
        assert columns[0] == columns[1] == columns[2]
    assert read["jsonl"][1]["contributions"] == []
    assert [row["cut"] for row in read["csv"]] == ["", "", ""]


def test_a_pipe_has_no_colour_and_a_terminal_marks_words(run: Run, trained: Path, capsys: Captured) -> None:
    assert run("predict", "-c", trained, "--explain", "-q", GOOD[0]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert [text for text, *_ in json.loads(out.rstrip("\n").split("\t")[3])] == [0, 2, 7, 11, 17]
    weights = [[0, 5, 2.0], [6, 10, -1.5], [11, 14, 0.0], [15, 20, 0.0], [21, 25, 1.0]]
    answer = {"text": "funny\ndull \x1b[ middle last", "contributions": weights, "cut": [11, 20]}
    marked = contributions.marked(answer, Text("good  70.0%"))
    plain, words = marked.plain.split("\n", 1)
    assert plain == "good  70.0%  funny dull [… not read …] last"  # nothing can control the terminal
    assert words == "    for: funny +2.00, last +1.00\n    against: dull -1.50"
    styles = {marked.plain[span.start : span.end]: str(span.style) for span in marked.spans}
    assert styles["funny"] == contributions.FOR[2]
    assert styles["dull"] == contributions.AGAINST[2]
    assert styles["last"] == contributions.FOR[1]
    terminal = console.console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=100)
    terminal.print(marked)
    assert "\x1b[" in terminal.file.getvalue()


def test_a_truncated_text_is_reported(run: Run, trained: Path, capsys: Captured) -> None:
    assert run("predict", "-c", trained, "--explain", "--json", "warm " * 2_000) == 0
    shown = capsys.readouterr()
    assert "head and tail were read; words between them contribute 0" in shown.err
    answer = json.loads(shown.out)
    assert len(answer["contributions"]) == 2_000
    start, end = answer["cut"]
    assert all((weight == 0) == (start <= begin < end) for begin, _, weight in answer["contributions"])


@pytest.mark.parametrize(
    ("recipe", "what"), [("lm", "a language model has no labels"), ("entities", "the model labels words")]
)
def test_other_models_are_refused(recipe: str, what: str, run: Run, tmp_path: Path, capsys: Captured) -> None:
    other = untrained(recipe, tmp_path / "other.pt")
    assert run("predict", "-c", other, "--explain", GOOD[0]) == 2
    error = capsys.readouterr().err
    assert what in error
    assert "--explain" in error
    with pytest.raises(ConfigError, match=what):
        load(other).explain([GOOD[0]])


@pytest.mark.parametrize("learner", ["ridge", "matching", "prototypical"])
def test_an_adapted_model_explains_its_labels(trained: Path, learner: str) -> None:
    """Also where a learner computes the logits from the texts that it has learned from."""
    labels = ["fine"] * 4 + ["poor"] * 4
    model = load(trained, threads=1).adapt([*GOOD, *BAD], labels, learner=learner)
    for answer in model.explain([GOOD[0], BAD[0]]):
        assert max(abs(weight) for *_, weight in answer["contributions"]) > 0.01
        assert summed(answer) == pytest.approx(answer["probability"], abs=1e-5)


def test_labels_have_the_type_that_they_were_given_in(trained: Path) -> None:
    model = load(trained, threads=1).adapt([*GOOD, *BAD], [1] * 4 + [0] * 4, learner="ridge")
    assert [answer["label"] for answer in model.explain([GOOD[0], BAD[0]])] == [1, 0]
    assert model.explain([]) == []
