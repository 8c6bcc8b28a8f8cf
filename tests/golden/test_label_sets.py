"""Sets of labels: loss, figures, thresholds, baselines and heads against torch, scikit-learn and brute force."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import bernoulli
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from torch import nn

from lstmcli.config import Anchored as Section
from lstmcli.meta.anchored import INTERCEPT, Anchored
from lstmcli.tasks import label_sets, multilabel, one_vs_rest
from lstmcli.training import probe
from lstmcli.types import Batch, ClassScores


def drawn(seed: int, texts: int = 60, labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and targets that follow them."""
    random = np.random.default_rng(seed)
    probabilities = random.beta(0.6, 1.6, (texts, labels))
    return probabilities, (random.random((texts, labels)) < probabilities).astype(np.int8)


def test_the_loss_is_the_binary_cross_entropy_summed_over_labels() -> None:
    logits = torch.tensor([[0.3, -2.0, 4.0], [0.0, 1.0, -1.0]], dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([[1, 0, 1], [0, 0, 0]], dtype=torch.int8)
    batch = Batch(torch.ones(2, 1, dtype=torch.long), torch.ones(2, dtype=torch.long), targets)
    found = multilabel.loss(ClassScores(logits, logits), batch)
    p = logits.sigmoid()
    expected = -torch.where(targets == 1, p, 1 - p).log().sum() / 2
    torch.testing.assert_close(found.value, expected)
    found.value.backward()
    torch.testing.assert_close(logits.grad, (p.detach() - targets) / 2)
    assert found.count == 2


def test_entropy_and_divergence_are_those_of_the_distribution_over_all_sets() -> None:
    torch.manual_seed(0)
    before, after = (torch.randn(5, 3, dtype=torch.float64) for _ in range(2))

    def of_sets(logits: torch.Tensor) -> torch.Tensor:
        p = logits.sigmoid()
        return torch.stack([torch.where(torch.tensor(one, dtype=torch.bool), p, 1 - p).prod(dim=1)
                            for one in product((0, 1), repeat=3)], dim=1)  # fmt: skip

    p, q = of_sets(before), of_sets(after)
    scores, others = ClassScores(after, after), ClassScores(before, before)
    torch.testing.assert_close(multilabel.entropy(scores), -(q * q.log()).sum(dim=1).mean())
    torch.testing.assert_close(multilabel.divergence(scores, others), (p * (p / q).log()).sum(dim=1).mean())


@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_those_of_scikit_learn(seed: int) -> None:
    probabilities, targets = drawn(seed)
    given_labels = probabilities >= 0.3
    found = {name: one.value for name, one in label_sets.measured(given_labels, targets).items()}
    assert found == pytest.approx({
        "macro_f1": metrics.f1_score(targets, given_labels, average="macro"),
        "micro_f1": metrics.f1_score(targets, given_labels, average="micro"),
        "exact_match": metrics.accuracy_score(targets, given_labels),
        "hamming_loss": metrics.hamming_loss(targets, given_labels),
    })  # fmt: skip
    assert label_sets.macro_f1(given_labels, targets) == pytest.approx(found["macro_f1"])
    rows = label_sets.by_label(given_labels, targets, ["a", "b", "c", "d"], np.full(4, 0.3))
    expected = metrics.precision_recall_fscore_support(targets, given_labels)
    for row, *of_label in zip(rows.values(), *expected, strict=True):
        assert [row[name]["value"] for name in ("precision", "recall", "f1")] + [row["texts"]] == pytest.approx(
            of_label
        )
        assert all(
            row[name]["low"] <= row[name]["value"] <= row[name]["high"] for name in ("precision", "recall", "f1")
        )


def test_a_label_that_no_text_has_or_is_given_does_not_count_in_macro_f1() -> None:
    given_labels, targets = np.array([[1, 0, 0], [0, 1, 0]]), np.array([[1, 0, 0], [0, 0, 0]])
    expected = metrics.f1_score(targets, given_labels, average="macro", zero_division=np.nan)
    assert label_sets.macro_f1(given_labels, targets) == pytest.approx(expected) == 0.5
    assert label_sets.macro_f1(np.zeros((2, 3)), np.zeros((2, 3))) == 0


def test_intervals_cover_the_figures_of_the_distribution_that_texts_are_drawn_from() -> None:
    _, everyone = drawn(0, texts=20_000)
    wrong = bernoulli.rvs(0.2, size=everyone.shape, random_state=1)
    truth = {name: one.value for name, one in label_sets.measured(everyone ^ wrong, everyone).items()}
    covered = dict.fromkeys(truth, 0)
    for seed in range(60):
        some = np.random.default_rng(seed).choice(len(everyone), 200, replace=False)
        for name, one in label_sets.measured((everyone ^ wrong)[some], everyone[some], seed=seed).items():
            covered[name] += one.low <= truth[name] <= one.high
    assert all(50 <= count <= 60 for count in covered.values()), covered  # 57 expected; 50 has a probability of 0.4 %


def expected_f1(scores: np.ndarray, has: np.ndarray, threshold: float) -> float:
    """F1 of a threshold where a text has the label to the degree that ``best_thresholds`` states."""
    prior = label_sets.PRIOR / (label_sets.PRIOR + has.sum())
    degree = (1 - prior) * has + prior * scores
    passed = scores >= threshold
    return 2 * degree[passed].sum() / (passed.sum() + degree.sum())


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([1, 2, 8]))
@settings(max_examples=60, deadline=None)
def test_no_other_threshold_is_better(seed: int, texts: int, decimals: int) -> None:
    """Against every cut; few decimals make ties."""
    probabilities, targets = drawn(seed, texts, labels=2)
    probabilities = probabilities.round(decimals)
    for scores, has, found in zip(
        probabilities.T, targets.T, label_sets.best_thresholds(probabilities, targets), strict=True
    ):
        reached = max(expected_f1(scores, has, cut) for cut in scores)
        assert expected_f1(scores, has, found) == pytest.approx(reached, abs=1e-9)
        assert 0 <= found <= 1


