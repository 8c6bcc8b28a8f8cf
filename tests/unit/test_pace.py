"""What follows from the amount of data, against cases computed by hand."""

from typing import Any

import pytest

from lstmcli import recipes
from lstmcli.config import RunConfig
from lstmcli.config.pace import paced
from lstmcli.machine import malloc

STEPS = 1000


def resolved(tokens: int, texts: int, **train: Any) -> tuple[int, int, int | None]:
    found = paced(RunConfig.model_validate({"train": {"min_steps": STEPS} | train}), tokens=tokens, texts=texts).train
    return found.batch_tokens, found.epochs, found.patience


@pytest.mark.parametrize(
    ("tokens", "texts", "expected"),
    [
        (1_500, 90, (134, 84, 21)),  # eight texts of 16.7 tokens a batch; 12 steps an epoch
        (90_000, 450, (3_000, 34, 9)),  # a thirtieth of the tokens; 30 steps an epoch
        (400_000, 18_000, (8_192, 21, 6)),  # the largest batch; 49 steps an epoch
        (5_000_000, 22_500, (8_192, 10, 3)),  # the fewest epochs; 611 steps an epoch
        (4, 1, (32, 1000, 250)),  # one batch
    ],
)
def test_batches_epochs_and_patience_follow_from_the_amount_of_data(
    tokens: int, texts: int, expected: tuple[int, int, int]
) -> None:
    assert resolved(tokens, texts) == expected


def test_what_a_recipe_gives_stays_and_the_rest_fits_to_it() -> None:
    assert resolved(90_000, 450, epochs=3) == (3_000, 3, 9)
    assert resolved(90_000, 450, batch_tokens=900) == (900, 10, 3)  # 100 steps an epoch
    assert resolved(90_000, 450, patience=None) == (3_000, 34, None)
    assert resolved(90_000, 450, accumulate=3) == (1_600, 53, 14)  # 57 batches of eight texts, three a step: 19 steps


def test_without_min_steps_nothing_follows() -> None:
    config = RunConfig.model_validate({"train": {"epochs": 3}})
    assert paced(config, tokens=1_500, texts=90) is config


def test_what_followed_once_is_given_from_then_on() -> None:
    once = paced(RunConfig.model_validate({"train": {"min_steps": STEPS}}), tokens=1_500, texts=90)
    assert paced(once, tokens=90_000, texts=450) == once
    assert paced(RunConfig.model_validate(once.model_dump()), tokens=90_000, texts=450) == once  # of a checkpoint


def test_episodes_have_as_many_steps_as_the_recipe_says() -> None:
    values = {"train": {"min_steps": STEPS}, "episodes": {"count": 400, "batch": 8}, "learner": {"name": "ridge"}}
    train = paced(RunConfig.model_validate(values), tokens=1_500, texts=90).train
    assert (train.epochs, train.patience) == (20, 5)  # 50 steps an epoch


def test_memory_is_planned_for_the_largest_batch_that_may_follow() -> None:
    for cells, large in ((128, False), (256, True)):
        config = recipes.load("table", overrides=[f"model.hidden={cells}"])
        assert malloc.large(config) is large
