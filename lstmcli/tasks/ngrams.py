"""Baselines of language models: a unigram and a bigram model.

The bigram model is interpolated Kneser-Ney with one discount (Chen & Goodman 1999, section 3): the probability mass
taken off the pairs that were seen goes to each word by the number of distinct words that it follows.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
DISCOUNTS = (0.1, 0.9)  # limits of the discount: little text may have no pair that occurs once
PAIRS = 1_000_000  # at most, the most frequent


def fit_baselines(codes: Array, offsets: Array, targets: Array, *, labels: int) -> dict[str, Array]:  # noqa: ARG001
    """Count words and pairs.

    Returns:
        words ``[word]``: how often each is a target, plus one; followed ``[word]``: the number of distinct words before
        it; pairs: first * size + second, sorted, and counts ``[pair]``; discount.
    """
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


def baseline_log_probs(fitted: dict[str, Array], codes: Array, offsets: Array) -> dict[str, Array]:
    """Compute the log probability of the word after each token, ``[token]``, by baseline."""
    size = len(fitted["words"])
    following = np.append(codes[1:], codes[0])
    following[offsets[1:] - 1] = codes[0]  # each text begins with the end-of-text token
    known = (codes < size) & (following < size)
    codes, following = np.where(known, codes, 0), np.where(known, following, 0)
    unigram = np.log(fitted["words"] / fitted["words"].sum())[following]
    return {"unigram": unigram, "bigram": np.log(_bigram_probabilities(fitted, codes, following))}


def _bigram_probabilities(fitted: dict[str, Array], codes: Array, following: Array) -> Array:
    """Compute the probability of each following word after its first word, ``[token]``."""
    size, pairs, counts = len(fitted["words"]), fitted["pairs"], fitted["counts"]
    discount = float(fitted["discount"][0])
    words = fitted["words"] / fitted["words"].sum()
    # A small part goes to the unigram model, for words that are the second of no kept pair.
    lower = 0.99 * fitted["followed"] / max(1, fitted["followed"].sum()) + 0.01 * words
    totals = np.bincount(pairs // size, counts, minlength=size)
    kinds = np.bincount(pairs // size, minlength=size)
    queried = codes.astype(np.int64) * size + following
    indices = np.minimum(np.searchsorted(pairs, queried), len(pairs) - 1)
    seen = np.where(pairs[indices] == queried, counts[indices] - discount, 0.0)
    total = np.maximum(totals, 1)[codes]
    rest = np.where(totals[codes] > 0, discount * kinds[codes] / total, 1.0)
    probabilities: Array = seen / total + rest * lower[following]
    return probabilities
