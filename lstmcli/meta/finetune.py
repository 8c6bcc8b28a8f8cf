"""Fine-tuning on the support set: the baseline learner, without meta-training.

Gradient steps on the adapted parameters, with an L2 penalty towards the initial weights (L2-SP: Li, Grandvalet &
Davoine 2018, "Explicit Inductive Bias for Transfer Learning"), because a few texts determine few weights.
"""

from collections.abc import Iterator

import torch
from torch import nn

from lstmcli.config import Finetune as Config
from lstmcli.meta.inner import Learner, Weights, adapted_names, descend, expand_weights
from lstmcli.types import Batch, Loss


class Finetune(Learner):
    """Fine-tuning; it has no parameters of its own."""

    uses_support_prior = True
    exact_gradient = False  # it has no meta-gradient

    def __init__(self, config: Config, names: list[str]) -> None:
        super().__init__(names)
        self.config = config

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        with torch.no_grad():
            losses = self.losses(model, support, loss)
        start = {name: value.detach() for name, value in expand_weights(model, self.names, len(support.tokens)).items()}
        return descend(losses, start, lambda *_: self.config.lr, steps=self.config.steps, anchor=self.config.anchor)


def build(config: Config, model: nn.Module) -> Finetune:
    """Build the learner for a model."""
    return Finetune(config, adapted_names(model, config.adapted_parameters))
