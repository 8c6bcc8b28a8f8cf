"""The initial weights of a learner that takes steps: the model's own, or with a head of prototypes."""

from torch import nn

from lstmcli.contracts import HEAD
from lstmcli.meta.inner import Learner, Weights, expand_weights
from lstmcli.meta.prototypical import prototypes
from lstmcli.types import Batch


class Stepping(Learner):
    """A learner that takes steps.

    head_init: ``model``, or ``prototypes``, whose scale is learned.
    """

    def __init__(self, names: list[str], model: nn.Module, *, head_init: str, multi_step_loss_weight: float) -> None:
        super().__init__(names, multi_step_loss_weight)
        self.scale: nn.Parameter | None = None  # log s
        if head_init == "prototypes":
            self.whole_texts = True
            self.scale = nn.Parameter(model.get_parameter(f"{HEAD}.bias").new_zeros(()))

    def initial_weights(self, model: nn.Module, support: Batch) -> Weights:
        """Return the weights of each task before the first step; gradients flow back through them."""
        weights = expand_weights(model, self.names, len(support.tokens))
        return weights if self.scale is None else weights | prototypes(model, support, self.scale)
