"""Shifts of embedded words that hurt most, each text's by a vector r of one size; e are its embedded words.

Adversarial training learns each batch twice, the second time where its loss is greatest:

    L(e) + L(e + r),    r = size * g / |g|,  g = dL/de

Virtual adversarial training needs no labels. What is said of a text, p, is to stay as it is where it moves most:

    KL(p(e) || p(e + r)),    r = size * g / |g|,  g = d KL(p(e) || p(e + d)) / dd,  d random and of that size

Miyato, Dai & Goodfellow (2017), "Adversarial Training Methods for Semi-Supervised Text Classification", equations 4, 5
and 7, 8, without the normalisation of the embedding. Dropout is drawn again for the second reading of the first; in the
second it is the same in all readings, so that only the shift moves anything.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from lstmcli.types import Mean

Scores = TypeVar("Scores")


class Adversary:
    """Watches and shifts what the embedding of a model puts out, while a loss is worked out."""

    def __init__(self, embedding: nn.Embedding) -> None:
        self._width = embedding.embedding_dim
        self._watching = False
        self._embedded: Tensor | None = None
        self._shift: Tensor | None = None
        embedding.register_forward_hook(self._seen)

    def _seen(self, _: nn.Module, __: object, embedded: Tensor) -> Tensor:
        if self._shift is not None:
            return embedded + self._shift
        if self._watching:
            embedded.retain_grad()
            self._embedded = embedded
        return embedded

    def loss(self, loss_of: Callable[[], Mean], size: float) -> Mean:
        """L(e + r); the gradient of L(e) already lies on the weights, so that its graph need not be held.

        loss_of: the loss of one batch; called twice.
        """
        self._watching = True
        try:
            loss_of().value.backward()  # type: ignore[no-untyped-call]
        finally:
            self._watching = False
        assert self._embedded is not None
        assert self._embedded.grad is not None
        self._shift = _sized(self._embedded.grad, size)
        try:
            return loss_of()
        finally:
            self._shift = self._embedded = None

    def virtual(
        self,
        scores_of: Callable[[], Scores],
        divergence: Callable[[Scores, Scores], Tensor],
        tokens: Tensor,
        size: float,
    ) -> Tensor:
        """KL(p(e) || p(e + r)), a mean over texts.

        scores_of: those of one batch; called three times. divergence: of scores from others; tokens: the batch's,
        ``[batch, time]``.
        """
        drawn = _sized(torch.randn(*tokens.shape, self._width, device=tokens.device), size).requires_grad_()
        devices = [tokens.device] if tokens.is_cuda else []
        try:
            with torch.random.fork_rng(devices), torch.no_grad():
                before = scores_of()
            self._shift = drawn
            with torch.random.fork_rng(devices):
                (gradient,) = torch.autograd.grad(divergence(scores_of(), before), drawn)
            self._shift = _sized(gradient, size)
            return divergence(scores_of(), before)
        finally:
            self._shift = None


def _sized(shift: Tensor, size: float) -> Tensor:
    """Each text's at that size. shift: ``[batch, time, embedding]``."""
    norm: Tensor = shift.flatten(1).norm(dim=1)[:, None, None]
    return size * shift / norm.clamp_min(1e-12)
