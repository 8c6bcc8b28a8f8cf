"""Logistic regression anchored at a head: its optimum against scipy, its choice of the penalty by brute force."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from lstmcli.config import Anchored
from lstmcli.meta import anchored
from lstmcli.meta.anchored import (
    FACTORS,
    FOLDS,
    INTERCEPT,
    PENALTIES,
    Problem,
    chosen_for_new,
    chosen_penalty,
    left_out,
)
from lstmcli.tasks.classify import loss
from lstmcli.types import Batch
from tests.golden.test_closed_forms import Given

TEXTS, FEATURES = 12, 4


def problem(labels: int, *, seed: int = 0, texts: int = TEXTS, signal: float = 0.0) -> Problem:
    """signal: how much the targets follow a feature that the logits before do not know."""
    torch.manual_seed(seed)
    features = torch.randn(texts, FEATURES, dtype=torch.float64)
    logits = torch.randn(texts, labels, dtype=torch.float64)
    noise = torch.rand(texts, labels, dtype=torch.float64).log().neg().log().neg()  # Gumbel: targets follow the logits
    drift = signal * features[:, :1] * torch.arange(labels)
    return Problem(features, logits, (logits + drift + noise).argmax(dim=1))


def objective(at: np.ndarray, given: Problem, penalty: float) -> float:
    """The docstring's formula, with V, c and s one after the other."""
    labels = given.logits.shape[1]
    v, c, s = at[: labels * FEATURES].reshape(labels, FEATURES), at[labels * FEATURES : -1], at[-1]
    logits = (1 + s) * given.logits.numpy() + given.features.numpy() @ v.T + c
    log_probs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    fit = -log_probs[np.arange(len(logits)), given.targets.numpy()].sum()
    return float(fit + penalty / 2 * ((v**2).sum() + INTERCEPT * (c**2).sum() + s**2))


@pytest.mark.parametrize("penalty", [0.03, 1.0, 30.0])
@pytest.mark.parametrize("labels", [2, 3])
def test_it_is_where_scipy_finds_the_minimum(labels: int, penalty: float) -> None:
    given = problem(labels)
    parts = given.parts(given.solved(penalty, tolerance=anchored.TOLERANCE))
    found = np.concatenate([part.reshape(-1).numpy() for part in parts])
    expected = minimize(objective, np.zeros(len(found)), (given, penalty), method="BFGS", options={"gtol": 1e-7}).x
    np.testing.assert_allclose(found, expected, atol=1e-5)


def support_of(given: Problem, model: Given) -> Batch:
    model.table = torch.cat((3.0 + 2.0 * given.features, torch.randn(8, FEATURES, dtype=torch.float64)))
    tokens = torch.arange(len(given.targets))[None, :, None]
    return Batch(tokens, torch.ones(tokens.shape[:2], dtype=torch.long), given.targets[None])


def head_of(config: Anchored, model: Given, support: Batch) -> tuple[Tensor, Tensor]:
    (weights,) = anchored.build(config, model).trajectory(model, support, loss)
    return weights["head.weight"][0], weights["head.bias"][0]


def test_the_head_gives_the_logits_of_the_minimum() -> None:
    model = Given()
    support = support_of(problem(3), model)
    texts = model.table[:TEXTS]
    centred = texts - texts.mean(dim=0)
    length = centred.square().sum(dim=1).mean().sqrt()
    given = Problem(centred / length, model.head(texts).detach(), support.targets[0])
    solved = given.solved(2.0, tolerance=anchored.TOLERANCE)
    weight, bias = head_of(Anchored(l2=2.0), model, support)
    torch.testing.assert_close(texts @ weight.mT + bias, given.logits + given.changes(solved))

    own, shifted = head_of(Anchored(l2=2.0, prior="model"), model, support)
    torch.testing.assert_close(own, weight)  # only the class priors stay as they were
    torch.testing.assert_close(bias - shifted, given.parts(solved)[1])


