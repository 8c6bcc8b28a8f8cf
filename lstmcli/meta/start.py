"""Where a learner's steps begin: at the model's own weights, or with a head made of the support's prototypes."""

from torch import nn

from lstmcli.contracts import HEAD
from lstmcli.meta.inner import Learner, Weights, spread
from lstmcli.meta.prototypical import prototypes
from lstmcli.types import Batch


class Stepping(Learner):
    """A learner that takes steps. start: ``own`` or ``prototypes``, whose scale is learned."""

    def __init__(self, names: list[str], model: nn.Module, *, start: str, share: float) -> None:
        super().__init__(names, share)
        self.scale: nn.Parameter | None = None  # log s
        if start == "prototypes":
            self.whole_texts = True
            self.scale = nn.Parameter(model.get_parameter(f"{HEAD}.bias").new_zeros(()))

    def start(self, model: nn.Module, support: Batch) -> Weights:
        """The weights of each task before the first step; gradients flow back to what they are made of."""
        weights = spread(model, self.names, len(support.tokens))
        return weights if self.scale is None else weights | prototypes(model, support, self.scale)
