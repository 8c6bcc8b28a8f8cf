"""Dropout against what it promises: each value kept by itself with one probability, and scaled so that its mean
stays."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lstmcli.models.dropout import LEVELS, dropout

MANY = 400_000


@pytest.mark.parametrize("share", [0.03, 0.3, 0.5, 0.9])
def test_each_of_the_four_values_of_a_draw_is_kept_with_its_own_equal_chance(share: float) -> None:
    torch.manual_seed(0)
    kept = (dropout(torch.ones(MANY), share, True) > 0).double().view(-1, 4)
    sigma = (share * (1 - share) / len(kept)) ** 0.5
    assert ((kept.mean(dim=0) - (1 - share)).abs() < 4 * sigma).all()
    together = torch.corrcoef(torch.cat((kept[:-1], kept[1:]), dim=1).T)  # a draw's four values and the next draw's
    assert ((together - torch.eye(8, dtype=torch.float64)).abs() < 5 / len(kept) ** 0.5).all()


@settings(deadline=None)
@example(share=1 - 1e-9, rows=2, columns=3)
@given(share=st.floats(0, 1, exclude_max=True), rows=st.integers(0, 5), columns=st.integers(1, 7))
def test_values_are_dropped_or_scaled_to_keep_the_mean_and_gradients_are_alike(
    share: float, rows: int, columns: int
) -> None:
    values = torch.randn(rows, columns, dtype=torch.float64).requires_grad_()
    dropped = dropout(values, share, True)
    (gradient,) = torch.autograd.grad(dropped.sum(), values)
    threshold = min(round(share * LEVELS), LEVELS - 1)
    assert abs(threshold / LEVELS - share) <= 1 / LEVELS
    scale = 1 / (1 - threshold / LEVELS)
    torch.testing.assert_close(dropped, values * gradient)
    assert ((gradient == 0) | ((gradient - scale).abs() < 1e-9 * scale)).all()


def test_the_seed_decides_and_outside_training_nothing_is_dropped() -> None:
    values = torch.randn(50, 3)
    torch.manual_seed(1)
    first = dropout(values, 0.5, True)
    assert not torch.equal(first, dropout(values, 0.5, True))
    torch.manual_seed(1)
    torch.testing.assert_close(first, dropout(values, 0.5, True), rtol=0, atol=0)
    assert dropout(values, 0.5, False) is values


def test_tasks_side_by_side_drop_each_their_own() -> None:
    dropped = torch.func.vmap(lambda row: dropout(row, 0.5, True), randomness="different")(torch.ones(3, 200))
    assert not torch.equal(dropped[0], dropped[1])
    assert 60 < (dropped[0] > 0).sum() < 140
