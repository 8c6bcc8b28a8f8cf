"""Class weights: what they change, and what they must not, against closed forms, brute force and scikit-learn."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.utils.class_weight import compute_class_weight

import lstmcli
from lstmcli.data.batches.encoded import Store
from lstmcli.sklearn import TextClassifier
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.tasks import classify
from lstmcli.tasks.class_weights import EXPONENTS, Weighted
from lstmcli.training import class_weights, distillation, probe
from lstmcli.types import Batch, ClassScores
from tests.conftest import SMALL, train_arguments

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]
WEIGHTS = np.array([0.4, 1.0, 7.0])
COUNTS = np.array([60, 30, 10])


def scores(logits: torch.Tensor) -> ClassScores:
    return ClassScores(logits, logits)


def batch(targets: torch.Tensor) -> Batch:
    return Batch(torch.ones(len(targets), 1, dtype=torch.long), torch.ones(len(targets), dtype=torch.long), targets)


def task(**changes: object) -> Weighted:
    return replace(Weighted(classify, WEIGHTS), **changes)  # type: ignore[arg-type]


def test_without_features_the_loss_is_least_at_the_class_frequencies_whatever_the_weights() -> None:
    targets = torch.from_numpy(np.repeat([0, 1, 2], COUNTS))
    bias = torch.from_numpy(np.log(COUNTS / 100)).requires_grad_()
    mean = task().loss(scores(bias.expand(100, 3)), batch(targets))
    (gradient,) = torch.autograd.grad(mean.value, bias)
    assert mean.count == 100
    torch.testing.assert_close(gradient, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-12)
    plain = bias.detach() - torch.from_numpy(WEIGHTS).log()  # where the weighted loss alone would be least: not here
    moved = plain.requires_grad_()
    (slope,) = torch.autograd.grad(task().loss(scores(moved.expand(100, 3)), batch(targets)).value, moved)
    assert slope.abs().max() > 0.1


def test_the_loss_is_the_weighted_mean_by_hand_with_labels_and_with_probabilities() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 2, 2])
    log_probs = (logits + torch.from_numpy(WEIGHTS).log()).log_softmax(dim=1).numpy()
    expected = np.mean([-WEIGHTS[label] * log_probs[row, label] for row, label in enumerate(targets.tolist())])
    assert float(task().loss(scores(logits), batch(targets)).value) == pytest.approx(expected)
    soft = torch.tensor([[0.2, 0.3, 0.5], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
    found = task().loss(scores(logits), batch(soft.double()))
    by_hand = -(soft.numpy() * WEIGHTS * log_probs).sum() / 4  # the second text has no label and does not count
    assert float(found.value) == pytest.approx(by_hand)
    assert int(found.count) == 4
    assert float(task(adjusted=True).loss(scores(logits), batch(targets)).value) == pytest.approx(
        float(classify.loss(scores(logits), batch(targets)).value)
    )


def test_balanced_weights_are_those_of_scikit_learn_and_all_have_mean_one() -> None:
    labels = ("a", "b", "c")
    targets = np.repeat([0, 1, 2], COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=targets)
    np.testing.assert_allclose(class_weights.weights_of("balanced", COUNTS, labels), expected)
    given = class_weights.weights_of({"c": 5.0}, COUNTS, labels)
    assert given[2] / given[0] == pytest.approx(5)
    assert given[1] == given[0]
    assert given[targets].mean() == pytest.approx(1)
    without_texts = class_weights.weights_of("balanced", np.append(COUNTS, 0), (*labels, "d"))
    np.testing.assert_allclose(without_texts, [*expected, 1])


def test_figures_are_those_of_the_decisions() -> None:
    random = np.random.default_rng(0)
    probabilities, targets = random.dirichlet(np.ones(3), 200), random.integers(3, size=200)
    decided = np.array([max(range(3), key=lambda label: row[label] * WEIGHTS[label]) for row in probabilities])
    measured = task().measure(probabilities, targets)
    assert measured["accuracy"].value == pytest.approx(accuracy_score(targets, decided))
    assert measured["macro_f1"].value == pytest.approx(f1_score(targets, decided, average="macro"))
    summary = task().summary(np.log(probabilities), targets)
    assert summary["score"] == pytest.approx(accuracy_score(targets, decided, sample_weight=WEIGHTS[targets]))
    answers = task().describe(np.log(probabilities), "abc", 1.0)
    assert [answer["label"] for answer in answers] == ["abc"[index] for index in decided]
    assert answers[0]["probabilities"] == classify.describe(np.log(probabilities), "abc", 1.0)[0]["probabilities"]


def test_the_exponent_is_the_middle_of_those_with_the_best_macro_f1() -> None:
    random = np.random.default_rng(1)
    targets = np.repeat([0, 1, 2], COUNTS)
    probabilities = random.dirichlet(np.ones(3), 100) * np.array([0.9, 0.4, 0.05])
    probabilities[np.arange(100), targets] += random.random(100) * 0.2
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    reached = [
        f1_score(targets, (probabilities * WEIGHTS**exponent).argmax(axis=1), average="macro") for exponent in EXPONENTS
    ]
    best = [exponent for exponent, value in zip(EXPONENTS, reached, strict=True) if value > max(reached) - 1e-9]
    tuned = task(adjusted=True).tuned(np.log(probabilities), targets, 1.0)
    assert tuned.exponent == pytest.approx(best[len(best) // 2])
    assert max(reached) > reached[0]
    np.testing.assert_allclose(tuned.decision, WEIGHTS**tuned.exponent)


def test_the_probe_has_the_weights_and_keeps_the_class_frequencies() -> None:
    random = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], COUNTS)
    features = random.normal(size=(100, 5)) + targets[:, None]
    weight, bias = probe.fitted(features, targets, 3, seed=0, class_weights=WEIGHTS)
    found = torch.from_numpy(features @ weight.T + bias + np.log(WEIGHTS)).softmax(dim=1).numpy()
    by_class = dict(enumerate(WEIGHTS))
    expected = [
        LogisticRegression(C=penalty, max_iter=300, class_weight=by_class)
        .fit(features, targets)
        .predict_proba(features)
        for penalty in probe.PENALTIES
    ]
    assert min(np.abs(found - rows).max() for rows in expected) < 1e-6


def documents() -> tuple[list[str], np.ndarray]:
    random = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], COUNTS)
    texts = [" ".join(f"w{word}" for word in random.integers(3 * label, 3 * label + 12, 6)) for label in targets]
    return texts, targets


def test_the_linear_baseline_is_the_balanced_one_of_scikit_learn() -> None:
    texts, targets = documents()
    ids = [np.array([2 + int(word[1:]) for word in text.split()]) for text in texts]
    offsets = np.concatenate(([0], np.cumsum([len(row) for row in ids])))
    store = Store(np.concatenate(ids), offsets, targets)
    weights = class_weights.weights_of("balanced", COUNTS, ("a", "b", "c"))
    fitted = task(weights=weights).fit_baselines(store.codes, store.offsets, targets, labels=3)
    found = classify.baseline_probabilities(fitted, store.codes, store.offsets)["linear"]
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(texts)
    reference = LogisticRegression(C=10, max_iter=300, class_weight="balanced").fit(features, targets)
    np.testing.assert_allclose(found, reference.predict_proba(features), atol=1e-3)
    taught = distillation.linear_probabilities(classify, fitted, store)  # as a teacher: under the class frequencies
    expected = found / weights
    np.testing.assert_allclose(taught, expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 texts in three classes; words overlap, so that no model is sure."""
    texts, targets = documents()
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
    texts, targets = documents()
    by_text = {one["text"]: one["label"] for one in answers}
    reference = f1_score(["abc"[label] for label in targets], [by_text[text] for text in texts], average="macro")
    assert report["metrics"]["macro_f1"]["value"] == pytest.approx(reference)


