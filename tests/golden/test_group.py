"""Several processes take the step that one takes: the processes are threads here, and what they sum is added up."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lstmcli import recipes
from lstmcli.config import RunConfig
from lstmcli.events import Stepped
from lstmcli.machine.place import Place
from lstmcli.storage import examples
from lstmcli.training import setup
from lstmcli.training.group import ALONE, Group
from lstmcli.training.train import Trainer
from tests.conftest import SMALL

COUNT = 2


@dataclass
class Meeting:
    """What the threads add up."""

    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(COUNT, timeout=60))
    brought: dict[int, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Threads(Group):
    meeting: Meeting = field(default_factory=Meeting)

    def add_up(self, tensor: Tensor) -> None:
        self.meeting.brought[self.place.rank] = tensor.clone()
        self.meeting.barrier.wait()
        total = torch.stack([self.meeting.brought[rank] for rank in range(COUNT)]).sum(0)
        self.meeting.barrier.wait()
        tensor.copy_(total)

    def of_first(self, work: Any) -> Any:
        return work()

    def begin(self, tensors: object, data: str) -> None:
        """All threads build the same weights from the seed."""


def trainer_of(config: RunConfig, group: Group) -> Trainer:
    data = examples.read(config)
    return Trainer(setup.prepare(config, data, None), None, data, group)


def steps(trainer: Trainer) -> Iterator[Stepped]:
    return (event for event in trainer.events() if isinstance(event, Stepped))


def gradients(trainer: Trainer) -> dict[str, Tensor | None]:
    return {
        name: None if one.grad is None else one.grad.clone() for name, one in trainer.parts.model.named_parameters()
    }


def after_step(trainer: Trainer) -> tuple[Stepped, dict[str, Tensor | None]]:
    (event,) = islice(steps(trainer), 1)
    return event, gradients(trainer)


def sentences(folder: Path) -> Path:
    """Tagged sentences of different lengths."""
    random = np.random.default_rng(0)
    lines = []
    for _ in range(40):
        for _ in range(random.integers(1, 9)):
            word = int(random.integers(12))
            lines.append(f"w{word} {'B-PER' if word < 3 else 'O'}")
        lines.append("")
    path = folder / "train.txt"
    path.write_text("\n".join(lines))
    return folder


EVEN = [*SMALL, "model.dropout=0", "model.word_dropout=0", "train.clip=none", "train.batch_tokens=60", "threads=1"]


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["train.accumulate=3"],
        ["train.class_weights=balanced"],
        ["train.entropy_weight=0.3"],
        ["train.adversarial_epsilon=0.5"],
    ],
)
def test_the_gradient_of_two_is_that_of_one(table: Path, more: list[str]) -> None:
    text = table.read_text().splitlines(keepends=True)
    table.write_text("".join([text[0], *(line.replace('"a ', '"a very very long ') for line in text[1:-7])]))
    compare(recipes.load(str(table), overrides=[*EVEN, *more]))


def test_of_tagged_words_too(tmp_path: Path) -> None:
    shape = ["model.embedding=6", "model.hidden=5", "model.vectors=none"]
    even = [one for one in EVEN if one.partition("=")[0] not in ("model.init", "model.sentence_embedding")]
    compare(recipes.load("entities", overrides=[*even, *shape, f"data.path={sentences(tmp_path)}"]))


def compare(config: RunConfig) -> None:
    expected = after_step(trainer_of(config, ALONE))
    meeting = Meeting()
    trainers = [trainer_of(config, Threads(Place(rank, COUNT), meeting=meeting)) for rank in range(COUNT)]
    with ThreadPoolExecutor(COUNT) as pool:
        for event, found in pool.map(after_step, trainers):
            assert event.tokens == expected[0].tokens
            assert event.loss == pytest.approx(expected[0].loss, rel=1e-6)
            for name, gradient in expected[1].items():
                assert (gradient is None) == (found[name] is None), name
                if gradient is not None:
                    torch.testing.assert_close(found[name], gradient, rtol=1e-6, atol=1e-6)
    assert any(one is not None and one.abs().max() > 1e-3 for one in expected[1].values())


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 5))
def test_shares_are_a_partition_into_equal_parts(lengths: list[int], count: int) -> None:
    shares = [Group(Place(rank, count)).share(np.array(lengths)) for rank in range(count)]
    assert np.concatenate(shares).tolist() == list(range(len(lengths)))
    tokens = [sum(lengths[index] for index in share) for share in shares]
    assert max(tokens) - min(tokens) <= 2 * max(lengths)


def test_random_masks_differ_by_process_and_step_and_come_again() -> None:
    drawn = []
    for rank, step in ((0, 0), (1, 0), (0, 1), (0, 0)):
        Group(Place(rank, 2)).seed(3, step)
        drawn.append(float(torch.rand(1)))
    assert drawn[0] == drawn[3]
    assert len(set(drawn)) == 3
