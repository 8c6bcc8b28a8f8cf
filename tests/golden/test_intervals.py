"""Bootstrap intervals against one resample after the other, and against the normal interval of a mean."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from lstmcli.tasks import intervals
from lstmcli.tasks.metrics import weighted


@pytest.mark.parametrize("cells", [50, 7_000, 2_000_000])  # one, some and all resamples at once
def test_resamples_are_those_of_one_draw_after_the_other(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "CELLS", cells)
    values = np.random.default_rng(0).normal(size=50)
    random, shares = np.random.default_rng(3), np.full(50, 1 / 50)
    expected = [values[random.integers(50, size=50)].sum() for _ in range(intervals.DRAWS)]
    found = intervals.by_index(lambda drawn: values[drawn].sum(axis=1), 50, intervals.generator(3))
    np.testing.assert_array_equal(found, expected)
    random = np.random.default_rng(3)
    counted = [random.multinomial(50, shares) @ values for _ in range(intervals.DRAWS)]
    sums = intervals.by_weight(lambda drawn: {"sum": drawn @ values}, 50, shares, intervals.generator(3))["sum"]
    np.testing.assert_allclose(sums, counted, rtol=0, atol=1e-12)


def test_the_interval_of_a_mean_is_near_the_normal_one_and_ignores_what_is_no_number() -> None:
    values = np.random.default_rng(1).normal(2, 3, size=900)
    means = intervals.by_index(lambda drawn: values[drawn].mean(axis=1), 900, intervals.generator(0))
    low, high = intervals.covering(np.append(means, np.nan))
    assert (low, high) == intervals.covering(means)
    error = values.std() / 30
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


SETS, EXAMPLES = 2_000, 400  # simulated test sets, and examples in each
CONFUSION = np.array([[0.42, 0.06, 0.02], [0.05, 0.22, 0.03], [0.02, 0.04, 0.14]])  # true class by predicted class


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_claim() -> None:
    recall = CONFUSION.diagonal() / CONFUSION.sum(axis=1)
    f1 = 2 * CONFUSION.diagonal() / (CONFUSION.sum(axis=0) + CONFUSION.sum(axis=1))
    truth = {"accuracy": CONFUSION.trace(), "balanced_accuracy": recall.mean(), "macro_f1": f1.mean()}
    targets, predicted = (index.ravel() for index in np.indices(CONFUSION.shape))
    statistic = partial(weighted, np.eye(3)[predicted], targets)  # of the nine cells, as groups of equal examples
    random, held = np.random.default_rng(0), dict.fromkeys(truth, 0)
    for seed in range(SETS):
        counts = random.multinomial(EXAMPLES, CONFUSION.ravel())
        drawn = intervals.by_weight(statistic, EXAMPLES, counts / EXAMPLES, intervals.generator(seed))
        for name, true in truth.items():
            low, high = intervals.covering(drawn[name])
            held[name] += low <= true <= high
    assert {name: 0.93 < count / SETS < 0.97 for name, count in held.items()} == dict.fromkeys(truth, True), held


@pytest.mark.parametrize("count", [2, 5, 30, 1_000])
def test_widening_makes_a_percentile_interval_one_of_student(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    low, high = stats.t.interval(0.95, count - 1, values.mean(), values.std(ddof=1) / np.sqrt(count))
    percentile = 2 * stats.norm.ppf(0.975) * values.std() / np.sqrt(count)  # the limit of many resamples
    assert intervals.widening(count) == pytest.approx((high - low) / percentile)
