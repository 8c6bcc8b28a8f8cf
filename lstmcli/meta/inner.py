"""A model at other weights than its own, which stay as they are."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.func import functional_call

from lstmcli.types import Batch, Scores


@dataclass(frozen=True)
class Substituted:
    """A Predictor: the model with the named weights in the place of its own."""

    model: nn.Module
    weights: Mapping[str, Tensor]

    def __call__(self, batch: Batch) -> Scores:
        scores: Scores = functional_call(self.model, dict(self.weights), (batch,))
        return scores
