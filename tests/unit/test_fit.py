"""The loop, its schedule and its optimisers."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lstmcli import recipes
from lstmcli.config import Classifier, RunConfig, Tokens, Train
from lstmcli.data.batches.encoded import built, encode
from lstmcli.errors import ConfigError
from lstmcli.events import Evaluated, Stepped
from lstmcli.inference import assemble
from lstmcli.inference.batches import ordered
from lstmcli.machine import runtime
from lstmcli.training.loop import Job, Position, fit, learning_rate, optimizer_for
from lstmcli.training.supervised import SupervisedObjective
from lstmcli.types import Example, Mean

ONE_CYCLE = Train(epochs=1, lr=1.0, warmup=0.25)


def job(scores: list[float], factor: float = 1.0) -> Job[int]:
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    expected = iter(scores)

    def loss_of(item: int) -> tuple[Mean, int]:
        return Mean((model.weight * item * factor).square().sum(), item), item

    def evaluate() -> dict[str, float]:
        return {"score": next(expected), "loss": 0.0}

    return Job(model, optimizer_for(model, Train(lr=0.1)), lambda _: [1, 2, 3], loss_of, evaluate)


def test_the_rate_rises_to_its_peak_and_falls_to_nearly_nothing() -> None:
    rates = [learning_rate(ONE_CYCLE, done / 100) for done in range(101)]
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == rates[25] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(1 / 1000)
    assert rates[:26] == sorted(rates[:26])
    assert rates[25:] == sorted(rates[25:], reverse=True)
    assert learning_rate(Train(lr=0.3, schedule="constant"), 0.9) == 0.3
    assert learning_rate(Train(lr=0.3, warmup=0.0), 0.0) == pytest.approx(0.3)


def test_events_come_in_order_and_the_best_is_marked() -> None:
    events = list(fit(job([0.5, 0.4, 0.6]), Train(epochs=3, lr=0.001), Position()))
    assert [type(event) for event in events] == ([Stepped] * 3 + [Evaluated]) * 3
    assert [event.is_best for event in events if isinstance(event, Evaluated)] == [True, False, True]
    assert [event.step for event in events if isinstance(event, Stepped)] == list(range(1, 10))


def test_the_epochs_loss_is_a_mean_over_examples_not_over_batches() -> None:
    first = next(
        event for event in fit(job([1.0]), Train(epochs=1, lr=1e-9), Position()) if isinstance(event, Evaluated)
    )
    assert first.loss == pytest.approx((1 * 1 + 2 * 4 + 3 * 9) / 6)


def test_gradients_of_some_batches_make_one_step() -> None:
    # L(w) = (k w)² a batch, w = 1 at the start: the mean of 2 k² w over batches 1 and 2 is 5, of batch 3 alone 18 w.
    one = job([1.0])
    optimizer = torch.optim.SGD(one.model.parameters(), lr=1.0)
    summed = Job(one.model, optimizer, one.items, one.loss_of, one.evaluate)
    config = Train(epochs=1, lr=0.01, schedule="constant", clip=None, accumulate=2)
    events = list(fit(summed, config, Position()))
    assert [event.tokens for event in events if isinstance(event, Stepped)] == [3, 3]
    after = 1 - 0.01 * 5
    losses = [event.loss for event in events if isinstance(event, Stepped)]
    assert losses == pytest.approx([(1 + 4) / 2, 9 * after**2])
    assert next(one.model.parameters()).item() == pytest.approx(after - 0.01 * 18 * after)


def test_words_and_lstm_learn_at_their_share_of_the_rate() -> None:
    model = nn.ModuleDict({"embedding": nn.Embedding(2, 1), "lstm": nn.LSTM(1, 1), "head": nn.Linear(1, 1)})
    optimizer = optimizer_for(model, Train(encoder_lr_scale=0.1), encoder=("embedding", "lstm"))
    groups = optimizer.param_groups
    assert [len(group["params"]) for group in groups] == [5, 2]
    assert groups[0]["lr_scale"] == 0.1
    work = Job(model, optimizer, lambda _: [1], lambda _: (
        Mean(sum(value.sum() for value in model.parameters()), 1), 1), job([1.0]).evaluate)  # fmt: skip
    next(fit(work, Train(lr=0.5, schedule="constant", encoder_lr_scale=0.1), Position()))
    assert [group["lr"] for group in work.optimizer.param_groups] == pytest.approx([0.05, 0.5])


def test_patience_ends_the_run() -> None:
    events = list(fit(job([0.5, 0.4, 0.3, 0.9]), Train(epochs=9, lr=0.001, patience=2), Position()))
    assert sum(isinstance(event, Evaluated) for event in events) == 3


def test_ties_go_to_the_lower_loss() -> None:
    work = job([])
    figures = iter([{"score": 0.5, "loss": 2.0}, {"score": 0.5, "loss": 1.0}, {"score": 0.5, "loss": 1.5}])

    def evaluate() -> dict[str, float]:
        return next(figures)

    events = fit(
        Job(work.model, work.optimizer, work.items, work.loss_of, evaluate), Train(epochs=3, lr=0.001), Position()
    )
    assert [event.is_best for event in events if isinstance(event, Evaluated)] == [True, True, False]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("stop", [1, 3, 4, 5])
def test_a_run_that_goes_on_from_its_position_ends_where_it_would_have(optimizer: str, stop: int) -> None:
    config = Train(epochs=3, lr=0.01, optimizer=optimizer)
    straight, cut = (Job(work.model, optimizer_for(work.model, config), work.items, work.loss_of, work.evaluate)
                     for work in (job([0.1] * 3), job([0.1] * 3)))  # fmt: skip
    list(fit(straight, config, Position()))
    at = Position()
    list(itertools.islice(fit(cut, config, at), stop))
    list(fit(cut, config, at))
    assert torch.equal(straight.model.weight, cut.model.weight)


def test_a_loss_that_is_not_a_number_proposes_a_fix() -> None:
    with pytest.raises(ConfigError, match="the loss is inf") as caught:
        list(fit(job([0.1], factor=1e30), Train(epochs=1, lr=0.4), Position()))
    assert "--set train.lr=0.1" in caught.value.fix


def nan_scores() -> dict[str, float]:
    """As a classifier is evaluated whose last step led to weights that are no numbers."""
    ordered(iter([(np.arange(2), np.array([[0.5], [np.nan]]))]), model="classifier")
    raise AssertionError


@pytest.mark.parametrize(
    ("evaluate", "what"),
    [
        (lambda: {"score": math.nan, "loss": math.nan}, "the validation loss is nan after step 3"),
        (lambda: {"score": -math.inf, "loss": math.inf}, "the validation loss is inf after step 3"),
        (nan_scores, "the model's scores are not finite after step 3"),
    ],
)
def test_validation_that_is_not_a_number_proposes_the_same_fix(
    evaluate: Callable[[], dict[str, float]], what: str
) -> None:
    work = replace(job([0.1]), evaluate=evaluate)
    with pytest.raises(ConfigError, match=what) as caught:
        list(fit(work, Train(epochs=1, lr=0.4), Position()))
    assert "--set train.lr=0.1" in caught.value.fix


def test_clipping_bounds_the_whole_gradient() -> None:
    work = job([0.1] * 2, factor=100.0)
    sgd = torch.optim.SGD(work.model.parameters(), lr=1.0)
    config = Train(epochs=1, lr=1e-3, clip=0.5, schedule="constant")
    events = fit(Job(work.model, sgd, work.items, work.loss_of, work.evaluate), config, Position())
    next(events)
    assert work.model.weight.item() == pytest.approx(1 - 0.5e-3)


@pytest.mark.parametrize(("crop", "read"), [(None, 4), (6, 6), (20, 10)])
def test_crops_are_of_the_whole_text_not_of_what_truncation_leaves(crop: int | None, read: int) -> None:
    examples = [Example("a b c d e f g h i j", label) for label in ("x", "y")]
    config = RunConfig(
        model=Classifier(embedding=2, hidden=2), train=Train(crop=crop), tokens=Tokens(max_tokens=4, min_count=1)
    )
    vocabulary = built(examples, config.tokens, cache=None)
    whole = dict.fromkeys(("train", "validation"), encode(vocabulary, examples, cache=None))
    cut = {name: store.truncated(config.tokens) for name, store in whole.items()}
    parts = assemble.fresh(config, vocabulary, runtime.prepare(config))
    assert SupervisedObjective(parts, whole, cut).tokens(0) == read * len(examples)


def test_a_step_has_the_processors_that_the_job_gives_it_and_an_evaluation_all() -> None:
    available = torch.get_num_threads()
    torch.set_num_threads(2)
    seen = []
    work = job([0.5])

    def loss_of(item: int) -> tuple[Mean, int]:
        seen.append(torch.get_num_threads())
        return work.loss_of(item)

    def evaluate() -> dict[str, float]:
        seen.append(torch.get_num_threads())
        return work.evaluate()

    list(fit(Job(work.model, work.optimizer, work.items, loss_of, evaluate, 1), Train(epochs=1), Position()))
    torch.set_num_threads(available)
    assert seen == [1, 1, 1, 2]


@pytest.mark.parametrize(("recipe", "expected"), [("conll2003", 1), ("imdb", None), ("lm", None), ("hwu64-maml", None)])
def test_small_steps_are_not_shared(recipe: str, expected: int | None) -> None:
    tokens = 8192 if recipe == "imdb" else 512
    config = recipes.load(recipe, overrides=[f"train.batch_tokens={tokens}"])
    assert runtime.step_threads(config) == expected