def test_with_many_texts_the_threshold_is_that_of_the_best_f1() -> None:
    """Of scores that are no probabilities too: the texts decide."""
    probabilities, targets = drawn(3, texts=40_000, labels=1)
    scores = probabilities**2  # in the same order
    curve = metrics.precision_recall_curve(targets[:, 0], scores[:, 0])
    best = (2 * curve[0] * curve[1] / (curve[0] + curve[1] + 1e-12)).max()
    given_labels = scores >= label_sets.best_thresholds(scores, targets)
    assert metrics.f1_score(targets, given_labels) == pytest.approx(best, abs=1e-3)


def test_few_texts_do_not_decide_a_threshold_by_luck() -> None:
    """Of calibrated probabilities of which no text has the label, the threshold is that of the expected F1."""
    scores, none = np.linspace(0.001, 0.4, 200), np.zeros(200)
    (found,) = label_sets.best_thresholds(scores[:, None], none[:, None])
    cuts = scores[np.argsort(-scores)]
    f1 = 2 * cuts.cumsum() / (np.arange(1, 201) + cuts.sum())
    assert found == pytest.approx(f1.max() / 2, abs=0.003)  # Lipton et al. (2014): half of the best F1


def test_the_temperature_is_that_of_the_lowest_cross_entropy() -> None:
    probabilities, targets = drawn(1, texts=4000)
    logits = 3 * np.log(probabilities / (1 - probabilities))  # three times too certain
    found = multilabel.calibrate(logits, targets)
    tried = np.linspace(1.5, 6, 200)
    losses = [metrics.log_loss(targets.ravel(), multilabel.probabilities(logits, one).ravel()) for one in tried]
    assert found == pytest.approx(tried[int(np.argmin(losses))], abs=0.05)
    assert found == pytest.approx(3, abs=0.15)


def test_the_head_is_fitted_as_scikit_learn_fits_each_label() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(300, 6)).astype(np.float32)
    targets = (features @ random.normal(size=(6, 4)) + random.normal(size=(300, 4)) > 0.8).astype(np.int8)
    targets[:, 3] = 0  # no text has it
    weight, bias = probe._regressions(features, targets[:, :3], penalty=0.5)
    for label in range(3):
        model = LogisticRegression(C=0.5, tol=1e-8, max_iter=1000).fit(features, targets[:, label])
        np.testing.assert_allclose(weight[label], model.coef_[0], atol=2e-3)
        assert bias[label] == pytest.approx(model.intercept_[0], abs=2e-3)
    weight, bias = probe.fitted_to_sets(features, targets, seed=0)
    assert (weight[3] == 0).all()
    assert bias[3] == probe.MASKED
    assert abs(weight[:3]).min() > 0


