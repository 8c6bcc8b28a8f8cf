"""Class weights as a user meets them: what the commands and the library decide, what is refused, what is proposed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

import lstmcli
from lstmcli import recipes
from lstmcli.config import Episodes
from lstmcli.inference.few_shot import measured
from lstmcli.inference.few_shot_report import FewShotOptions
from lstmcli.report import judged
from lstmcli.sklearn import TextClassifier
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.storage.checkpoint import grouped
from lstmcli.training import setup
from lstmcli.types import Example
from tests.conftest import BAD, GOOD, SMALL, train_arguments, uneven_documents
from tests.pages import check_figures, checked

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 texts in three classes; words overlap, so that no model is sure."""
    texts, targets = uneven_documents()
    path = tmp_path_factory.mktemp("uneven") / "uneven.csv"
    path.write_text(
        "text,label\n" + "".join(f"{text},{'abc'[label]}\n" for text, label in zip(texts, targets, strict=True))
    )
    return path


@pytest.fixture
def weighted_run(run: Run, uneven: Path, tmp_path: Path) -> Path:
    sets = ["--set", "train.class_weights={c: 30, b: 2}"]
    assert run(*train_arguments(uneven, tmp_path / "run", *sets, "-q")) == 0
    return tmp_path / "run" / "model.pt"


def test_every_command_and_the_library_decide_by_the_weights(
    run: Run, weighted_run: Path, uneven: Path, capsys: Captured
) -> None:
    capsys.readouterr()
    assert run("predict", "-c", weighted_run, "--input", uneven, "--json", "-q") == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    cost = {"a": 1, "b": 2, "c": 30}
    decided = [max(cost, key=lambda label: cost[label] * one["probabilities"][label]) for one in answers]
    assert [one["label"] for one in answers] == decided
    assert any(one["probability"] < max(one["probabilities"].values()) for one in answers)
    model = lstmcli.load(weighted_run)
    assert model.predict([one["text"] for one in answers]).tolist() == decided
    assert run("evaluate", "-c", weighted_run, "--data", uneven, "--split", "train", "--json", "-q") == 0
    report = json.loads(capsys.readouterr().out)
    texts, targets = uneven_documents()
    by_text = {one["text"]: one["label"] for one in answers}
    reference = f1_score(["abc"[label] for label in targets], [by_text[text] for text in texts], average="macro")
    assert report["metrics"]["macro_f1"]["value"] == pytest.approx(reference)


OPTIONS = [  # of predict: thresholds by label, the least probability of a label
    ({}, 0.0),
    ({"c": 0.15}, 0.0),
    ({"a": 0.3, "c": 0.05}, 0.0),
    ({}, 0.3),
    ({"a": 0.7}, 0.4),
    ({"a": 0.99, "b": 0.99, "c": 0.99}, 0.0),
]


@pytest.mark.parametrize(("thresholds", "least"), OPTIONS)
def test_thresholds_come_first_then_weights_then_the_least_confidence(
    run: Run, weighted_run: Path, capsys: Captured, thresholds: dict[str, float], least: float
) -> None:
    texts, _ = uneven_documents()
    options = [part for label, limit in thresholds.items() for part in ("--threshold", f"{label}={limit}")]
    options += ["--min-confidence", least] if least else []
    capsys.readouterr()
    assert run("predict", "-c", weighted_run, "--json", "-q", *options, *texts) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    weights = checkpoints.load(weighted_run).progress["class_weights"]
    expected, without = [], []
    for found in (answer["probabilities"] for answer in answers):
        reached = [label for label, limit in thresholds.items() if found[label] >= limit]
        possible = reached or [label for label in found if label not in thresholds]
        best = max(possible, key=lambda label: weights[label] * found[label], default="")
        expected.append(best if best and found[best] >= least else "")
        without.append(max(found, key=lambda label: weights[label] * found[label]))
    assert [answer["label"] for answer in answers] == expected
    shown = [label or other for label, other in zip(expected, without, strict=True)]
    for answer, label in zip(answers, shown, strict=True):
        assert answer["probability"] == answer["probabilities"][label]
    model = lstmcli.load(weighted_run)
    found = model.predict(texts, thresholds=thresholds, min_confidence=least)
    assert found.tolist() == expected
    assert run("predict", "-c", weighted_run, "--json", "--explain", "-q", *options, *texts[::9]) == 0
    explained = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["label"] for answer in explained] == expected[::9]
    for answer, label in zip(explained, shown[::9], strict=True):
        odds = answer["base_value"] + sum(weight for *_, weight in answer["contributions"])
        assert 1 / (1 + np.exp(-odds)) == pytest.approx(answer["probabilities"][label], abs=1e-5)
    if not options:
        assert [answer["label"] for answer in model.explain(texts)] == expected


