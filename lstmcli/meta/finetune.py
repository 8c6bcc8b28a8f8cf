"""Fine-tuning on the support set: the learner that needs no meta-training, and the one that others must beat.

Gradient steps, of the head alone or of more, with an anchor that holds the weights near those they came with (L2-SP:
Li, Grandvalet & Davoine 2018, "Explicit Inductive Bias for Transfer Learning"), since a few texts decide little.
"""

from collections.abc import Iterator

import torch
from torch import nn

from lstmcli.config import Finetune as Config
from lstmcli.meta.inner import Learner, Weights, descend, moving, spread
from lstmcli.types import Batch, Loss


class Finetune(Learner):
    """Learns nothing of its own."""

    uses_support_prior = True

    def __init__(self, config: Config, names: list[str]) -> None:
        super().__init__(names)
        self.config = config

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        with torch.no_grad():
            losses = self.losses(model, support, loss)
        start = {name: value.detach() for name, value in spread(model, self.names, len(support.tokens)).items()}
        return descend(losses, start, lambda *_: self.config.lr, steps=self.config.steps, anchor=self.config.anchor)


def build(config: Config, model: nn.Module) -> Finetune:
    """A learner for models of this kind."""
    return Finetune(config, moving(model, config.adapted_parameters))
