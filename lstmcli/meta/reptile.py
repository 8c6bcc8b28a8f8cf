"""Reptile: the weights move towards the adapted weights of each task.

    w <- w - outer rate * mean over tasks of (w - w_K)

Nichol, Achiam & Schulman (2018), "On First-Order Meta-Learning Algorithms", section 3, with tasks in batches. It has
no second derivatives and needs no query: it trains on support and query together.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import Reptile as Config
from lstmcli.meta.inner import Learner, Weights, adapted_names, descend, expand_weights, flatten
from lstmcli.types import Batch, Episode, Loss


class Reptile(Learner):
    """Reptile; it has no parameters of its own."""

    exact_gradient = False  # its meta-gradient is the difference to the adapted weights

    def __init__(self, config: Config, names: list[str]) -> None:
        super().__init__(names)
        self.config = config

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        losses = self.losses(model, support, loss)
        start = expand_weights(model, self.names, len(support.tokens))
        return descend(losses, start, lambda *_: self.config.lr, steps=self.config.steps)

    def meta_loss(self, model: nn.Module, episode: Episode, loss: Loss) -> Tensor:
        """Return a tensor ``[task]`` whose gradient is w - w_K, that of half their squared distance.

        Its value is the loss at w_K, which is the informative figure in a log.
        """
        every = _merged(episode)
        start = expand_weights(model, self.names, len(every.tokens))
        *_, end = self.trajectory(model, every, loss)
        squares = [flatten(start[name] - end[name].detach()).square().sum(dim=1) for name in self.names]
        squared_distance = torch.stack(squares).sum(dim=0) / 2
        with torch.no_grad():
            losses = self.losses(model, every, loss)(end)
        return losses + squared_distance - squared_distance.detach()


def _merged(episode: Episode) -> Batch:
    """Join support and query to one batch."""
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
    """Build the learner for a model."""
    return Reptile(config, adapted_names(model, config.adapted_parameters))
