"""Running text in windows: texts end to end, cut into columns that are read side by side, a window at a time.

Nothing is dropped: columns differ in length by one at most, and the last window is a word longer for some.
"""

from dataclasses import dataclass

import numpy as np
import torch

from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.types import Batch

COLUMN = 50_000  # words that a column has at least where it is scored, so that few begin without what came before


@dataclass(frozen=True)
class Windows:
    """A stream cut up. begins: the column that starts at each, ``[column]``; cuts: where each window of a column begins
    and ends, ``[window + 1]``, with the last word of the longer columns beyond the last.

    offset: where in the stream, which is read round, the first column begins.
    """

    store: Store
    begins: Ints
    lengths: Ints
    cuts: Ints
    offset: int

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def positions(self, number: int) -> tuple[Ints, Ints]:
        """Where in the stream each word of a window lies, ``[column, time]``, and how many words each column has."""
        begin, end = self.cuts[number : number + 2]
        last = number == len(self) - 1
        lengths = np.minimum(self.lengths, self.lengths.max() if last else end) - begin
        places = self.begins[:, None] + begin + np.arange(lengths.max())
        return (places + self.offset) % len(self.store.ids), lengths

    def batch(self, number: int) -> Batch:
        """The words of a window and those that follow each: the columns go on where the window before ended."""
        places, lengths = self.positions(number)
        there = np.arange(places.shape[1]) < lengths[:, None]
        tokens, targets = (
            torch.from_numpy(np.where(there, row[places], 0).astype(np.int64))
            for row in (self.store.ids, self.store.known_targets)
        )
        return Batch(tokens, torch.from_numpy(lengths.astype(np.int64)), targets)


def windows(store: Store, *, columns: int, window: int, offset: int = 0) -> Windows:
    """Cut the stream of a store into at most so many columns and windows of about that many words."""
    total = len(store.ids)
    columns = max(1, min(columns, total // 2))
    edges = np.arange(columns + 1) * total // columns
    lengths = np.diff(edges)
    shortest = int(lengths.min())
    count = -(-shortest // window)
    return Windows(store, edges[:-1], lengths, np.arange(count + 1) * shortest // count, offset)


def drawn(store: Store, *, batch_tokens: int, window: int, seed: tuple[int, ...]) -> Windows:
    """The windows of one epoch, with as many columns as make a batch; the seed decides where the first begins."""
    offset = int(np.random.default_rng(seed).integers(len(store.ids)))
    return windows(store, columns=max(1, batch_tokens // window), window=window, offset=offset)


def to_score(store: Store, *, window: int) -> Windows:
    """The windows in which a stream is scored."""
    return windows(store, columns=max(1, len(store.ids) // COLUMN), window=window)
