"""Confident learning against its definition, a grid search, and cleanlab where that is installed."""

import itertools

import numpy as np
import pytest

from lstmcli.quality import confident
from lstmcli.quality.confident import Array


def drawn(seed: int, texts: int = 400, labels: int = 4) -> tuple[Array, Array]:
    """Noisy labels, and probabilities that know the true ones a little."""
    random = np.random.default_rng(seed)
    true = random.integers(labels, size=texts)
    scores = random.normal(size=(texts, labels)) + 2 * np.eye(labels)[true]
    targets = np.where(random.random(texts) < 0.8, true, random.integers(labels, size=texts))
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), targets


@pytest.mark.parametrize("labels", [2, 5])
def test_the_joint_is_that_of_the_definition(labels: int) -> None:
    probabilities, targets = drawn(labels, labels=labels)
    thresholds = [probabilities[targets == label, label].mean() for label in range(labels)]
    expected = np.zeros((labels, labels), int)
    for row, target in zip(probabilities, targets, strict=True):
        confident_of = [label for label in range(labels) if row[label] >= thresholds[label]]
        if confident_of:
            expected[target, max(confident_of, key=row.__getitem__)] += 1
    assert (confident.joint(probabilities, targets) == expected).all()
    assert 0 < expected.sum() < len(targets)  # some texts are confident of none


def test_the_errors_are_the_lowest_margins_as_many_as_the_joint_counts() -> None:
    probabilities, targets = drawn(0)
    joint = confident.joint(probabilities, targets)
    rows = [
        (row[target] - max(p for label, p in enumerate(row) if label != target), index)
        for index, (row, target) in enumerate(zip(probabilities, targets, strict=True))
    ]
    found = confident.errors(probabilities, targets)
    assert found.tolist() == [index for _, index in sorted(rows)[: joint.sum() - joint.trace()]]
    assert (probabilities.argmax(axis=1)[found] != targets[found]).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_joint_the_margins_and_the_errors_are_those_of_cleanlab(seed: int) -> None:
    count = pytest.importorskip("cleanlab.count")
    rank, filtering = (pytest.importorskip(f"cleanlab.{name}") for name in ("rank", "filter"))
    probabilities, targets = drawn(seed)
    expected = count.compute_confident_joint(targets, probabilities, calibrate=False)
    found = confident.joint(probabilities, targets)
    off = ~np.eye(len(found), dtype=bool)
    assert (found[off] == expected[off]).all()  # cleanlab raises a diagonal of zero to one
    scores = rank.get_normalized_margin_for_each_label(targets, probabilities)  # (margin + 1) / 2
    np.testing.assert_allclose((confident.margins(probabilities, targets) + 1) / 2, scores)
    issues = filtering.find_label_issues(
        targets, probabilities, filter_by="low_normalized_margin", return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )  # fmt: skip
    ours = confident.errors(probabilities, targets)
    shared = min(len(ours), len(issues))  # cleanlab counts the errors from a calibrated joint
    assert abs(len(ours) - len(issues)) <= 0.1 * len(issues)
    assert ours[:shared].tolist() == issues[:shared].tolist()


def test_a_pool_weights_its_models_by_the_likelihood_of_the_labels() -> None:
    probabilities, targets = drawn(1)
    other, _ = drawn(2)  # of other texts: knows nothing of these
    models = [np.log(probabilities), np.log(other)]

    def loss(weights: tuple[float, ...]) -> float:
        scores = sum(weight * rows for weight, rows in zip(weights, models, strict=True))
        pooled = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return float(-np.log(pooled[np.arange(len(targets)), targets]).mean())

    pooled = confident.pooled(models, targets)
    np.testing.assert_allclose(pooled.sum(axis=1), 1)
    found = -np.log(pooled[np.arange(len(targets)), targets]).mean()
    grid = [loss(weights) for weights in itertools.product(np.linspace(0, 1.5, 61), np.linspace(0, 0.3, 31))]
    assert found <= min(grid) + 1e-6
    assert found == pytest.approx(min(grid), abs=1e-3)
