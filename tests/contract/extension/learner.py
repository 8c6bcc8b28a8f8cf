"""Gaussian classes: each class has a mean, all share a variance per feature; Bayes' rule with equal priors.

    c_k = mean of e over class k;   v = mean of (e - c_k)² + floor
    log p(k | e) = -Σ (e - c_k)² / 2 v + constant  =  (c_k / v) · e - Σ c_k² / 2 v + another constant

so an adapted model is the model with another linear head. Linear discriminant analysis (Fisher 1936) with a diagonal
covariance; floor is learned.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.contracts import HEAD
from lstmcli.meta.inner import Learner, embedded
from lstmcli.types import Batch, Loss
from tests.contract.extension.sections import Gaussian as Config

WEIGHT, BIAS = f"{HEAD}.weight", f"{HEAD}.bias"
MASKED_LOGIT = -1e4  # of a class without texts in the support


class Gaussian(Learner):
    """Learns the floor of the variances."""

    whole_texts = True  # it needs one label per text
    uses_support_prior = False  # all classes are taken for equally likely

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__([WEIGHT, BIAS])
        self.floor = nn.Parameter(model.get_parameter(BIAS).new_tensor(math.log(config.floor)))  # log floor

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[dict[str, Tensor]]:
        assert support.targets is not None
        _, features = embedded(model, support)  # [task, text, feature]
        one_hot = F.one_hot(support.targets, len(model.get_parameter(BIAS))).to(features)  # [task, text, label]
        counts = one_hot.sum(dim=1)[:, :, None]  # [task, label, 1]
        means = one_hot.mT @ features / counts.clamp_min(1)  # [task, label, feature]
        variance = (features - one_hot @ means).square().mean(dim=1, keepdim=True) + self.floor.exp()
        bias = -(means.square() / variance).sum(dim=-1) / 2
        yield {WEIGHT: means / variance, BIAS: torch.where(counts[..., 0] > 0, bias, MASKED_LOGIT)}


def build(config: Config, model: nn.Module) -> Gaussian:
    """A learner for models of this kind."""
    return Gaussian(config, model)
