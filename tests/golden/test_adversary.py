"""The shift against pencil and paper, and against any other shift of its size."""

import numpy as np
import pytest
import torch
from torch import nn

from lstmcli.config import Section
from lstmcli.data import batching
from lstmcli.engine.adversary import Adversary
from lstmcli.types import Mean
from tests.contract.test_models import battery, config_of, parts_of


def test_equals_the_closed_form() -> None:
    # L(e) = w·e: g = w, r = size w / |w|, L(e + r) = w·e + size |w|; with r held still, the gradient is e + (e + r).
    embedding = nn.Embedding.from_pretrained(torch.tensor([[1.0, 2.0]], dtype=torch.float64), freeze=False)
    w = torch.tensor([3.0, 4.0], dtype=torch.float64, requires_grad=True)
    tokens = torch.tensor([[0]])
    mean = Adversary(embedding, 0.5).loss(lambda: Mean((embedding(tokens) * w).sum(), 1))
    assert mean.value.item() == pytest.approx(3 + 8 + 0.5 * 5)
    mean.value.backward()
    torch.testing.assert_close(w.grad, torch.tensor([1 + 1 + 0.3, 2 + 2 + 0.4], dtype=torch.float64))
    torch.testing.assert_close(embedding.weight.grad, torch.tensor([[6.0, 8.0]], dtype=torch.float64))


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
    worst = Adversary(embedding, size).loss(loss_of).value.item()
    assert worst > plain
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)

        def shifted(_: nn.Module, __: object, embedded: torch.Tensor, random: torch.Generator = random) -> torch.Tensor:
            shift = torch.randn(embedded.shape, dtype=torch.float64, generator=random)
            return embedded + size * shift / shift.flatten(1).norm(dim=1)[:, None, None]

        handle = embedding.register_forward_hook(shifted)
        assert loss_of().value.item() < worst
        handle.remove()


def test_it_watches_training_alone() -> None:
    embedding = nn.Embedding(3, 2)
    Adversary(embedding, 1.0)
    embedding.eval()
    assert torch.equal(embedding(torch.tensor([1])), embedding.weight[1:2])
