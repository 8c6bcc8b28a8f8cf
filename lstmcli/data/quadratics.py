"""Random quadratics, on which optimisers are tried: f(θ) = |W θ - y|², W and y drawn from the standard normal.

Andrychowicz et al. (2016), section 3.1. A problem is a task whose texts, so to speak, are the rows of W and whose
targets are y: what learns to adapt to tasks learns to solve problems.
"""

import numpy as np
import torch

from lstmcli.types import Batch

SIZE = 10  # dimensions


def draw(count: int, *seed: int) -> Batch:
    """``count`` problems; the seed decides all. tokens: W, ``[task, row, dimension]``; targets: y, ``[task, row]``."""
    random = np.random.default_rng(seed)
    rows, targets = (torch.from_numpy(random.standard_normal((count, *shape))).float()
                     for shape in ((SIZE, SIZE), (SIZE,)))  # fmt: skip
    return Batch(rows, torch.full((count, SIZE), SIZE), targets)
