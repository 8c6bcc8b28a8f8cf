"""Parts computed at once against the same parts one after the other: values, first and second derivatives."""

import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from lstmcli.models import parallel
from lstmcli.models.lstm import LSTM
from lstmcli.models.parallel import Tensors, at_once

LENGTHS = torch.tensor([6, 2, 4])
PATIENCE = 300  # seconds until a part that waits in vain for the other gives up


@pytest.fixture(autouse=True)
def _two_processors() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def function(x: Tensor, w: Tensor, constant: Tensor) -> Tensors:
    return torch.tanh(x @ w) * constant, (x * x).sum(), x.detach()


def parts() -> list[Tensors]:
    torch.manual_seed(0)
    shared = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    return [
        (shared, torch.randn(3, 4, dtype=torch.float64, requires_grad=True), torch.randn(4, dtype=torch.float64))
        for _ in range(2)
    ]


def costs(results: list[Tensors]) -> Tensor:
    return sum(((number + 1) * first.pow(3).sum() for number, (first, *_) in enumerate(results)), torch.tensor(0.0))


def leaves(given: list[Tensors]) -> list[Tensor]:
    return [given[0][0], *(part[1] for part in given)]


def test_values_and_gradients_are_those_of_one_after_the_other() -> None:
    given = parts()
    together, apart = at_once(function, given), [function(*part) for part in given]
    for value, reference in zip(together, apart, strict=True):
        torch.testing.assert_close(value, reference, rtol=0, atol=0)
    actual, reference = (
        torch.autograd.grad(costs(results) + results[1][1].exp(), leaves(given)) for results in (together, apart)
    )
    for value, other in zip(actual, reference, strict=True):
        torch.testing.assert_close(value, other)


def test_second_derivatives_equal_the_finite_difference() -> None:
    given = parts()

    def flat(shared: Tensor, first: Tensor, second: Tensor) -> Tensors:
        results = at_once(function, [(shared, first, given[0][2]), (shared, second, given[1][2])])
        return tuple(result for some in results for result in some[:2])

    assert torch.autograd.gradcheck(flat, leaves(given))
    assert torch.autograd.gradgradcheck(flat, leaves(given))


def test_a_graph_that_is_kept_can_be_gone_back_through_again() -> None:
    given = parts()
    cost = costs(at_once(function, given))
    once = torch.autograd.grad(cost, leaves(given), retain_graph=True)
    twice = torch.autograd.grad(cost, leaves(given))
    for value, other in zip(once, twice, strict=True):
        torch.testing.assert_close(value, other, rtol=0, atol=0)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(cost, leaves(given))


@pytest.mark.parametrize("exact", [False, True])
def test_parts_that_are_not_used_or_do_not_learn_have_no_gradient(exact: bool) -> None:
    (shared, first, constant), (_, second, _) = parts()
    (used, *_), _ = at_once(function, [(shared, first, constant), (shared, second, constant)])
    own, none = torch.autograd.grad(used.sum(), [first, second], create_graph=exact, allow_unused=True)
    torch.testing.assert_close(own, torch.autograd.grad(function(shared, first, constant)[0].sum(), first)[0])
    assert none is None
    fixed = second.detach()
    (_, _, apart), (unlearned, *_) = at_once(function, [(shared, first, constant), (shared.detach(), fixed, constant)])
    cost = apart.sum() + unlearned.sum()  # neither depends on what learns
    assert torch.autograd.grad(cost, [first], create_graph=exact, allow_unused=True) == (None,)


def test_the_parts_run_at_once_forward_and_backward() -> None:
    met: list[str] = []
    here = threading.Barrier(2, timeout=PATIENCE, action=lambda: met.append("met"))

    class Meet(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            here.wait()
            return x.clone()

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            here.wait()
            return gradient

    def meet(x: Tensor) -> Tensors:
        return (Meet.apply(x),)

    results = at_once(meet, [(torch.ones(1, requires_grad=True),), (torch.ones(1, requires_grad=True),)])
    (results[0][0] + results[1][0]).backward()
    assert met == ["met", "met"]


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_nothing_is_recorded_where_no_gradient_is_wanted(mode: type[torch.no_grad]) -> None:
    given = parts()
    with mode():
        together, apart = at_once(function, given), [function(*part) for part in given]
    for value, reference in zip(together, apart, strict=True):
        torch.testing.assert_close(value, reference, rtol=0, atol=0)
        assert not value[0].requires_grad


def test_an_error_of_any_part_comes_out_and_the_threads_stay_as_they_were() -> None:
    def fails(x: Tensor) -> Tensors:
        raise ValueError(f"part {x.item():.0f}")

    for index in (0, 1):
        some: list[Tensors] = [(torch.tensor(0.0),), (torch.tensor(1.0),)]
        with pytest.raises(ValueError, match=f"part {index}"):
            at_once(lambda x, index=index: fails(x) if x == index else (x,), some)
        assert torch.get_num_threads() == 2


def test_an_lstm_reads_in_both_directions_alike_on_one_and_two_processors(precision: str) -> None:
    torch.manual_seed(0)
    lstm = LSTM(3, 5, layers=2, bidirectional=True, dropout=0.3, weight_drop=0.3)
    x = torch.randn(3, 6, 3)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        torch.manual_seed(1)
        lstm.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            hidden, state = lstm(x, LENGTHS, carry=True)
        assert state is not None
        assert hidden.dtype is getattr(torch, precision)
        (hidden.float().pow(2).sum() + state[1].float().sum()).backward()
        found.append([hidden, *state, *(parameter.grad for parameter in lstm.parameters())])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)


def test_gradients_in_bfloat16_do_not_depend_on_which_part_is_done_first(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, w = torch.randn(50, 40), torch.randn(40, 30, requires_grad=True)
    other_done = threading.Event()

    class Watched(torch.autocast):
        def __exit__(self, *error: object) -> None:
            super().__exit__(*error)
            other_done.set()

    def watched(own: Callable[[], torch.autocast] = parallel._autocast) -> torch.autocast:
        context = own()
        context.__class__ = Watched
        return context

    def twice(x: Tensor, w: Tensor, waits: Tensor) -> Tensors:
        first = x @ w
        if waits:
            assert other_done.wait(PATIENCE)
        return first, (0.3 * x) @ w

    monkeypatch.setattr(parallel, "_autocast", watched)
    found = []
    for waits in ((False, True), (True, False), (False, False)):
        other_done.clear()
        with torch.autocast("cpu", torch.bfloat16):
            results = at_once(twice, [(x, w, torch.tensor(wait)) for wait in waits])
        found.append(torch.autograd.grad(sum(one.float().pow(2).sum() for part in results for one in part), w)[0])
    assert all(torch.equal(found[0], other) for other in found)
