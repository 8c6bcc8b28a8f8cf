"""Runs of a flat array: texts laid end to end, characters of words laid end to end."""

from typing import Any

import numpy as np

Ints = np.ndarray[Any, np.dtype[Any]]


def runs(starts: Ints, lengths: Ints) -> Ints:
    """Return the positions of some runs, one run after the other, without a loop.

    >>> runs(np.array([7, 0]), np.array([3, 2])).tolist()
    [7, 8, 9, 0, 1]
    """
    ends = np.cumsum(lengths)
    positions: Ints = np.repeat(starts - ends + lengths, lengths)
    positions += np.arange(len(positions))
    return positions
