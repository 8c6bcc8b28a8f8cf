"""Problems for the optimiser benchmark: quadratics f(θ) = |W θ - y|², W and y drawn from the standard normal.

Andrychowicz et al. (2016), section 3.1. A problem is a task with the rows of W as inputs and y as targets, so that the
few-shot learners can be trained on it unchanged.
"""

import numpy as np
import torch

from lstmcli.types import Batch

SIZES = (10, 1)  # of the network's layers: dimensions, then outputs
COUNT = 1000  # validation problems, and test problems
PARTS = {"train": 1, "validation": 2, "test": 3}  # combined with the seed of a run


def draw(count: int, part: str, *seed: int) -> Batch:
    """Draw problems, determined by part and seed.

    Returns:
        tokens: W, ``[task, row, dimension]``; targets: y, ``[task, row]``.
    """
    first, *more = seed
    random = np.random.default_rng((first, PARTS[part], *more))
    size = SIZES[0]
    rows, targets = (torch.from_numpy(random.standard_normal((count, *shape))).float()
                     for shape in ((size, size), (size,)))  # fmt: skip
    return Batch(rows, torch.full((count, size), size), targets)
