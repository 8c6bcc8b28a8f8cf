"""A meta-gradient beside its finite difference."""

from typing import Any

import torch
from torch import nn

from lstmcli.types import Episode, Loss


def slope(learner: Any, net: nn.Module, given: Episode, loss: Loss) -> tuple[float, float]:
    """Of the meta-loss along a random direction in all that is learned: by autograd, and by a central difference."""
    learned = [*net.parameters(), *learner.parameters()]
    torch.manual_seed(3)
    direction = [torch.randn_like(value) for value in learned]
    gradients = torch.autograd.grad(learner.meta_loss(net, given, loss).sum(), learned, allow_unused=True)
    exact = sum(float((part * way).sum()) for part, way in zip(gradients, direction, strict=True) if part is not None)

    def shifted(size: float) -> float:
        with torch.no_grad():
            for value, way in zip(learned, direction, strict=True):
                value += size * way
            reached = learner.meta_loss(net, given, loss).sum().item()
            for value, way in zip(learned, direction, strict=True):
                value -= size * way
        return reached

    size = 1e-6  # small: the logarithm of a small gradient bends much
    return exact, (shifted(size) - shifted(-size)) / (2 * size)
