"""Adversarial and virtual adversarial training: perturbations r of the word embeddings e of a text.

Adversarial training adds the loss at the perturbation that increases it most:

    L(e) + L(e + r),    r = ε g / |g|,  g = dL/de

Virtual adversarial training needs no labels. It penalises the change of the predicted probabilities p at the
perturbation that changes them most:

    KL(p(e) || p(e + r)),    r = ε g / |g|,  g = d KL(p(e) || p(e + d)) / dd,  d random with |d| = ε

Miyato, Dai & Goodfellow (2017), "Adversarial Training Methods for Semi-Supervised Text Classification", equations 4, 5
and 7, 8, without the normalisation of the embedding. The two passes of adversarial training draw different dropout
masks; all passes of virtual adversarial training share one, so that only the perturbation changes the output.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import TypeVar

import torch
from torch import Tensor, nn

from lstmcli.types import Mean

Scores = TypeVar("Scores")


class Adversary:
    """A hook on the embedding of a model that records its output, or adds a perturbation to it."""

    def __init__(self, embedding: nn.Embedding) -> None:
        self._width = embedding.embedding_dim
        self._recording = False
        self._embedded: Tensor | None = None
        self._perturbation: Tensor | None = None
        embedding.register_forward_hook(self._hook)

    def _hook(self, _: nn.Module, __: object, embedded: Tensor) -> Tensor:
        if self._perturbation is not None:
            return embedded + self._perturbation
        if self._recording:
            embedded.retain_grad()
            self._embedded = embedded
        return embedded

    def loss(
        self, loss_of: Callable[[], Mean], epsilon: float, weighted: Callable[[Mean], Tensor] = attrgetter("value")
    ) -> Mean:
        """Compute L(e + r). The gradient of L(e) is accumulated in the weights here, so that its graph is freed.

        Args:
            loss_of: Computes the loss of one batch; called twice.
            epsilon: The norm of the perturbation.
            weighted: The value to differentiate of a loss: as a part of the step's, where several processes take it.
        """
        self._recording = True
        try:
            weighted(loss_of()).backward()  # type: ignore[no-untyped-call]
        finally:
            self._recording = False
        assert self._embedded is not None
        assert self._embedded.grad is not None
        self._perturbation = _scaled(self._embedded.grad, epsilon)
        try:
            return loss_of()
        finally:
            self._perturbation = self._embedded = None

    def virtual(
        self,
        scores_of: Callable[[], Scores],
        divergence: Callable[[Scores, Scores], Tensor],
        tokens: Tensor,
        epsilon: float,
    ) -> Tensor:
        """Compute KL(p(e) || p(e + r)), a mean over texts.

        Args:
            scores_of: Computes the scores of one batch; called three times.
            divergence: Computes the divergence of scores from others.
            tokens: Of the batch, ``[batch, time]``.
            epsilon: The norm of the perturbation.
        """
        drawn = _scaled(torch.randn(*tokens.shape, self._width, device=tokens.device), epsilon).requires_grad_()
        devices = [tokens.device] if tokens.is_cuda else []
        try:
            with torch.random.fork_rng(devices), torch.no_grad():
                before = scores_of()
            self._perturbation = drawn
            with torch.random.fork_rng(devices):
                (gradient,) = torch.autograd.grad(divergence(scores_of(), before), drawn)
            self._perturbation = _scaled(gradient, epsilon)
            return divergence(scores_of(), before)
        finally:
            self._perturbation = None


def _scaled(direction: Tensor, norm: float) -> Tensor:
    """Scale each text's direction to the norm. direction: ``[batch, time, embedding]``."""
    current: Tensor = direction.flatten(1).norm(dim=1)[:, None, None]
    return norm * direction / current.clamp_min(1e-12)
