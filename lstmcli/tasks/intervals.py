"""Bootstrap intervals: nothing else draws resamples or takes quantiles.

A resample of n examples draws n of them with replacement. It is given as indices ``[draw, n]``, or as weights ``[draw,
n]``, how often each example was drawn. A statistic maps many resamples at once to one value per resample. Efron (1979),
"Bootstrap Methods: Another Look at the Jackknife".
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
CELLS = 2_000_000  # indices or weights held at once
COVERED = (0.025, 0.975)
DRAWS = 1000

generator = np.random.default_rng  # from a seed


def by_index(statistic: Callable[[Array], Array], count: int, random: np.random.Generator) -> Array:
    """Return the statistic of each resample, ``[draw]``. statistic: of indices ``[draw, count]``."""
    return np.concatenate([statistic(random.integers(count, size=(rows, count))) for rows in _rows(count)])


def by_weight(
    statistic: Callable[[Array], dict[str, Array]], count: int, shares: Array, random: np.random.Generator
) -> dict[str, Array]:
    """Return each statistic of each resample by name, ``[draw]``.

    Args:
        statistic: Of weights ``[draw, group]``.
        count: Examples in a resample.
        shares: Of the examples in each group, ``[group]``; a group is one example, or several that count as one.
        random: As ``generator`` makes it.
    """
    parts = [statistic(random.multinomial(count, shares, size=rows)) for rows in _rows(len(shares))]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def covering(values: Array) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic over resamples, ``[draw]``; not-a-number does not count."""
    low, high = np.nanquantile(values, COVERED)
    return float(low), float(high)


def widening(count: int) -> float:
    """Return the length of Student's interval over that of the percentile interval, which is too short for few examples
    (a normal quantile, and a standard deviation without n - 1)."""
    from scipy.stats import norm, t

    return float(t.ppf(COVERED[1], count - 1) / norm.ppf(COVERED[1]) * np.sqrt(count / (count - 1)))


def wilson(share: float, count: float) -> tuple[float, float]:
    """Return the 95 % interval of a share of so many. Wilson (1927), "Probable Inference, the Law of Succession"."""
    z = 1.96
    middle, width = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    low, high = ((middle + sign * width) / (1 + z * z / count) for sign in (-1, 1))
    return max(low, 0.0), min(high, 1.0)


def _rows(width: int) -> Iterator[int]:
    """Yield how many resamples are drawn at once."""
    rows = max(1, CELLS // width)
    return (min(rows, DRAWS - done) for done in range(0, DRAWS, rows))
