"""The chain of tags against the enumeration of all its paths, in float64."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lstmcli.models import crf
from lstmcli.tags import FORBIDDEN, allowed
from lstmcli.tasks import chain as decoding


def drawn(labels: int, lengths: list[int], seed: int, *, barred: bool = False) -> tuple[crf.Chain, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64)

    parts = [normal(labels, labels), normal(labels), normal(labels)]
    if barred:
        masks = [torch.where(torch.from_numpy(may), 0.0, FORBIDDEN).double() for may in allowed(labels)]
        parts = [part + mask for part, mask in zip(parts, masks, strict=True)]
    emissions = 2 * normal(len(lengths), max(lengths), labels)
    return crf.Chain(*(part.requires_grad_() for part in parts)), emissions.requires_grad_(), torch.tensor(lengths)


def arrays(chain: crf.Chain, *tensors: Tensor) -> tuple[Any, ...]:
    """The same in numpy."""
    parts = (chain.transitions, chain.start, chain.end)
    return decoding.Chain(*(part.detach().numpy() for part in parts)), *(one.detach().numpy() for one in tensors)


def best_of(chain: crf.Chain, emissions: Tensor, lengths: Tensor) -> Tensor:
    return torch.from_numpy(decoding.best(*arrays(chain, emissions, lengths)))


def marginals_of(chain: crf.Chain, emissions: Tensor, lengths: Tensor) -> Tensor:
    return torch.from_numpy(decoding.marginals(*arrays(chain, emissions, lengths)))


def score_of(chain: crf.Chain, emissions: Tensor, path: tuple[int, ...]) -> Tensor:
    """By the formula, term by term."""
    total = chain.start[path[0]] + chain.end[path[-1]]
    for step, tag in enumerate(path):
        total = total + emissions[step, tag]
        if step:
            total = total + chain.transitions[path[step - 1], tag]
    return total


def all_scores(chain: crf.Chain, emissions: Tensor, length: int) -> tuple[list[tuple[int, ...]], Tensor]:
    paths = list(itertools.product(range(emissions.shape[1]), repeat=length))
    return paths, torch.stack([score_of(chain, emissions, path) for path in paths])


cases = pytest.mark.parametrize(
    ("labels", "lengths", "barred"),
    [(2, [1, 4, 3], False), (3, [5, 2, 1, 3], False), (5, [4, 1, 3], True), (9, [3, 2], True), (1, [1, 3], False)],
)


@cases
def test_equals_the_enumeration_of_all_paths(labels: int, lengths: list[int], barred: bool) -> None:
    chain, emissions, ends = drawn(labels, lengths, seed=0, barred=barred)
    total = crf.log_partition(chain, emissions, ends)
    best = best_of(chain, emissions, ends)
    probabilities = marginals_of(chain, emissions, ends)
    for text, length in enumerate(lengths):
        paths, scores = all_scores(chain, emissions[text], length)
        torch.testing.assert_close(total[text], scores.logsumexp(0), rtol=0, atol=1e-10)
        assert tuple(best[text, :length].tolist()) == paths[int(scores.argmax())]
        assert not best[text, length:].any()
        share = scores.softmax(0)
        for step, tag in itertools.product(range(length), range(labels)):
            at = torch.tensor([path[step] == tag for path in paths])
            torch.testing.assert_close(probabilities[text, step, tag], share[at].sum(), rtol=0, atol=1e-10)
        assert not probabilities[text, length:].any()


@cases
def test_gradients_equal_those_of_the_enumeration(labels: int, lengths: list[int], barred: bool) -> None:
    chain, emissions, ends = drawn(labels, lengths, seed=1, barred=barred)
    inputs = [emissions, chain.transitions, chain.start, chain.end]
    tags = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    loss = (crf.log_partition(chain, emissions, ends) - crf.score(chain, emissions, ends, tags)).sum()
    plain = torch.stack(
        [all_scores(chain, emissions[text], length)[1].logsumexp(0) - score_of(chain, emissions[text], (0,) * length)
         for text, length in enumerate(lengths)]
    ).sum()  # fmt: skip
    torch.testing.assert_close(loss, plain, rtol=0, atol=1e-9)
    for actual, reference in zip(torch.autograd.grad(loss, inputs), torch.autograd.grad(plain, inputs), strict=True):
        torch.testing.assert_close(actual, reference, rtol=0, atol=1e-9)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_chance_of_any_stretch_equals_the_enumeration(data: st.DataObject) -> None:
    labels, length = data.draw(st.integers(2, 3)), data.draw(st.integers(1, 5))
    chain, emissions, ends = drawn(labels, [length, 5], seed=data.draw(st.integers(0, 99)))
    tags = torch.tensor([[data.draw(st.integers(0, labels - 1)) for _ in range(5)]] * 2)
    begin = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(begin, length - 1))
    _, first, second = decoding.probabilities(*arrays(chain, emissions, ends, tags))
    paths, scores = all_scores(chain, emissions[0], length)
    stretch = tuple(tags[0, begin : end + 1].tolist())
    at = torch.tensor([path[begin : end + 1] == stretch for path in paths])
    assert np.exp(first[0, begin] + second[0, end]) == pytest.approx(scores.softmax(0)[at].sum().item(), rel=1e-9)


def test_what_the_scheme_forbids_is_never_best_and_has_no_chance() -> None:
    chain, emissions, ends = drawn(9, [6, 4], seed=2, barred=True)
    between, first, last = (torch.from_numpy(may) for may in allowed(9))
    hostile = emissions + 30 * torch.nn.functional.one_hot(torch.tensor(2), 9)  # every word cries I of the first type
    for text, length in enumerate(ends.tolist()):
        path = best_of(chain, hostile, ends)[text, :length]
        assert first[path[0]]
        assert last[path[-1]]
        assert between[path[:-1], path[1:]].all()
    probabilities = marginals_of(chain, hostile, ends)
    assert not probabilities[:, 0, ~first].any()
    assert not probabilities[0, 5, ~last].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_thousand_words_stay_finite(dtype: torch.dtype) -> None:
    chain, emissions, ends = drawn(9, [1000, 700], seed=3, barred=True)
    parts = [part.detach().to(dtype).requires_grad_() for part in (chain.transitions, chain.start, chain.end)]
    chain = crf.Chain(*parts)
    emissions = (20 * emissions.detach()).to(dtype).requires_grad_()
    total = crf.log_partition(chain, emissions, ends)
    gradient, *of_chain = torch.autograd.grad(total.sum(), [emissions, *parts])
    assert torch.isfinite(gradient).all()
    doubled = crf.Chain(*(part.double() for part in parts))
    exact = crf.log_partition(doubled, emissions.double(), ends)
    torch.testing.assert_close(total, exact.to(dtype), rtol=1e-7, atol=0)  # summed in float64 whatever the type
    assert [float(part.sum()) for part in of_chain] == pytest.approx([999 + 699, 2, 2], rel=1e-3)  # pairs, texts, texts
    if dtype == torch.float64:  # as the task of tagging computes them: sums of this size leave float32 two digits
        probabilities = marginals_of(chain, emissions, ends)
        torch.testing.assert_close(gradient, probabilities, rtol=0, atol=1e-9)
        np.testing.assert_allclose(probabilities.sum(dim=(1, 2)).detach().numpy(), [1000, 700], rtol=1e-9)


def test_zero_transitions_are_a_softmax_a_word() -> None:
    _, emissions, ends = drawn(4, [3, 5], seed=4)
    chain = crf.Chain(torch.zeros(4, 4).double(), torch.zeros(4).double(), torch.zeros(4).double())
    mask = torch.arange(5) < ends[:, None]
    torch.testing.assert_close(marginals_of(chain, emissions, ends), emissions.softmax(-1) * mask[:, :, None])
    assert torch.equal(best_of(chain, emissions, ends), emissions.argmax(-1) * mask)


@cases
def test_second_derivatives_equal_finite_differences(labels: int, lengths: list[int], barred: bool) -> None:
    chain, emissions, ends = drawn(labels, lengths, seed=2, barred=barred)

    def total(emissions: Tensor, *parts: Tensor) -> Tensor:
        return crf.log_partition(crf.Chain(*parts), emissions, ends)

    inputs = (emissions, chain.transitions, chain.start, chain.end)
    assert torch.autograd.gradcheck(total, inputs)
    assert torch.autograd.gradgradcheck(total, inputs)
