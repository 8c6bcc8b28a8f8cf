"""Baselines that a model does not reach, of a metric of which higher is better and of one of which lower is."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from lstmcli.contracts import Task
from lstmcli.inference.evaluate import below


def figures(value: float) -> Any:
    return {"figure": {"value": value, "low": 0.0, "high": 1.0}, "other": {"value": 1 - value, "low": 0.0, "high": 1.0}}


@pytest.mark.parametrize(("lower_is_better", "expected"), [(False, ("high",)), (True, ("low",))])
def test_a_baseline_is_better_in_the_direction_of_the_task(lower_is_better: bool, expected: tuple[str, ...]) -> None:
    task = cast(Task, SimpleNamespace(PRIMARY="figure", LOWER_IS_BETTER=lower_is_better))
    baselines = {"low": figures(0.2), "equal": figures(0.5), "high": figures(0.9)}
    assert below(task, figures(0.5), baselines) == expected
    assert below(task, {}, {}) == ()  # nothing was scored
