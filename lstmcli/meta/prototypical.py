"""Prototypical networks: a text is classified by its distance to the mean embedding of each class.

    c_k = mean of e over the support of class k;   p(k | e) = softmax over k of -s |e - c_k|²

Snell, Swersky & Zemel (2017), "Prototypical Networks for Few-shot Learning", section 2.2; s is learned. Their section
2.4: |e|² is the same for every class, so this is a linear head,

    logit_k = s (2 c_k · e - |c_k|²),

so new classes need no training, and the adapted model is an ordinary classifier.
"""

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import Prototypical as Config
from lstmcli.contracts import HEAD
from lstmcli.meta.inner import Learner, Weights, embedded
from lstmcli.types import Batch, Loss

MASKED_LOGIT = -1e4  # logit of a class without support: it is never predicted


class Prototypical(Learner):
    """Prototypical networks; the scale of distances is learned."""

    uses_support_prior = whole_texts = True

    def __init__(self, model: nn.Module) -> None:
        super().__init__([f"{HEAD}.weight", f"{HEAD}.bias"])
        self.scale = nn.Parameter(model.get_parameter(f"{HEAD}.bias").new_zeros(()))  # log s

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:  # noqa: ARG002
        yield prototypes(model, support, self.scale)


def prototypes(model: nn.Module, support: Batch, scale: Tensor) -> Weights:
    """Compute the head of each task from its support. scale: log s."""
    _, embedding = embedded(model, support)
    one_hot = one_hot_targets(model, support, embedding)
    counts = one_hot.sum(dim=1)  # [task, label]
    means = one_hot.mT @ embedding / counts.clamp_min(1)[:, :, None]  # [task, label, feature]
    bias = -scale.exp() * means.square().sum(dim=-1)
    return {f"{HEAD}.weight": 2 * scale.exp() * means, f"{HEAD}.bias": bias.masked_fill(counts == 0, MASKED_LOGIT)}


def one_hot_targets(model: nn.Module, support: Batch, like: Tensor) -> Tensor:
    """Encode the support's targets one-hot, ``[task, batch, label]``, with the dtype of ``like``."""
    assert support.targets is not None
    return F.one_hot(support.targets, len(model.get_parameter(f"{HEAD}.bias"))).to(like)


def build(config: Config, model: nn.Module) -> Prototypical:  # noqa: ARG001
    """Build the learner for a model."""
    return Prototypical(model)
