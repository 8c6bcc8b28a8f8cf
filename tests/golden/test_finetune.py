"""Fine-tuning of the head against pencil and paper."""

import pytest
import torch
from torch import nn

from lstmcli.config import Finetune
from lstmcli.meta import finetune
from lstmcli.types import Batch, ClassScores, Mean


class Line(nn.Module):
    """One weight; every text's embedding is 1."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.head = nn.Linear(1, 1, bias=False).double()
        nn.init.constant_(self.head.weight, weight)

    def forward(self, batch: Batch) -> ClassScores:
        embedding = torch.ones(len(batch.lengths), 1)
        return ClassScores(self.head(embedding.double()), embedding)


@pytest.mark.parametrize("steps", [0, 1, 7])
def test_steps_equal_the_closed_form(steps: int) -> None:
    # L(w) = (w - s)^2 / 2 + c (w - w0)^2 has its least at w* = (s + 2 c w0) / (1 + 2 c), and
    # w_k = w* + (1 - a (1 + 2 c))^k (w0 - w*).
    a, c, s, w0 = 0.1, 0.25, -2.0, 3.0
    batch = Batch(torch.ones(4, 1, dtype=torch.long), torch.ones(4, dtype=torch.long))
    adapted = finetune.adapt(
        Finetune(steps=steps, lr=a, anchor=c),
        Line(w0),
        batch,
        lambda scores, _: Mean(((scores.logits - s) ** 2 / 2).mean(), 4),
    )
    least = (s + 2 * c * w0) / (1 + 2 * c)
    expected = least + (1 - a * (1 + 2 * c)) ** steps * (w0 - least)
    assert adapted(batch).logits[0].item() == pytest.approx(expected, rel=1e-6)
