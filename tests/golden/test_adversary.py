"""The shift against pencil and paper, and against any other shift of its size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torch import nn

from lstmcli.config import Classifier, Section
from lstmcli.data.batches import batching
from lstmcli.tasks import classify
from lstmcli.training.adversarial import Adversary
from lstmcli.types import Batch, ClassScores, Mean
from tests.contract.test_models import battery, config_of, parts_of


def test_equals_the_closed_form() -> None:
    # L(e) = w·e: g = w, r = size w / |w|, L(e + r) = w·e + size |w|; with r held still, the gradient is e + (e + r).
    embedding = nn.Embedding.from_pretrained(torch.tensor([[1.0, 2.0]], dtype=torch.float64), freeze=False)
    w = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    tokens = torch.tensor([[0]])
    mean = Adversary(embedding).loss(lambda: Mean((embedding(tokens) * w).sum(), 1), 0.5)
    assert mean.value.item() == pytest.approx(3 + 8 + 0.5 * 5)
    mean.value.backward()
    torch.testing.assert_close(w.grad, torch.tensor([1 + 1 + 0.3, 2 + 2 + 0.4], dtype=torch.float64))
    torch.testing.assert_close(embedding.weight.grad, torch.tensor([[6.0, 8.0]], dtype=torch.float64))


@pytest.mark.slow
@battery
def test_no_random_shift_of_that_size_hurts_more(name: str, model_config: Section) -> None:
    parts, store = parts_of(config_of(model_config))
    parts.model.double()
    batch = batching.collate(store, np.arange(len(store)))
    embedding = parts.model.get_submodule("embedding")

    def loss_of() -> Mean:
        return parts.task.loss(parts.model(batch), batch)

    plain = loss_of().value.item()
    size = 1e-3
    worst = Adversary(embedding).loss(loss_of, size).value.item()
    assert worst > plain
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)

        def shifted(_: nn.Module, __: object, embedded: torch.Tensor, random: torch.Generator = random) -> torch.Tensor:
            shift = torch.randn(embedded.shape, dtype=torch.float64, generator=random)
            return embedded + size * shift / shift.flatten(1).norm(dim=1)[:, None, None]

        handle = embedding.register_forward_hook(shifted)
        assert loss_of().value.item() < worst
        handle.remove()


def test_nothing_is_shifted_before_and_after() -> None:
    embedding = nn.Embedding(3, 2)
    adversary = Adversary(embedding)
    tokens = torch.tensor([[1, 2]])
    adversary.loss(lambda: Mean(embedding(tokens).square().sum(), 1), 1.0)
    adversary.virtual(lambda: of(embedding(tokens).sum(dim=2)), classify.divergence, tokens, 1.0)
    with pytest.raises(IndexError):
        adversary.loss(lambda: Mean(embedding(tokens + 2).sum(), 1), 1.0)
    assert torch.equal(embedding(tokens)[0], embedding.weight[1:])
    assert not embedding(tokens).retains_grad


def of(logits: torch.Tensor) -> ClassScores:
    return ClassScores(logits, logits)


@pytest.mark.parametrize("seed", range(4))
def test_what_moves_a_logit_most_is_its_own_direction(seed: int) -> None:
    # p = σ(a) with a = w·e: whatever d is, dKL/dd points along w or against it, so a moves by size |w|.
    torch.manual_seed(seed)
    embedding = nn.Embedding(2, 3).double()
    w = torch.randn(3, dtype=torch.float64, requires_grad=True)
    tokens = torch.tensor([[0], [1]])

    def scores_of() -> ClassScores:
        a = embedding(tokens)[:, 0] @ w
        return of(torch.stack((a, torch.zeros_like(a)), dim=1))

    moved = Adversary(embedding).virtual(scores_of, classify.divergence, tokens, 0.5)
    p = scores_of().logits[:, 0].sigmoid()
    closed = []
    for sign in (-1, 1):
        q = (scores_of().logits[:, 0] + sign * 0.5 * w.norm()).sigmoid()
        closed.append(p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log())
    each = torch.stack(closed).detach()  # [sign, text]
    sums = [(each[i, 0] + each[j, 1]).item() / 2 for i in range(2) for j in range(2)]
    assert min(abs(moved.item() - one) for one in sums) < 1e-6  # d is drawn in float32
    moved.backward()
    assert w.grad is not None


@pytest.mark.parametrize("seed", range(3))
def test_no_random_shift_of_that_size_moves_more_though_much_is_dropped(seed: int) -> None:
    config = config_of(Classifier(embedding=6, hidden=5, dropout=0.5))
    parts, store = parts_of(config)
    parts.model.double().train()
    batch = batching.collate(store, np.arange(len(store)))
    embedding = parts.model.get_submodule("embedding")
    size = 1e-3
    torch.manual_seed(seed)
    adversary = Adversary(embedding)
    moved = adversary.virtual(lambda: parts.model(batch), classify.divergence, batch.tokens, size).item()
    assert 0 < moved < size  # of the order of its square: what is dropped moves nothing
    torch.manual_seed(seed)
    torch.randn(*batch.tokens.shape, 6)  # as it is drawn before what is dropped
    state = torch.get_rng_state()
    before = parts.model(batch)
    for other in range(20):
        random = torch.Generator().manual_seed(other)

        def shifted(_: nn.Module, __: object, embedded: torch.Tensor, random: torch.Generator = random) -> torch.Tensor:
            shift = torch.randn(embedded.shape, dtype=torch.float64, generator=random)
            return embedded + size * shift / shift.flatten(1).norm(dim=1)[:, None, None]

        handle = embedding.register_forward_hook(shifted)
        torch.set_rng_state(state)
        assert classify.divergence(parts.model(batch), before).item() < moved
        handle.remove()


def test_doubt_and_distance_equal_scipy_s() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 5, 3))
    before, after = (of(torch.from_numpy(each)) for each in logits)
    p, q = softmax(logits, axis=2)
    assert classify.entropy(after).item() == pytest.approx(entropy(q, axis=1).mean())
    assert classify.divergence(after, before).item() == pytest.approx(entropy(p, q, axis=1).mean())


def test_texts_of_which_no_label_is_known_do_not_count() -> None:
    logits = torch.tensor([[1.0, -1.0], [0.5, 2.0], [3.0, 0.0]])
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.2, 0.8]])
    batch = Batch(torch.ones(3, 1, dtype=torch.int64), torch.ones(3, dtype=torch.int64), targets)
    mean = classify.loss(of(logits), batch)
    logs = logits.log_softmax(dim=1)
    torch.testing.assert_close(mean.value, -(logs[0, 0] + 0.2 * logs[2, 0] + 0.8 * logs[2, 1]) / 2)
    assert int(mean.count) == 2
    none = classify.loss(of(logits), replace(batch, targets=torch.zeros(3, 2)))
    assert none.value.item() == 0
