"""Texts unlike the others: the similarity to their nearest neighbours is far below that of most texts.

The similarity of a text is the mean cosine to its ``NEIGHBOURS`` nearest among the others (Ramaswamy, Rastogi & Shim
2000, "Efficient Algorithms for Mining Outliers"), or among ``REFERENCES`` of them: the time grows with the number of
texts, not with its square.
"""

from typing import Any

import numpy as np

from lstmcli.data.batches.ragged import Ints

Array = np.ndarray[Any, np.dtype[Any]]
NEIGHBOURS = 5
REFERENCES = 4_000
BLOCK = 1_000  # texts compared at once
FAR = 4.0  # deviations below the median, in units of the scaled median absolute deviation
SCALE = 1.4826  # makes that deviation the standard deviation of normal values


def similarities(features: Array, *, seed: int) -> Array:
    """Return the similarity of each text, ``[text]``. features: centred, ``[text, feature]``."""
    directions = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-9)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(features))[:REFERENCES])
    references = directions[chosen]
    neighbours = min(NEIGHBOURS, len(chosen) - 1)
    found = np.empty(len(features), np.float32)
    for start in range(0, len(features), BLOCK):
        cosines = directions[start : start + BLOCK] @ references.T
        inside = (chosen >= start) & (chosen < start + BLOCK)
        cosines[chosen[inside] - start, np.flatnonzero(inside)] = -1.0  # a text is no neighbour of itself
        nearest = np.partition(cosines, -neighbours, axis=1)[:, -neighbours:]
        found[start : start + BLOCK] = nearest.mean(axis=1)
    return found


def far(similarity: Array) -> Ints:
    """Return the indices of the texts that are far from the others, the farthest first. similarity: ``[text]``."""
    median = np.median(similarity)
    spread = SCALE * np.median(np.abs(similarity - median))
    indices = np.flatnonzero(similarity < median - FAR * spread)
    found: Ints = indices[np.argsort(similarity[indices], kind="stable")]
    return found
