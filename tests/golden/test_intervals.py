"""Bootstrap intervals against one resample after the other, and against the normal interval of a mean."""

import numpy as np
import pytest

from lstmcli.tasks import intervals


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
