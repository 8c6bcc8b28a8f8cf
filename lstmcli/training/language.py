"""Language modelling: what the loop's items, loss and validation are where a run learns a token stream."""

from typing import Any

import numpy as np

from lstmcli.data.batches import bptt
from lstmcli.data.batches.bptt import Windows
from lstmcli.data.batches.encoded import Store
from lstmcli.inference.assemble import Parts
from lstmcli.inference.stream import outputs
from lstmcli.training.objective import Objective
from lstmcli.types import Mean

Array = np.ndarray[Any, np.dtype[Any]]


class LanguageObjective(Objective):
    """Language modelling on the token stream of a run, one window (``train.bptt`` tokens) at a time.

    state: hidden and cell after the last window, which carry over to the next.
    """

    def __init__(self, parts: Parts, stores: dict[str, Store]) -> None:
        super().__init__(parts, stores, stores, outputs)
        self._train = stores["train"]
        self._windows: tuple[int, Windows | None] = (-1, None)  # epoch and windows

    def items(self, epoch: int) -> list[tuple[int, int]]:
        """Return the epoch and number of each window."""
        return [(epoch, number) for number in range(len(self._windows_of(epoch)))]

    def tokens(self, epoch: int) -> int:  # noqa: ARG002 (the same in every epoch)
        """Count the tokens of an epoch."""
        return len(self._train.ids)

    def loss(self, item: tuple[int, int]) -> tuple[Mean, int]:
        """Compute the loss of a window and its number of tokens."""
        epoch, number = item
        parts = self._parts
        batch = self._windows_of(epoch).batch(number).to(parts.runtime.device)
        if number == 0:
            self.state = {}
        begin = (
            (self.state["hidden"], self.state["cell"]) if self.state else parts.stream_model.begin(len(batch.tokens))
        )
        with parts.runtime.autocast():
            scores = parts.model(batch, begin)
        self.state = {name: part.detach() for name, part in zip(("hidden", "cell"), scores.state, strict=True)}
        mean: Mean = parts.task.loss(scores, batch)
        return mean, int(batch.lengths.sum())

    def _windows_of(self, epoch: int) -> Windows:
        if self._windows[0] != epoch:
            config = self._parts.config
            seed = (config.seed, epoch)
            train = config.train
            found = bptt.drawn(self._train, batch_tokens=train.batch_tokens, window=train.bptt, seed=seed)
            self._windows = (epoch, found)
        windows = self._windows[1]
        assert windows is not None
        return windows
