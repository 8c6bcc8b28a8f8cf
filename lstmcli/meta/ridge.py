"""Ridge regression as the inner learner: the head is fitted to the support in closed form.

    W = argmin |X W - Y|² + λ |W|² = Xᵀ (X Xᵀ + λ I)⁻¹ Y;   logits = a X' W

Bertinetto, Henriques, Torr & Vedaldi (2019), "Meta-learning with differentiable closed-form solvers", section 3.2
(R2D2). X has one row per text of the support: its embedding and a constant 1. Y holds the one-hot labels. The linear
system has one row per text instead of one per feature (Woodbury identity). λ and a are learned; λ is in units of the
mean squared norm of a row, so that one value suits every encoder. The paper's offset, the same for all classes, changes
no probability and is left out.
"""

import math
from collections.abc import Iterator

import torch
from torch import nn

from lstmcli.config import Ridge as Config
from lstmcli.contracts import HEAD
from lstmcli.meta.inner import Learner, Weights, embedded
from lstmcli.meta.prototypical import MASKED_LOGIT, one_hot_targets
from lstmcli.types import Batch, Loss


class Ridge(Learner):
    """Ridge regression; λ and the scale of the logits are learned, under the names that checkpoints store."""

    uses_support_prior = whole_texts = True

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__([f"{HEAD}.weight", f"{HEAD}.bias"])
        like = model.get_parameter(f"{HEAD}.bias")
        self.strength = nn.Parameter(like.new_tensor(math.log(config.l2)))  # log λ
        self.sharpness = nn.Parameter(like.new_tensor(math.log(config.logit_scale)))  # log a

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:  # noqa: ARG002
        _, embedding = embedded(model, support)
        one_hot = one_hot_targets(model, support, embedding)  # [task, text, label]
        rows = torch.cat((embedding, torch.ones_like(embedding[..., :1])), dim=-1)  # [task, text, feature + 1]
        products = rows @ rows.mT  # [task, text, text]
        penalty = self.strength.exp() * products.diagonal(dim1=-2, dim2=-1).mean(dim=-1)  # λ, [task]
        solved = torch.linalg.solve(products + torch.diag_embed(penalty[:, None].expand(products.shape[:2])), one_hot)
        weights = self.sharpness.exp() * solved.mT @ rows  # [task, label, feature + 1]
        absent = one_hot.sum(dim=1) == 0
        yield {f"{HEAD}.weight": weights[..., :-1], f"{HEAD}.bias": weights[..., -1].masked_fill(absent, MASKED_LOGIT)}


def build(config: Config, model: nn.Module) -> Ridge:
    """Build the learner for a model."""
    return Ridge(config, model)
