"""Repeated texts: the same but for capitals, spaces and marks at the ends, or nearly so.

Texts are nearly the same where the Jaccard index of their sets of word triples is at least ``NEAR``. Candidates are
found with MinHash in bands (Broder 1997, "On the Resemblance and Containment of Documents"; Leskovec, Rajaraman &
Ullman, "Mining of Massive Datasets", section 3.4). The time grows with the number of texts, not with its square: of
the texts that share a band, each is compared with the first.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
NEAR = 0.8  # Jaccard index
WORDS = 3  # of a shingle; a text of fewer words is compared as a whole
BANDS, ROWS = 16, 4  # a pair of index 0.8 shares a band with probability 1 - (1 - 0.8 ** 4) ** 16 = 0.9998
MARKS = " .,;:!?\"'"  # at the ends of a text
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))  # splitmix64
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Repeats:
    """same: the first text that is the same, ``[text]``, of most the text itself; near: of some texts, by index, an
    earlier one that is nearly the same, and the Jaccard index; groups: ``[text]``, one number for all texts that are
    the same or nearly so."""

    same: Array
    near: dict[int, tuple[int, float]]
    groups: Array


def plain(text: str) -> str:
    """Return the text in lower case, with single spaces and without marks at its ends."""
    folded = " ".join(text.casefold().split())
    return folded.strip(MARKS) or folded


def repeats(texts: Sequence[str]) -> Repeats:
    """Find the texts that repeat an earlier one."""
    first: dict[str, int] = {}
    same = np.array([first.setdefault(plain(text), index) for index, text in enumerate(texts)], int)
    near: dict[int, tuple[int, float]] = {}
    groups = same.copy()
    shingles = _Shingles(list(first))
    originals = np.fromiter(first.values(), int)
    for one, other in shingles.candidates():  # by ascending ``other``, so that its earlier text has its group
        index = shingles.jaccard(one, other)
        later, earlier = int(originals[other]), int(originals[one])
        if index >= NEAR and index > near.get(later, (0, 0.0))[1]:
            near[later] = earlier, index
            groups[later] = groups[earlier]
    return Repeats(same, near, groups[same])


class _Shingles:
    """The sets of word triples of texts as hashes, end to end; text i has those from ``offsets[i]`` on."""

    def __init__(self, texts: Sequence[str]) -> None:
        known: dict[str, int] = {}
        rows = [[known.setdefault(word, len(known)) for word in _WORD.findall(text)] for text in texts]
        hashes = [_triples(np.array(row, np.uint64)) for row in rows]
        self.offsets = np.concatenate(([0], np.cumsum([len(one) for one in hashes])))
        self.hashes = np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)

    def candidates(self) -> Iterator[tuple[int, int]]:
        """Yield pairs of texts that share a band of their signatures, sorted by the later one."""
        filled = np.flatnonzero(np.diff(self.offsets))
        pairs: set[tuple[int, int]] = set()
        starts = self.offsets[filled]
        for band in range(BANDS if len(filled) else 0):
            key = np.zeros(len(filled), np.uint64)
            for row in range(ROWS):
                salt = np.uint64((1 + band * ROWS + row) * int(_MIX[0]) % 2**64)
                key = _mixed(key ^ np.minimum.reduceat(_mixed(self.hashes + salt), starts))
            order = np.argsort(key, kind="stable")
            begins = np.concatenate(([True], key[order][1:] != key[order][:-1]))
            firsts = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
            pairs.update(zip(filled[firsts[~begins]].tolist(), filled[order[~begins]].tolist(), strict=True))
        yield from sorted(pairs, key=lambda pair: pair[::-1])

    def jaccard(self, one: int, other: int) -> float:
        a, b = (self.hashes[self.offsets[text] : self.offsets[text + 1]] for text in (one, other))
        shared = len(np.intersect1d(a, b, assume_unique=True))
        return shared / (len(a) + len(b) - shared)


def _triples(words: Array) -> Array:
    """Return the distinct hashes of the runs of three words, sorted; none of a text of fewer."""
    if len(words) < WORDS:
        return np.zeros(0, np.uint64)
    key = np.zeros(len(words) - WORDS + 1, np.uint64)
    for start in range(WORDS):
        key = _mixed(key ^ (words[start : start + len(key)] + np.uint64(1)) * _MIX[0])
    return np.unique(key)


def _mixed(values: Array) -> Array:
    """Scatter 64-bit integers over all values."""
    values = (values ^ (values >> np.uint64(30))) * _MIX[1]
    found: Array = values ^ (values >> np.uint64(27))
    return found
