"""Unknown words: how many tokens of a data set are unknown, and when to report it."""

from dataclasses import dataclass

import numpy as np

from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.text.vocabulary import END, UNKNOWN
from lstmcli.errors import counted, verb

NOTABLE = 0.2  # fraction of unknown tokens from which on they are reported


@dataclass(frozen=True)
class Tally:
    """Counts of tokens and texts. unread: texts of which every token is unknown."""

    tokens: int = 0
    unknown: int = 0
    texts: int = 0
    unread: int = 0

    def __add__(self, more: "Tally") -> "Tally":
        return Tally(
            self.tokens + more.tokens, self.unknown + more.unknown, self.texts + more.texts, self.unread + more.unread
        )

    @property
    def fraction(self) -> float:
        """Unknown tokens per token."""
        return self.unknown / max(1, self.tokens)

    def remark(self, name: str = "", *, fix: str = "") -> list[str]:
        """Return the fraction of unknown tokens, where it is notable. name: of the split; fix: options that lower
        it."""
        if self.fraction < NOTABLE:
            return []
        return [f"{self.fraction:.1%} of the tokens{name and f' of {name}'} are unknown words{fix and f'; {fix}'}"]

    def remarks(self) -> list[str]:
        """Return the limits of predictions for these texts: the fraction of unknown tokens, and texts without a known
        word."""
        if not self.unread:
            return self.remark()
        holds = f"{self.unread:,} of {counted(self.texts, 'text')} {verb(self.unread, 'hold')}"
        unread = f"{holds} no word that the model knows: the prediction is a guess"
        return [*self.remark(), unread]


def counts(store: Store) -> Ints:
    """Of each text its tokens and how many of them are unknown, ``[text, 2]``; ends of texts are not counted."""
    words = store.ids != END if store.is_stream else np.ones(len(store.ids), bool)
    both = np.stack((words, store.ids == UNKNOWN), axis=1).astype(np.int64)
    return np.add.reduceat(both, store.offsets[:-1], axis=0)


def of_store(store: Store) -> Tally:
    """Return the totals of a store."""
    if store.per_token:
        return tally(counts(store))
    return sum((tally(counts(piece)) for piece in store.pieces()), Tally())


def tally(counts: Ints) -> Tally:
    """Return the totals of ``counts``."""
    tokens, unknown = counts.T
    return Tally(int(tokens.sum()), int(unknown.sum()), len(counts), int((tokens == unknown).sum()))
