"""Ridge regression as the inner learner: the head is fitted to the support in closed form.

    W = argmin |X W - Y|² + λ |W|² = Xᵀ (X Xᵀ + λ I)⁻¹ Y = (Xᵀ X + λ I)⁻¹ Xᵀ Y;   logits = a X' W

Bertinetto, Henriques, Torr & Vedaldi (2019), "Meta-learning with differentiable closed-form solvers", section 3.2
(R2D2). X has one row per text of the support: its embedding and a constant 1. Y holds the one-hot labels. The linear
system has one row per text or one per feature, whichever are fewer (Woodbury identity). λ and a are learned; λ is in
units of the mean squared norm of a row, so that one value suits every encoder. The paper's offset, the same for all
classes, changes no probability and is left out.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

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
        penalty = self.strength.exp() * rows.square().sum(dim=-1).mean(dim=-1)  # λ, [task]
        if rows.shape[1] <= rows.shape[2]:
            fitted = _penalised(rows @ rows.mT, penalty, one_hot).mT @ rows
        else:
            fitted = _penalised(rows.mT @ rows, penalty, rows.mT @ one_hot).mT
        weights = self.sharpness.exp() * fitted  # [task, label, feature + 1]
        absent = one_hot.sum(dim=1) == 0
        yield {f"{HEAD}.weight": weights[..., :-1], f"{HEAD}.bias": weights[..., -1].masked_fill(absent, MASKED_LOGIT)}


def _penalised(products: Tensor, penalty: Tensor, right: Tensor) -> Tensor:
    """Solve (products + penalty I) x = right for each task."""
    diagonal = torch.diag_embed(penalty[:, None].expand(products.shape[:2]))
    solved: Tensor = torch.linalg.solve(products + diagonal, right)
    return solved


def build(config: Config, model: nn.Module) -> Ridge:
    """Build the learner for a model."""
    return Ridge(config, model)
