"""A token stream in windows: texts end to end, cut into columns that are read side by side, one window at a time.

Nothing is dropped: columns differ in length by one at most, and the last window of some is one word longer.
"""

from dataclasses import dataclass

import numpy as np
import torch

from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.types import Batch

COLUMN = 50_000  # words per column in scoring, at least, so that few words are scored without context


@dataclass(frozen=True)
class Windows:
    """A stream cut up. begins: the column that starts at each, ``[column]``; cuts: where each window of a column begins
    and ends, ``[window + 1]``, with the last word of the longer columns beyond the last.

    offset: where in the stream the first column begins; after the end the stream begins again.
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
        positions = self.begins[:, None] + begin + np.arange(lengths.max())
        return (positions + self.offset) % len(self.store.ids), lengths

    def batch(self, number: int) -> Batch:
        """Return the words of a window and the next word of each: columns continue where the previous window ended."""
        positions, lengths = self.positions(number)
        inside = np.arange(positions.shape[1]) < lengths[:, None]
        tokens, targets = (
            torch.from_numpy(np.where(inside, row[positions], 0).astype(np.int64))
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
    """Return the windows of one epoch, with as many columns as make a batch; the offset is drawn by the seed."""
    offset = int(np.random.default_rng(seed).integers(len(store.ids)))
    return windows(store, columns=max(1, batch_tokens // window), window=window, offset=offset)


def to_score(store: Store, *, window: int) -> Windows:
    """Return the windows in which a stream is scored."""
    return windows(store, columns=max(1, len(store.ids) // COLUMN), window=window)
