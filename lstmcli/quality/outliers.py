"""Texts unlike the others: far from their nearest neighbours, or of words that the encoder does not know.

The distance of a text is the mean Euclidean distance to its ``NEIGHBOURS`` nearest among the others (Ramaswamy, Rastogi
& Shim 2000, "Efficient Algorithms for Mining Outliers from Large Data Sets"), or among ``REFERENCES`` of them: the time
grows with the number of texts, not with its square. Texts of unknown words are near each other, whatever they mean, so
that these are found by the share of known words.
"""

from typing import Any

import numpy as np

from lstmcli.data.batches.ragged import Ints

Array = np.ndarray[Any, np.dtype[Any]]
NEIGHBOURS = 5
REFERENCES = 4_000
BLOCK = 1_000  # texts compared at once
FAR = 4.0  # deviations above the median, in units of the scaled median absolute deviation
SCALE = 1.4826  # makes that deviation the standard deviation of normal values
ROUNDING = 1e-5  # of a squared distance over the squared length, in float32; what is below it is 0
KNOWN = 0.5  # share of known words over its median, below which a text is unlike the others


def distances(features: Array, *, seed: int) -> Array:
    """Return the distance of each text, ``[text]``. features: ``[text, feature]``, of at least two texts."""
    centred = features - features.mean(axis=0)
    squares = (centred**2).sum(axis=1)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(features))[:REFERENCES])
    references = centred[chosen]
    neighbours = min(NEIGHBOURS, len(chosen) - 1)
    found = np.empty(len(features))
    for start in range(0, len(features), BLOCK):
        block = slice(start, start + BLOCK)
        squared = squares[block, None] + squares[chosen] - 2 * centred[block] @ references.T
        inside = (chosen >= start) & (chosen < start + BLOCK)
        squared[chosen[inside] - start, np.flatnonzero(inside)] = np.inf  # a text is no neighbour of itself
        nearest = np.partition(squared, neighbours - 1, axis=1)[:, :neighbours]
        nearest[nearest < ROUNDING * squares[block, None]] = 0
        found[block] = np.sqrt(nearest).mean(axis=1)
    return found


def far(distance: Array) -> Ints:
    """Return the indices of the texts that are far from the others, the farthest first; none where most are equally far
    from theirs. distance: ``[text]``."""
    median = np.median(distance)
    spread = SCALE * np.median(np.abs(distance - median))
    if not spread > 0:
        return np.zeros(0, np.int64)
    indices = np.flatnonzero(distance > median + FAR * spread)
    found: Ints = indices[np.argsort(-distance[indices], kind="stable")]
    return found


def foreign(known: Array) -> Ints:
    """Return the indices of the texts of too few known words. known: the share of each text's words, ``[text]``."""
    return np.flatnonzero(known < KNOWN * np.median(known))