def test_an_adapted_model_no_longer_has_the_weights(run: Run, weighted_run: Path, uneven: Path) -> None:
    out = weighted_run.with_name("adapted.pt")
    assert checkpoints.load(weighted_run).progress["class_weights"]["c"] > 5
    assert run("adapt", "-c", weighted_run, "--data", uneven, "--shots", "4", "--out", out, "-q") == 0
    model = lstmcli.load(out)
    texts, _ = documents()
    assert model.predict(texts).tolist() == model.classes_[model.predict_proba(texts).argmax(axis=1)].tolist()


@pytest.mark.parametrize("setting", ["balanced", "adjusted"])
def test_rare_classes_are_found_more_often(run: Run, uneven: Path, tmp_path: Path, setting: str) -> None:
    texts, targets = documents()
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
    texts, targets = documents()
    names = np.array(["x", "y", "z"])[targets]
    settings = {name.replace(".", "__"): value for name, _, value in (one.partition("=") for one in SMALL)}
    weighted = TextClassifier(settings=settings | {"train__epochs": 2, "train__class_weights": {"z": 30, "y": 2}})
    fitted = weighted.fit(texts, names)
    decided = (fitted.predict_proba(texts) * [1, 2, 30]).argmax(axis=1)
    assert fitted.predict(texts).tolist() == np.array(["x", "y", "z"])[decided].tolist()
    assert set(decided) != {0}