def test_evaluate_its_page_and_its_thresholds_judge_the_labels_of_predict(
    run: Run, weighted_run: Path, uneven: Path, tmp_path: Path, capsys: Captured
) -> None:
    texts, _ = uneven_documents()
    found = dict(zip(texts, lstmcli.load(weighted_run).predict(texts), strict=True))
    evaluate = ("evaluate", "-c", weighted_run, "--data", uneven, "--split", "train", "-q")
    assert run(*evaluate, "--report", tmp_path / "report", "--thresholds") == 0
    rows = [json.loads(line) for line in (tmp_path / "report" / "predictions.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == [found[row["text"]] for row in rows]
    assert {row["label"] for row in rows} != {max(row["probabilities"], key=row["probabilities"].get) for row in rows}
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    right = np.array([row["label"] == row["target"] for row in rows])
    assert report["metrics"]["accuracy"]["value"] == pytest.approx(right.mean())
    page = checked(tmp_path / "report")
    check_figures(page, report)
    for label, count, figure, _ in page.tables["By label"][1:]:
        of_label = [row["label"] == label for row in rows if row["target"] == label]
        assert (int(count), figure) == (len(of_label), f"{np.mean(of_label):.1%}")
    confidence = np.array([row["probability"] for row in rows])
    for row in report["thresholds"]["min_confidence"]:
        answered = confidence >= row["threshold"]
        assert row["coverage"]["value"] == pytest.approx(answered.mean())
        assert row["error"]["value"] == pytest.approx((answered & ~right).mean())
    precision = {f"{row['threshold']:.2f}": row["precision"] for row in report["thresholds"]["min_confidence"]}
    shown = {f"{float(row[0].strip('% ')) / 100:.2f}": row[3] for row in page.tables["Thresholds"][1:]}
    both = [threshold for threshold in shown if precision.get(threshold)]
    assert both
    for one in both:
        assert shown[one] == f"{precision[one]['low']:.1%} to {precision[one]['high']:.1%}"


def test_before_scaling_the_page_shows_the_probability_of_the_same_label() -> None:
    given = [{"label": "b", "probability": 0.4, "probabilities": {"a": 0.6, "b": 0.4}}]
    sharper = [{"label": "a", "probability": 0.9, "probabilities": {"a": 0.9, "b": 0.1}}]
    assert judged.probabilities(sharper, given).tolist() == [0.1]


def test_the_threshold_of_training_is_chosen_on_the_labels_that_weights_decide(
    run: Run, uneven: Path, tmp_path: Path, capsys: Captured
) -> None:
    sets = ["--set", "train.class_weights={c: 30, b: 2}", "--set", "data.validation=0.4"]
    assert run(*train_arguments(uneven, tmp_path / "run", *sets, "-q", "--target-coverage", "0.7")) == 0
    checkpoint = checkpoints.load(tmp_path / "run" / "model.pt")
    held_out = inputs.read(checkpoint.config).validation
    capsys.readouterr()
    texts = [str(example.text) for example in held_out]
    assert run("predict", "-c", tmp_path / "run", "--json", "-q", "--min-confidence", "0", *texts) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any(one["probability"] < max(one["probabilities"].values()) for one in answers)
    confidence = np.sort([one["probability"] for one in answers])[::-1]
    rank = int(np.ceil(0.7 * len(texts)))
    assert checkpoint.min_confidence == pytest.approx(confidence[rank - 1], abs=1e-5)
    labels = lstmcli.load(tmp_path / "run").predict(texts)
    assert (labels != "").mean() == pytest.approx(np.mean(confidence >= checkpoint.min_confidence - 1e-5))


def test_an_adapted_model_no_longer_has_the_weights(run: Run, weighted_run: Path, uneven: Path) -> None:
    out = weighted_run.with_name("adapted.pt")
    assert checkpoints.load(weighted_run).progress["class_weights"]["c"] > 5
    assert run("adapt", "-c", weighted_run, "--data", uneven, "--shots", "4", "--out", out, "-q") == 0
    model = lstmcli.load(out)
    texts, _ = uneven_documents()
    assert model.predict(texts).tolist() == model.classes_[model.predict_proba(texts).argmax(axis=1)].tolist()


@pytest.mark.parametrize("setting", ["balanced", "adjusted"])
def test_rare_classes_are_found_more_often(run: Run, uneven: Path, tmp_path: Path, setting: str) -> None:
    texts, targets = uneven_documents()
    found = {}
    for name in ("none", setting):
        out = tmp_path / name
        assert run(*train_arguments(uneven, out, "--set", f"train.class_weights={name}", "-q")) == 0
        found[name] = (
            lstmcli.load(out).predict([text for text, one in zip(texts, targets, strict=True) if one]) != "a"
        ).sum()
    assert found[setting] > found["none"]
    assert (tmp_path / setting / "config.yaml").read_text().count(f"class_weights: {setting}") == 1


def test_a_resumed_run_keeps_its_weights(run: Run, uneven: Path, tmp_path: Path) -> None:
    sets = ["--set", "train.class_weights=adjusted"]
    assert (
        run(
            *train_arguments(uneven, tmp_path / "whole", *sets, "-q"),
            "--epochs",
            "4",
            "--set",
            "train.schedule=constant",
        )
        == 0
    )
    assert run(*train_arguments(uneven, tmp_path / "cut", *sets, "-q"), "--set", "train.schedule=constant") == 0
    resumed = train_arguments(uneven, tmp_path / "cut", *sets, "-q", "--set", "train.schedule=constant")
    assert run(*resumed, "--epochs", "4", "--resume") == 0
    whole, cut = (checkpoints.load(tmp_path / name / "model.pt") for name in ("whole", "cut"))
    assert cut.progress["class_weights"] == whole.progress["class_weights"]
    torch.testing.assert_close(cut.group("model"), whole.group("model"), rtol=0, atol=0)


WRONG = [  # setting, in the message, in the fix
    ("{cc: 5}", "no label 'cc'", "did you mean 'c'?"),
    ("{c: -1}", "no number above 0 for the label 'c'", ""),
    ("{c: much}", "no number above 0 for the label 'c'", ""),
    ("balancd", "did you mean 'balanced'?", "train.class_weights='{LABEL: 5}'"),
]


@pytest.mark.parametrize(("setting", "what", "fix"), WRONG)
def test_wrong_weights_are_an_error_before_training(
    run: Run, uneven: Path, tmp_path: Path, capsys: Captured, setting: str, what: str, fix: str
) -> None:
    assert run(*train_arguments(uneven, tmp_path / "run", "--set", f"train.class_weights={setting}")) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert what in message
    assert fix in message
    assert not (tmp_path / "run" / "model.pt").exists()


@pytest.mark.parametrize("recipe", ["entities", "lm", "hwu64-maml"])
def test_recipes_of_other_kinds_have_no_class_weights(run: Run, recipe: str, capsys: Captured) -> None:
    assert run("train", recipe, "--dry-run", "--set", "train.class_weights=balanced") == 2
    assert "--set train.class_weights=none" in capsys.readouterr().err


def test_uneven_classes_are_remarked_on_with_a_setting_that_works(
    run: Run, uneven: Path, tmp_path: Path, capsys: Captured
) -> None:
    arguments = train_arguments(uneven, tmp_path / "run", "--dry-run")
    assert run(*arguments) == 0
    message = " ".join(capsys.readouterr().err.split())
    assert "the classes are uneven: 54 examples against 9" in message
    assert "to label the rare ones more often: --set train.class_weights=adjusted" in message
    assert run(*arguments, "--set", "train.class_weights=adjusted") == 0
    assert "to label the rare ones" not in capsys.readouterr().err


def test_the_estimator_takes_weights_by_the_labels_of_the_user() -> None:
    texts, targets = uneven_documents()
    names = np.array(["x", "y", "z"])[targets]
    settings = {name.replace(".", "__"): value for name, _, value in (one.partition("=") for one in SMALL)}
    weighted = TextClassifier(settings=settings | {"train__epochs": 2, "train__class_weights": {"z": 30, "y": 2}})
    fitted = weighted.fit(texts, names)
    decided = (fitted.predict_proba(texts) * [1, 2, 30]).argmax(axis=1)
    assert fitted.predict(texts).tolist() == np.array(["x", "y", "z"])[decided].tolist()
    assert set(decided) != {0}


def test_a_teacher_gives_probabilities_that_are_not_weighted(uneven: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text("\n".join(f"w{number % 20} w{number % 7} w{number % 11} {number}" for number in range(30)) + "\n")
    sets = [*SMALL, "train.teacher=linear", f"data.unlabelled={more}", f"data.path={uneven}"]
    found = {}
    for setting in ("none", "balanced"):
        config = recipes.load("table", overrides=[*sets, f"train.class_weights={setting}"])
        begun = setup.prepare(config, inputs.read(config), None)
        found[setting] = begun.texts[inputs.UNLABELLED].known_targets
        assert bool(begun.baseline) == (setting == "none")  # with weights it is fitted again, with them
    np.testing.assert_array_equal(found["balanced"], found["none"])


def test_over_few_shot_tasks_the_linear_baseline_has_the_priors_of_the_tasks(trained: Path) -> None:
    """Weights w of a regression add log w to its scores: of both, the probabilities under any priors are the same."""
    plain = checkpoints.load(trained)
    weights = torch.tensor([1.0, 1e4])
    baseline = plain.group("baseline")
    moved = baseline | {"bias": baseline["bias"] + weights.log(), "class_weights": weights}
    weighted = replace(plain, tensors=plain.tensors | grouped("baseline", moved))
    examples = [Example(f"{text} {number}", label) for number in range(4)
                for label, texts in (("good", GOOD), ("bad", BAD)) for text in texts]  # fmt: skip
    options = FewShotOptions("mine", "test", Episodes(shots=2, queries=4), 6, "uniform", 0)
    expected, found = (measured(one, examples, [], options).figures["linear"] for one in (plain, weighted))
    assert found == [pytest.approx(figures) for figures in expected]
