"""Reptile: weights near to where many steps on each task lead.

    w <- w - outer rate * mean over tasks of (w - w_K)

Nichol, Achiam & Schulman (2018), "On First-Order Meta-Learning Algorithms", section 3, with tasks in batches. It has
no second derivatives and needs no query: the texts of both parts of an episode are learned from.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import Reptile as Config
from lstmcli.meta.inner import Learner, Weights, descend, flatten, moving, spread
from lstmcli.types import Batch, Episode, Loss


class Reptile(Learner):
    """Learns nothing of its own."""

    def __init__(self, config: Config, names: list[str]) -> None:
        super().__init__(names)
        self.config = config

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        losses = self.losses(model, support, loss)
        start = spread(model, self.names, len(support.tokens))
        return descend(losses, start, lambda *_: self.config.lr, steps=self.config.steps)

    def meta_loss(self, model: nn.Module, episode: Episode, loss: Loss) -> Tensor:
        """Half the squared way from the weights to where the steps lead, ``[task]``: its gradient is w - w_K.

        In its value the loss at w_K stands in, which is what one wants to watch.
        """
        every = _both(episode)
        start = spread(model, self.names, len(every.tokens))
        *_, end = self.trajectory(model, every, loss)
        ways = [flatten(start[name] - end[name].detach()).square().sum(dim=1) for name in self.names]
        way = torch.stack(ways).sum(dim=0) / 2
        with torch.no_grad():
            reached = self.losses(model, every, loss)(end)
        return reached + way - way.detach()


def _both(episode: Episode) -> Batch:
    support, query = episode.support, episode.query
    time = max(support.tokens.shape[-1], query.tokens.shape[-1])
    tokens = [F.pad(part.tokens, (0, time - part.tokens.shape[-1])) for part in (support, query)]
    assert support.targets is not None
    assert query.targets is not None
    return Batch(
        torch.cat(tokens, dim=1),
        torch.cat((support.lengths, query.lengths), dim=1),
        torch.cat((support.targets, query.targets), dim=1),
    )


def build(config: Config, model: nn.Module) -> Reptile:
    """A learner for models of this kind."""
    return Reptile(config, moving(model, config.adapted_parameters))
