"""Class weights against closed forms, brute force and scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.utils.class_weight import compute_class_weight

from lstmcli.data.batches.encoded import Store
from lstmcli.tasks import classify
from lstmcli.tasks.class_weights import EXPONENTS, Weighted
from lstmcli.training import class_weights, distillation, probe
from lstmcli.types import Batch, ClassScores
from tests.conftest import uneven_documents

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
    confidence = probabilities[np.arange(200), decided]  # of the label decided on, which need not be the likeliest
    gaps = [abs(((targets == decided) - confidence)[np.floor(confidence * 15) == index].sum()) for index in range(15)]
    assert measured["ece"].value == pytest.approx(sum(gaps) / 200)
    summary = task().summary(np.log(probabilities), targets)
    assert summary["score"] == pytest.approx(accuracy_score(targets, decided, sample_weight=WEIGHTS[targets]))
    answers = task().describe(np.log(probabilities), "abc", 1.0)
    assert [answer["label"] for answer in answers] == ["abc"[index] for index in decided]
    assert answers[0]["probabilities"] == classify.describe(np.log(probabilities), "abc", 1.0)[0]["probabilities"]


@pytest.mark.parametrize(("seed", "several"), [(1, False), (5, True), (10, True)])
def test_the_exponent_is_the_middle_of_those_with_the_best_macro_f1(seed: int, several: bool) -> None:
    random = np.random.default_rng(seed)
    targets = np.repeat([0, 1, 2], COUNTS)
    probabilities = random.dirichlet(np.ones(3), 100) * np.array([0.9, 0.4, 0.05])
    probabilities[np.arange(100), targets] += random.random(100) * 0.2
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    probabilities, targets = probabilities[::3], targets[::3]  # few texts: exponents tie
    reached = [
        f1_score(targets, (probabilities * WEIGHTS**exponent).argmax(axis=1), average="macro") for exponent in EXPONENTS
    ]
    best = [exponent for exponent, value in zip(EXPONENTS, reached, strict=True) if value > max(reached) - 1e-9]
    assert (len(best) > 1) == several
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


def test_the_linear_baseline_is_the_balanced_one_of_scikit_learn() -> None:
    texts, targets = uneven_documents()
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
