"""Random quadratics, on which optimisers are tried: f(θ) = |W θ - y|², W and y drawn from the standard normal.

Andrychowicz et al. (2016), section 3.1. A problem is a task whose texts, so to speak, are the rows of W and whose
targets are y: what learns to adapt to tasks learns to solve problems.
"""

import numpy as np
import torch

from lstmcli.types import Batch

SIZES = (10, 1)  # of the layers that solve a problem, dimensions first
COUNT = 1000  # problems to validate on, and fresh ones to race on
PARTS = {"train": 1, "validation": 2, "test": 3}  # beside the seed of a run


def draw(count: int, part: str, *seed: int) -> Batch:
    """``count`` problems; part and seed decide all.

    tokens: W, ``[task, row, dimension]``; targets: y, ``[task, row]``.
    """
    first, *more = seed
    random = np.random.default_rng((first, PARTS[part], *more))
    size = SIZES[0]
    rows, targets = (torch.from_numpy(random.standard_normal((count, *shape))).float()
                     for shape in ((size, size), (size,)))  # fmt: skip
    return Batch(rows, torch.full((count, size), size), targets)