class Embedding(nn.Module):
    """The one token of a text is its row."""

    def __init__(self, rows: torch.Tensor, labels: int) -> None:
        super().__init__()
        self.register_buffer("rows", rows)
        self.head = nn.Linear(rows.shape[1], labels)

    def forward(self, batch: Batch) -> ClassScores:
        embedding = self.rows[batch.tokens[..., 0]]
        return ClassScores(self.head(embedding), embedding)


def test_anchored_learns_each_label_of_a_set_by_itself() -> None:
    """Against scikit-learn with the penalty of an untrained head: λ/4 of the squared weights, and of B times the
    squared bias; a label that no text has keeps its row."""
    torch.manual_seed(0)
    rows = torch.randn(30, 5)
    model = Embedding(rows, labels=3)
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    targets = torch.stack((rows[:, 0] + 0.5 * torch.randn(30) > 0, rows[:, 1] > 0.5, torch.zeros(30)), dim=1).to(
        torch.int8
    )
    with torch.no_grad():
        model.head.weight[2] = torch.arange(5)
    batch = Batch(torch.arange(30)[None, :, None], torch.ones(1, 30, dtype=torch.long), targets[None])
    learner = Anchored(Section(l2=2.0))
    (found,) = learner.trajectory(model, batch, multilabel.loss)
    weight, bias = found["head.weight"][0], found["head.bias"][0]
    torch.testing.assert_close(weight[2], torch.arange(5.0))
    centred = (rows - rows.mean(dim=0)).double().numpy()
    length = np.sqrt((centred**2).sum(axis=1).mean())
    columns = np.hstack((centred / length, np.full((30, 1), INTERCEPT**-0.5)))
    logits = rows.double().numpy() @ weight.double().numpy().T + bias.double().numpy()
    for label in range(2):
        fitted = LogisticRegression(C=2 / 2.0, fit_intercept=False, tol=1e-10, max_iter=5000)
        expected = fitted.fit(columns, targets[:, label].numpy()).decision_function(columns)
        np.testing.assert_allclose(logits[:, label], expected, atol=1e-4)


def test_the_linear_baseline_gives_a_label_from_its_threshold_on() -> None:
    random = np.random.default_rng(0)
    targets = (random.random((400, 3)) < (0.5, 0.2, 0.05)).astype(np.int8)
    texts = [[2 + label if has else 5 for label, has in enumerate(row)] + random.integers(6, 30, 6).tolist()
             for row in targets]  # fmt: skip
    ids, offsets = np.concatenate(texts), np.cumsum([0, *map(len, texts)])
    fitted = one_vs_rest.fit_baselines(ids, offsets, targets, labels=3)
    found = one_vs_rest.baseline_probabilities(fitted, ids, offsets)
    np.testing.assert_allclose(found["majority"][0], targets.mean(axis=0))
    plain = one_vs_rest.baseline_probabilities(fitted | {"thresholds": np.full(3, 0.5)}, ids, offsets)["linear"]
    np.testing.assert_array_equal(found["linear"] >= 0.5, plain >= fitted["thresholds"])
    assert metrics.f1_score(targets, found["linear"] >= 0.5, average="macro") > 0.95
    shown = one_vs_rest.support_probabilities(
        random_features(ids, offsets), targets, random_features(ids, offsets), labels=3
    )
    assert metrics.f1_score(targets, shown["support linear"] >= 0.5, average="micro") > 0.9


def random_features(ids: np.ndarray, offsets: np.ndarray) -> object:
    from scipy.sparse import csr_array

    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return csr_array((np.ones(len(ids)), (rows, ids)), shape=(len(offsets) - 1, 30))


def test_an_answer_has_the_labels_that_reach_their_threshold_likeliest_first() -> None:
    logits = np.log(np.array([[0.2, 0.6, 0.3], [0.1, 0.1, 0.1]]) / np.array([[0.8, 0.4, 0.7], [0.9, 0.9, 0.9]]))
    task = multilabel.Tuned(np.array([0.2 - 1e-9, 0.7, 0.25]))
    first, second = task.describe(logits, ["a", "b", "c"], 1.0)
    assert (first["labels"], second["labels"]) == (["c", "a"], [])
    assert first["probabilities"] == {"a": 0.2, "b": 0.6, "c": 0.3}
    assert [one["labels"] for one in multilabel.describe(logits, ["a", "b", "c"], 1.0)] == [["b"], []]
    np.testing.assert_allclose(task.probabilities(logits, 2.0), expit(logits / 2))
    with pytest.raises(AttributeError):
        task.decide  # noqa: B018 (it gives no single label)
