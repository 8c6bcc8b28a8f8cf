"""Ridge regression as the inner learner: the head that fits the support best, in closed form.

    W = argmin |X W - Y|² + λ |W|² = Xᵀ (X Xᵀ + λ I)⁻¹ Y;   logits = a X' W

Bertinetto, Henriques, Torr & Vedaldi (2019), "Meta-learning with differentiable closed-form solvers", section 3.2
(R2D2). X: a row a text of the support, its embedding and a feature that is always one; Y: one where it is of a class.
The matrix to be solved has a row a text, not a feature (Woodbury). λ and a are learned; λ counts in the mean squared
length of a row, so that it means the same for every encoder. Their offset, the same for all classes, changes no
probability and is left out.
"""

import math
from collections.abc import Iterator

import torch
from torch import nn

from lstmcli.config import Ridge as Config
from lstmcli.meta.inner import HEAD, Learner, Weights, embedded
from lstmcli.meta.prototypical import MASKED_LOGIT, membership
from lstmcli.types import Batch, Loss


class Ridge(Learner):
    """Learns how strongly the head is held small, and how sharp its answers are."""

    uses_support_prior = whole_texts = True

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__([f"{HEAD}.weight", f"{HEAD}.bias"])
        like = model.get_parameter(f"{HEAD}.bias")
        self.strength = nn.Parameter(like.new_tensor(math.log(config.l2)))  # log λ
        self.sharpness = nn.Parameter(like.new_tensor(math.log(config.logit_scale)))  # log a

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:  # noqa: ARG002
        _, embedding = embedded(model, support)
        member = membership(model, support, embedding)  # [task, text, label]
        rows = torch.cat((embedding, torch.ones_like(embedding[..., :1])), dim=-1)  # [task, text, feature + 1]
        products = rows @ rows.mT  # [task, text, text]
        held = self.strength.exp() * products.diagonal(dim1=-2, dim2=-1).mean(dim=-1)  # [task]
        solved = torch.linalg.solve(products + torch.diag_embed(held[:, None].expand(products.shape[:2])), member)
        weights = self.sharpness.exp() * solved.mT @ rows  # [task, label, feature + 1]
        absent = member.sum(dim=1) == 0
        yield {f"{HEAD}.weight": weights[..., :-1], f"{HEAD}.bias": weights[..., -1].masked_fill(absent, MASKED_LOGIT)}


def build(config: Config, model: nn.Module) -> Ridge:
    """A learner for models of this kind."""
    return Ridge(config, model)