def test_a_large_penalty_keeps_the_head_and_an_infinite_one_to_the_bit() -> None:
    model = Given()
    torch.manual_seed(1)
    support = support_of(problem(3), model)
    weight, bias = head_of(Anchored(l2=1e9), model, support)
    torch.testing.assert_close(weight, model.head.weight.detach(), atol=1e-6, rtol=0)
    torch.testing.assert_close(bias, model.head.bias.detach(), atol=1e-6, rtol=0)
    right = Batch(support.tokens, support.lengths, model.head(model.table[:TEXTS]).argmax(dim=1)[None])
    model.head.weight.data *= 30  # all are classified correctly with certainty: nothing can be gained
    model.head.bias.data *= 30
    weight, bias = head_of(Anchored(), model, right)
    assert torch.equal(weight, model.head.weight)
    assert torch.equal(bias, model.head.bias)


def brute_force(given: Problem, penalty: float) -> Tensor:
    """The loss of each text without its fold. Of a class, the texts in the order of their loss before take turns."""
    before = F.cross_entropy(given.logits, given.targets, reduction="none")
    folds = torch.zeros(len(before), dtype=torch.long)
    for label in given.targets.unique():
        own = (given.targets == label).nonzero()[:, 0]
        for rank, index in enumerate(own[before[own].argsort()], 1):
            folds[index] = rank % FOLDS
    losses = before.clone()
    for fold in range(FOLDS):
        if not math.isinf(penalty):
            at = given.part(folds != fold).solved(penalty, tolerance=anchored.TOLERANCE)
            losses[folds == fold] = given.part(folds == fold).losses(at)
    return losses


@pytest.mark.parametrize(("seed", "signal"), [(0, 0.0), (1, 0.0), (2, 2.0), (3, 2.0)])
def test_the_penalty_is_the_largest_within_a_standard_error_of_the_best(seed: int, signal: float) -> None:
    given = problem(2, seed=seed, texts=40, signal=signal)
    losses = torch.stack([brute_force(given, penalty) for penalty in PENALTIES])
    result = left_out(given, PENALTIES)
    assert result is not None
    found, logits, targets = result
    torch.testing.assert_close(F.cross_entropy(logits[-1], targets, reduction="none"), found[-1])
    torch.testing.assert_close(found.mean(dim=1), losses[: len(found)].mean(dim=1), rtol=1e-3, atol=1e-3)
    best = losses[losses.mean(dim=1).argmin()]
    expected = next(penalty for penalty, row in zip(PENALTIES, losses, strict=True)
                    if (row - best).mean() <= (row - best).std() / 40**0.5)  # fmt: skip
    assert chosen_penalty(given, PENALTIES) == expected
    assert math.isinf(expected) == (signal == 0)


def test_without_two_texts_of_a_class_nothing_is_learned_but_an_untrained_class() -> None:
    model = Given()
    model.table = torch.randn(3, FEATURES, dtype=torch.float64)
    three = Batch(torch.arange(3)[None, :, None], torch.ones(1, 3, dtype=torch.long), torch.tensor([[0, 1, 2]]))
    assert torch.equal(head_of(Anchored(), model, three)[0], model.head.weight)
    with torch.no_grad():
        model.head.weight[2], model.head.bias[2] = 0, 0
    weight, bias = head_of(Anchored(), model, three)
    assert weight[2].any()
    before, after = (F.cross_entropy(rows, three.targets[0]) for rows in
                     (model.head(model.table), model.table @ weight.mT + bias))  # fmt: skip
    assert after < before


def test_many_texts_are_sampled_for_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchored, "TRIED", 20)
    found = left_out(problem(2, texts=90), PENALTIES)
    assert found is not None
    assert found[0].shape[1] == 20


def test_new_classes_get_the_best_penalty_and_calibrated_probabilities() -> None:
    """λ against brute force, the factor against scipy's minimum."""
    given = problem(3, signal=20.0)
    given = Problem(given.features, torch.zeros_like(given.logits), given.targets)
    losses = torch.stack([brute_force(given, penalty).mean() for penalty in PENALTIES[1:]])
    penalty, factor = chosen_for_new(given, PENALTIES[1:])
    assert penalty == PENALTIES[1:][int(losses.argmin())]
    result = left_out(given, (penalty,))
    assert result is not None
    _, [logits], targets = result
    exact = minimize_scalar(lambda at: float(F.cross_entropy(at * logits, targets)), bounds=(0.1, 80), method="bounded")
    assert min(FACTORS, key=lambda one: abs(math.log(one / exact.x))) == pytest.approx(factor, rel=0.16)
    assert factor != 1
