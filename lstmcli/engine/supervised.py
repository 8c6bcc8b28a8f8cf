"""Supervised training: what the loop's items, loss and validation are where a run learns labelled texts."""

from typing import Any

import numpy as np

from lstmcli.data import batching
from lstmcli.data.store import Store
from lstmcli.engine import assemble
from lstmcli.engine.adversary import Adversary
from lstmcli.engine.assemble import Parts
from lstmcli.engine.held_out import Validated
from lstmcli.types import Mean

Array = np.ndarray[Any, np.dtype[Any]]


class Reading(Validated):
    """The texts of a run, a batch at a time."""

    def __init__(self, parts: Parts, whole: dict[str, Store], stores: dict[str, Store]) -> None:
        super().__init__(parts, whole, stores, assemble.outputs)
        self._cropped = (-1, stores["train"])  # the texts of the epoch at hand
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
            return self._stores["train"]
        if self._cropped[0] != epoch:
            self._cropped = (epoch, self._whole["train"].cropped(config.train.crop, seed=(config.seed, epoch)))
        return self._cropped[1]
