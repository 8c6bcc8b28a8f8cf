"""Baselines of language models: probabilities of words and of pairs of words, by counting.

Pairs as interpolated Kneser-Ney (Chen & Goodman 1999, section 3; one discount): what is taken off each pair that was
seen goes to words by how many different words they follow.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
DISCOUNTS = (0.1, 0.9)  # least and most: few texts may have no pair that stands alone
PAIRS = 1_000_000  # most that a checkpoint carries, the most frequent


def fit_baselines(codes: Array, offsets: Array, targets: Array, *, labels: int) -> dict[str, Array]:  # noqa: ARG001
    """words ``[word]``: how often each follows another, one more than counted; followed ``[word]``: after how many
    different words; pairs: first * words + second, in rising order, with their counts; discount."""
    size = int(max(codes.max(), targets.max())) + 1
    pairs, counts = np.unique(codes.astype(np.int64) * size + targets, return_counts=True)
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    most = np.sort(np.argsort(-counts, kind="stable")[:PAIRS])
    return {
        "words": np.bincount(targets, minlength=size) + 1,
        "followed": np.bincount(pairs % size, minlength=size),
        "pairs": pairs[most],
        "counts": counts[most].astype(np.int32),
        "discount": np.array([np.clip(once / max(1, once + 2 * twice), *DISCOUNTS)]),
    }


def baseline_logs(fitted: dict[str, Array], codes: Array, offsets: Array) -> dict[str, Array]:
    """Log probability ``[token]`` of the word that follows each, by baseline."""
    size = len(fitted["words"])
    following = np.append(codes[1:], codes[0])
    following[offsets[1:] - 1] = codes[0]  # each text opens with the mark of an end
    known = (codes < size) & (following < size)
    codes, following = np.where(known, codes, 0), np.where(known, following, 0)
    singly = np.log(fitted["words"] / fitted["words"].sum())[following]
    return {"unigram": singly, "bigram": np.log(_pairs(fitted, codes, following))}


def _pairs(fitted: dict[str, Array], codes: Array, following: Array) -> Array:
    """Probability of the second word after the first."""
    size, pairs, counts = len(fitted["words"]), fitted["pairs"], fitted["counts"]
    discount = float(fitted["discount"][0])
    words = fitted["words"] / fitted["words"].sum()
    # A little goes to words as often as they are, for those that followed none among the pairs.
    lower = 0.99 * fitted["followed"] / max(1, fitted["followed"].sum()) + 0.01 * words
    totals = np.bincount(pairs // size, counts, minlength=size)
    kinds = np.bincount(pairs // size, minlength=size)
    wanted = codes.astype(np.int64) * size + following
    places = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    seen = np.where(pairs[places] == wanted, counts[places] - discount, 0.0)
    total = np.maximum(totals, 1)[codes]
    rest = np.where(totals[codes] > 0, discount * kinds[codes] / total, 1.0)
    probabilities: Array = seen / total + rest * lower[following]
    return probabilities
