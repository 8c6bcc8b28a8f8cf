"""Supervised training: what the loop's items, loss and validation are where a run learns labelled texts."""

from typing import Any

import numpy as np
import torch

from lstmcli.data import batching
from lstmcli.data.store import Store
from lstmcli.engine import assemble
from lstmcli.engine.adversary import Adversary
from lstmcli.engine.assemble import Parts
from lstmcli.engine.held_out import Validated
from lstmcli.engine.inputs import UNLABELLED
from lstmcli.types import Mean

Array = np.ndarray[Any, np.dtype[Any]]
TAUGHT = "taught"  # of a run's state: what the teacher said of the unlabelled texts


class Reading(Validated):
    """The texts of a run, a batch at a time."""

    def __init__(self, parts: Parts, whole: dict[str, Store], stores: dict[str, Store]) -> None:
        super().__init__(parts, whole, stores, assemble.outputs)
        self._learned = _learned(stores if parts.config.train.crop is None else whole)
        self._cropped = (-1, self._learned)  # the texts of the epoch at hand
        if UNLABELLED in whole:
            self.state[TAUGHT] = torch.from_numpy(whole[UNLABELLED].known_targets)
        size = parts.config.train.adversarial
        self._adversary = None if size is None else Adversary(parts.model.get_submodule("embedding"), size)

    def items(self, epoch: int) -> list[tuple[int, Any]]:
        """The epoch, and the places of the texts, of each batch."""
        config = self._parts.config
        lengths = self._texts(epoch).lengths
        places = batching.shuffled(lengths, batch_tokens=config.train.batch_tokens, seed=(config.seed, epoch))
        return [(epoch, indices) for indices in places]

    def tokens(self, epoch: int) -> int:
        """How many an epoch reads."""
        return int(self._texts(epoch).offsets[-1])

    def loss(self, item: tuple[int, Any]) -> tuple[Mean, int]:
        """The loss of a batch, and its tokens."""
        epoch, indices = item
        parts = self._parts
        batch = batching.collate(self._texts(epoch), indices).to(parts.runtime.device)

        def loss_of() -> Mean:
            with parts.runtime.autocast():
                scores = parts.model(batch)
            mean: Mean = parts.task.loss(scores, batch)
            return mean

        mean = loss_of() if self._adversary is None else self._adversary.loss(loss_of)
        return mean, int(batch.lengths.sum())

    def _texts(self, epoch: int) -> Store:
        """The training texts as the epoch reads them."""
        config = self._parts.config
        if config.train.crop is None:
            return self._learned
        if self._cropped[0] != epoch:
            self._cropped = (epoch, self._learned.cropped(config.train.crop, seed=(config.seed, epoch)))
        return self._cropped[1]


def _learned(stores: dict[str, Store]) -> Store:
    """All that is learned: the labelled texts, and those that a teacher spoke on."""
    return stores["train"].and_taught(stores[UNLABELLED]) if UNLABELLED in stores else stores["train"]
