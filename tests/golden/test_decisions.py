"""Thresholds, abstention and prediction sets against brute force, scikit-learn, closed forms and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn import metrics as reference

from lstmcli.inference import decisions
from lstmcli.tasks.decisions import ABSTAINED, CONFIDENCES, PROBABILITIES, decide, operating_points
from lstmcli.tasks.intervals import wilson

LEVELS = st.sampled_from([0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 1.0])


def tables(labels: int, count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.dirichlet(np.full(labels, 0.7), count)


def decided_by_hand(
    row: list[float], thresholds: dict[int, float], min_confidence: float, weights: list[float] | None = None
) -> int:
    """The rule as its documentation states it, for one text."""
    reached = [label for label, limit in thresholds.items() if row[label] >= limit]
    free = [label for label in range(len(row)) if label not in thresholds]
    for candidates in (reached, free):
        if candidates:
            best = max(candidates, key=lambda label: row[label] * (weights[label] if weights else 1))
            return best if row[best] >= min_confidence else ABSTAINED
    return ABSTAINED


@given(st.integers(2, 5), st.integers(0, 1000), st.dictionaries(st.integers(0, 4), LEVELS), LEVELS)
def test_a_label_is_decided_as_the_rule_says(labels: int, seed: int, given: dict[int, float], least: float) -> None:
    probabilities = tables(labels, 30, seed)
    thresholds = {label: limit for label, limit in given.items() if label < labels}
    expected = [decided_by_hand(row, thresholds, least) for row in probabilities.tolist()]
    assert decide(probabilities, thresholds, least).tolist() == expected


@given(
    st.integers(2, 5),
    st.integers(0, 1000),
    st.dictionaries(st.integers(0, 4), LEVELS),
    LEVELS,
    st.lists(st.floats(0.01, 100), min_size=5, max_size=5),
)
def test_with_weights_a_label_is_decided_as_the_rule_says(
    labels: int, seed: int, given: dict[int, float], least: float, weights: list[float]
) -> None:
    probabilities = tables(labels, 30, seed)
    thresholds = {label: limit for label, limit in given.items() if label < labels}
    expected = [decided_by_hand(row, thresholds, least, weights) for row in probabilities.tolist()]
    assert decide(probabilities, thresholds, least, weights=np.array(weights[:labels])).tolist() == expected


def test_weights_choose_among_labels_and_leave_thresholds_of_probability() -> None:
    probabilities, weights = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]]), np.array([1.0, 5.0])
    assert decide(probabilities, {}, weights=weights).tolist() == [0, 1, 1]
    assert decide(probabilities, {1: 0.3}, weights=weights).tolist() == [0, 0, 1]
    assert decide(probabilities, {0: 0.5, 1: 0.1}, weights=weights).tolist() == [0, 1, 1]
    assert decide(probabilities, {}, 0.3, weights=weights).tolist() == [0, -1, 1]


def test_two_labels() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.69, 0.31], [0.4, 0.6], [0.25, 0.75]])
    assert decide(probabilities, {}).tolist() == [0, 0, 0, 1, 1]
    assert decide(probabilities, {0: 0.7}).tolist() == [0, 0, 1, 1, 1]
    assert decide(probabilities, {0: 0.3}).tolist() == [0, 0, 0, 0, 1]
    assert decide(probabilities, {0: 0.7, 1: 0.7}).tolist() == [0, 0, -1, -1, 1]
    assert decide(probabilities, {0: 0.3}, 0.5).tolist() == [0, 0, 0, -1, 1]
    assert decide(probabilities, {}, 0.7).tolist() == [0, 0, -1, -1, 1]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("labels", [2, 4])
def test_figures_of_thresholds_are_those_of_the_decisions(labels: int, weighted: bool) -> None:
    probabilities = tables(labels, 300, seed=labels)
    targets = np.array([np.random.default_rng(row).choice(labels, p=one) for row, one in enumerate(probabilities)])
    names = [f"label {index}" for index in range(labels)]
    weights = np.arange(1.0, labels + 1) ** 2 if weighted else None
    points = operating_points(probabilities, targets, names, [0.77], weights=weights)
    assert [row["threshold"] for row in points["min_confidence"]] == sorted({*CONFIDENCES, 0.77})
    for row in points["min_confidence"]:
        decided = decide(probabilities, {}, row["threshold"], weights=weights)
        answered, right = decided >= 0, decided == targets
        assert row["coverage"]["value"] == pytest.approx(answered.mean())
        assert row["recall"]["value"] == pytest.approx(right.mean())
        assert row["error"]["value"] == pytest.approx((answered & ~right).mean())
        if answered.any():
            assert row["precision"]["value"] == pytest.approx(right[answered].mean())
        else:
            assert row["precision"] is None
    for index, name in enumerate(names):
        assert [row["threshold"] for row in points["labels"][name]] == list(PROBABILITIES)
        for row in points["labels"][name]:
            true, found = targets == index, probabilities[:, index] >= row["threshold"]
            if labels == 2:
                np.testing.assert_array_equal(
                    found, decide(probabilities, {index: row["threshold"]}, weights=weights) == index
                )
            assert row["coverage"]["value"] == pytest.approx(found.mean())
            assert row["recall"]["value"] == pytest.approx(reference.recall_score(true, found))
            assert row["error"]["value"] == pytest.approx(1 - reference.accuracy_score(true, found))
            if found.any():
                assert row["precision"]["value"] == pytest.approx(reference.precision_score(true, found))
            else:
                assert row["precision"] is None


def test_intervals_of_thresholds_have_the_width_of_theory() -> None:
    random = np.random.default_rng(0)
    confidence = random.choice([0.65, 0.85], 4000)
    probabilities = np.stack((confidence, 1 - confidence), axis=1)
    targets = (random.random(4000) > confidence).astype(int)
    points = operating_points(probabilities, targets, "ab")
    (row,) = (row for row in points["min_confidence"] if row["threshold"] == 0.8)
    for name, count in (("coverage", 4000), ("precision", (confidence > 0.8).sum()), ("error", 4000)):
        value, low, high = row[name].values()
        assert high - low == pytest.approx(2 * 1.96 * math.sqrt(value * (1 - value) / count), rel=0.1)
        assert low < value < high


def test_where_all_answers_are_right_the_interval_is_wilson_s() -> None:
    points = operating_points(np.array([[0.97, 0.03]] * 20), np.zeros(20, int), "ab")
    (row,) = (row for row in points["min_confidence"] if row["threshold"] == 0.95)
    assert row["precision"] == dict(zip(("value", "low", "high"), (1.0, *wilson(1.0, 20)), strict=True))
    assert all(row["recall"] is None for row in points["labels"]["b"])  # no text has that label
    assert points["labels"]["a"][-1]["error"]["value"] == 1.0  # at 0.99 all texts of that label get the other


@given(st.integers(1, 60), st.floats(0.02, 0.99))
def test_the_critical_score_is_the_finite_sample_quantile(count: int, coverage: float) -> None:
    """Against the definition of Angelopoulos & Bates (2021), "A Gentle Introduction to Conformal Prediction": the
    ceil((n + 1) P) / n empirical quantile, the smallest score that so large a fraction does not exceed."""
    scores = np.sort(np.random.default_rng(count).random(count))
    rank = math.ceil((count + 1) * coverage)
    covering = [score for score in scores if (scores <= score).sum() >= rank]
    assert decisions.critical(scores, coverage) == (covering[0] if covering else math.inf)


@pytest.mark.parametrize(("count", "coverage", "rank"), [(9, 0.9, 9), (19, 0.95, 19), (99, 0.9, 90), (99, 0.55, 55)])
def test_a_rank_that_is_whole_is_not_rounded_up(count: int, coverage: float, rank: int) -> None:
    assert decisions.critical(np.arange(1, count + 1) / count, coverage) == rank / count


@pytest.mark.parametrize(("count", "coverage"), [(20, 0.9), (50, 0.9), (200, 0.8)])
def test_simulated_coverage_is_the_closed_form(count: int, coverage: float) -> None:
    """Without ties, the probability that the set holds the true label is k / (n + 1), whatever the distribution."""
    random, draws = np.random.default_rng(count), 4000
    covered = 0
    for _ in range(draws):
        probabilities = random.dirichlet((0.5, 1, 2), count + 1)
        targets = random.integers(3, size=count + 1)  # the model need not be right, nor calibrated
        limit = decisions.critical(decisions.scores(probabilities[:-1], targets[:-1]), coverage)
        covered += 1 - probabilities[-1, targets[-1]] <= limit
    exact = math.ceil((count + 1) * coverage - 1e-9) / (count + 1)
    assert coverage <= exact <= coverage + 1 / (count + 1)
    assert covered / draws == pytest.approx(exact, abs=3 * math.sqrt(exact * (1 - exact) / draws))


def test_entropies_are_those_of_scipy() -> None:
    probabilities = np.vstack((tables(4, 50, 0), np.eye(4), np.full((1, 4), 0.25)))
    found = decisions.entropies(probabilities)
    np.testing.assert_allclose(found, entropy(probabilities, axis=1), rtol=0, atol=1e-12)
    assert found[-1] == pytest.approx(math.log(4))


@given(st.lists(st.tuples(st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9]), st.booleans()), min_size=1, max_size=25),
       st.sampled_from([0.3, 0.5, 0.75, 0.9, 1.0]))  # fmt: skip
def test_a_target_is_reached_with_as_many_answers_as_possible(texts: list[tuple[float, bool]], target: float) -> None:
    confidence, correct = (np.array(column) for column in zip(*texts, strict=True))
    passing = {limit: confidence >= limit for limit in sorted({*confidence.tolist()})}
    reached = [limit for limit, passed in passing.items() if correct[passed].mean() >= target]
    found = decisions.for_precision(confidence, correct, target)
    if not reached:
        assert found is None
    else:
        assert found == (0.0 if reached[0] == confidence.min() else reached[0])
    covering = [limit for limit, passed in passing.items() if passed.mean() >= target - 1e-12]
    assert decisions.for_coverage(confidence, target) == covering[-1]
