"""Adversarial training: learn each batch twice, the second time with its embedded words shifted to where it hurts most.

    r = size * g / |g|,  g = dL/de;    loss = L(e) + L(e + r)

for each text, where e are its embedded words; dropout is drawn anew for the second reading. Miyato, Dai & Goodfellow
(2017), "Adversarial Training Methods for Semi-Supervised Text Classification", equations 4 and 5, without the
normalisation of the embedding.
"""

from collections.abc import Callable

from torch import Tensor, nn

from lstmcli.types import Mean


class Adversary:
    """Watches and shifts what the embedding of a model in training puts out."""

    def __init__(self, embedding: nn.Module, size: float) -> None:
        self._size = size
        self._embedded: Tensor | None = None
        self._shift: Tensor | None = None
        embedding.register_forward_hook(self._seen)

    def _seen(self, embedding: nn.Module, _: object, embedded: Tensor) -> Tensor:
        if self._shift is not None:
            return embedded + self._shift
        if embedding.training:
            embedded.retain_grad()
            self._embedded = embedded
        return embedded

    def loss(self, loss_of: Callable[[], Mean]) -> Mean:
        """L(e + r); the gradient of L(e) already lies on the weights, so that its graph need not be held.

        loss_of: the loss of one batch; called twice.
        """
        loss_of().value.backward()  # type: ignore[no-untyped-call]
        assert self._embedded is not None
        assert self._embedded.grad is not None
        gradient = self._embedded.grad  # [batch, time, embedding]
        norm = gradient.flatten(1).norm(dim=1)[:, None, None]
        self._shift = self._size * gradient / norm.clamp_min(1e-12)
        try:
            return loss_of()
        finally:
            self._shift = self._embedded = None
