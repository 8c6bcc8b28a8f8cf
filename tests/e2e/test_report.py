"""report.html: the figures of report.json, whole without a network, and safe whatever texts and labels hold."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lstmcli import load
from lstmcli.cli import curve
from lstmcli.errors import RuntimeSetupError
from lstmcli.inference import emphasis
from lstmcli.inference import evaluate as evaluation
from lstmcli.machine import runtime
from lstmcli.report import PAGE, judged, reasons
from lstmcli.report.answers import MISTAKES
from tests.conftest import BAD, GOOD, train_arguments, write_table
from tests.pages import Page, check_figures, checked

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"&' http://example.org url(x)"


def test_the_page_has_the_figures_of_the_report(run: Run, trained: Path, tmp_path: Path) -> None:
    data = write_table(tmp_path / "other.csv", copies=3)
    assert run("evaluate", "-c", trained, "--data", data, "--report", tmp_path / "report", "-q") == 0
    page = checked(tmp_path / "report")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    check_figures(page, report)
    rows = [json.loads(line) for line in (tmp_path / "report" / "predictions.jsonl").read_text().splitlines()]
    for head, *parts in (page.tables["By label"], page.tables["By length"]):
        assert head == [head[0], "texts", "accuracy", "95 % interval"]
        assert sum(int(count) for _, count, *_ in parts) == len(rows)
    for label, count, accuracy, _ in page.tables["By label"][1:]:
        right = [row["label"] == label for row in rows if row["target"] == label]
        assert (int(count), accuracy) == (len(right), f"{sum(right) / len(right):.1%}")
    kept = [row for row in rows if row["probability"] >= 0.5]
    (half,) = [row for row in page.tables["Thresholds"] if row[0] == "50%"]
    precision = sum(row["label"] == row["target"] for row in kept) / len(kept)
    assert half[1:3] == [f"{len(kept) / len(rows):.1%}", f"{precision:.1%}"]
    epochs = page.tables["Each epoch"][1:]
    lines = [json.loads(line) for line in (trained.parent / "metrics.jsonl").read_text().splitlines()]
    assert [row[3] for row in epochs] == [f"{line['accuracy']:.1%}" for line in lines if "epoch" in line]
    gradients = page.tables["Relative gradient norms"]
    assert gradients[1] == ["0", "1", "1", "1", gradients[1][4]]


def test_texts_and_labels_are_never_markup(run: Run, tmp_path: Path) -> None:
    rows = [{"text": f"{text} {number} {HOSTILE}\x00", "label": label, "domain": f"{number % 2}{HOSTILE}"}
            for number in range(6) for texts, label in ((GOOD, HOSTILE), (BAD, "bad")) for text in texts]  # fmt: skip
    for index in range(0, len(rows), 5):  # wrong labels, to be shown as mistakes
        rows[index]["label"] = "bad" if rows[index]["label"] != "bad" else HOSTILE
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "<b>run"
    assert run(*train_arguments(path, out), "-q") == 0
    assert run("evaluate", "-c", out, "--data", path, "--report", tmp_path / "report", "-q") == 0
    page = checked(tmp_path / "report")
    assert "<b>run on" in page.text
    assert "http://example.org" in page.text  # as text, whole
    assert HOSTILE in [row[0] for row in page.tables["By label"]]
    assert "\ufffd" in page.text


def test_the_page_explains_mistakes_as_predict_does(run: Run, trained: Path, tmp_path: Path) -> None:
    """In float32 whatever the processor prefers: the weights sum to the log odds of the probability that is shown."""
    data = tmp_path / "other.csv"
    texts = [f"{text} {number} " + "and dull warm " * 40 * (number == 2) for number in range(3) for text in BAD]
    data.write_text("text,label\n" + "".join(f"{text},good\n" for text in texts))
    arguments = ("--data", data, "--precision", "auto", "--report", tmp_path / "report", "-q")
    assert run("evaluate", "-c", trained, *arguments) == 0
    page = checked(tmp_path / "report")
    rows = [json.loads(line) for line in (tmp_path / "report" / "predictions.jsonl").read_text().splitlines()]
    wrong = sorted((row for row in rows if row["label"] == "bad"), key=lambda row: -row["probability"])[:MISTAKES]
    assert len(wrong) == MISTAKES
    shown = re.findall(r"<li><blockquote.*?</li>", (tmp_path / "report" / PAGE).read_text(), re.DOTALL)
    assert len(shown) == MISTAKES
    for row, item in zip(wrong, shown, strict=True):
        (answer,) = load(trained, threads=1, precision="float32").explain([row["text"]])
        odds = answer["base_value"] + sum(weight for *_, weight in answer["contributions"])
        assert 1 / (1 + math.exp(-odds)) == pytest.approx(row["probability"], abs=2e-6)
        largest = max(abs(weight) for *_, weight in answer["contributions"])
        quoted = Page(item)
        strong = {row["text"][start:end] for start, end, weight in answer["contributions"] if weight == largest}
        marked = re.findall(r'<mark class="for s3">(\w+)</mark>', item)
        assert strong <= set(marked)
        for name, words in emphasis.strongest(row["text"], answer["contributions"]):
            listed = ", ".join(f"{word}\xa0{weight:+.2f}" for word, weight in words)
            assert not words or f"{name} it: {listed}" in quoted.text
        assert quoted.text.startswith("…") or len(row["text"]) <= 320 or "…bad" in quoted.text
    assert "Words are marked" in page.text


@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
def test_mistakes_are_explained_by_gradients_of_the_precision_that_scored(trained: Path, precision: str) -> None:
    if precision == "bfloat16" and not runtime.runs_bfloat16("cpu"):
        pytest.skip("the processor runs no LSTM in bfloat16")
    texts = [*GOOD, *BAD]
    report = load(trained, threads=1, precision=precision).evaluate(texts, ["bad"] * 4 + ["good"] * 4)
    scored, found = report.scored, judged.judged(list(report.predictions()))
    assert found is not None
    assert len(found.mistakes) == len(texts)
    of_model = load(trained, threads=1, precision="float32" if precision == "auto" else precision).explain(
        [texts[one.row] for one in found.mistakes]
    )
    for mistake, ours, theirs in zip(found.mistakes, reasons.of(scored, found.mistakes), of_model, strict=True):
        odds = ours["base_value"] + sum(weight for *_, weight in ours["contributions"])
        assert 1 / (1 + math.exp(-odds)) == pytest.approx(mistake.probability, abs=2e-6)
        weights, expected = ([weight for *_, weight in one["contributions"]] for one in (ours, theirs))
        assert weights == pytest.approx(expected, abs=1e-5)


def test_the_library_writes_the_page_of_the_command(run: Run, trained: Path, tmp_path: Path) -> None:
    data = write_table(tmp_path / "other.csv", copies=3)
    texts, labels = zip(*(line.split(",") for line in data.read_text().splitlines()[1:]), strict=True)
    labels = ("bad", *labels[1:])  # a mistake
    data.write_text("text,label\n" + "".join(f"{one},{label}\n" for one, label in zip(texts, labels, strict=True)))
    assert run("evaluate", "-c", trained, "--data", data, "--report", tmp_path / "report", "-q", "--seed", "3") == 0
    model = load(trained, threads=1)
    found = model.evaluate([text.strip('"') for text in texts], labels, report=str(tmp_path / "other"), seed=3)
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == sorted(
        path.name for path in (tmp_path / "report").iterdir()
    )
    one, other = ((tmp_path / name / "predictions.jsonl").read_text() for name in ("report", "other"))
    assert one == other
    report = json.loads((tmp_path / "other" / "report.json").read_text())
    assert report == json.loads(json.dumps(found.plain()))
    pages = [(tmp_path / name / PAGE).read_text() for name in ("report", "other")]
    sections = [re.findall(r"<section.*?</section>", page, re.DOTALL) for page in pages]
    assert len(sections[0]) > 6
    assert sections[0][:-1] == sections[1][:-1]  # the last, the model card, has the data and threads of the run
    checked(tmp_path / "other")


def test_the_library_finds_a_folder_that_cannot_be_written_before_it_scores(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "run", lambda *_, **__: pytest.fail("it was scored"))
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeSetupError, match="cannot be written"):
        load(trained).evaluate(GOOD, ["good"] * 4, report=tmp_path / "file")


def test_a_page_of_tasks_has_a_dot_per_task(run: Run, tmp_path: Path) -> None:
    rows = [{"text": f"{text} {number} {domain}", "label": label, "domain": domain}
            for domain in ("one", "two", "three") for number in range(4)
            for texts, label in ((GOOD, "good"), (BAD, "bad")) for text in texts]  # fmt: skip
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "run"
    assert run(*train_arguments(tmp_path / "mine.jsonl", out), "-q") == 0
    few = ("--shots", "2", "--episodes", "7", "--split", "train")
    arguments = ("-c", out, "--data", tmp_path / "mine.jsonl", *few)
    assert run("evaluate", *arguments, "--report", tmp_path / "report", "-q") == 0
    page = checked(tmp_path / "report")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    check_figures(page, report)
    kinds = [attributes.get("class", "") for tag, attributes in page.elements if tag == "circle"]
    assert kinds.count("grain c1") == report["episodes"] == 7
    assert kinds.count("grain c4") == 7 * len(report["baselines"])


def test_a_page_that_cannot_be_written_stops_the_command_before_it_scores(
    run: Run, trained: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(evaluation, "run", lambda *_, **__: pytest.fail("it was scored"))
    (tmp_path / "report" / PAGE).mkdir(parents=True)
    assert run("evaluate", "-c", trained, "--data", table, "--report", tmp_path / "report") == 2
    assert "it is a folder" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert run("evaluate", "-c", trained, "--data", table, "--report", tmp_path / "file") == 2
    assert "cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "report" / "report.json").exists()


def test_the_course_of_a_run_is_one_character_per_evaluation() -> None:
    lines = [{"epoch": epoch, "step": epoch, "train_loss": 1.0, "score": score, "accuracy": score, "loss": loss}
             for epoch, (score, loss) in enumerate(((0.5, 0.8), (0.75, 0.4), (0.85, 0.1), (0.7, 0.5)), 1)]  # fmt: skip
    assert curve.of(lines) == [
        "loss      █▄▁▅  0.800 to 0.500",
        "accuracy  ▁▆█▅  50.0% to 70.0%, best 85.0% in epoch 3",
    ]
    assert curve.drawn([1, 2, 3], curve.ASCII) == "_+#"
    assert curve.drawn([2.0] * 200, curve.BLOCKS) == "▁" * curve.COLUMNS
    assert curve.of(lines[:1]) == []


def test_a_pipe_gets_no_curve(run: Run, table: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run(*train_arguments(table, tmp_path / "run")) == 0
    shown_there = capsys.readouterr()
    assert not set(curve.BLOCKS) & set(shown_there.out + shown_there.err)
