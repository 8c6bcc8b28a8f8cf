"""Linear-chain conditional random field: the tags of a text are scored jointly.

    score(y) = start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t, y_{t+1}] + end[y_T]
    log p(y) = score(y) - log Σ_y' exp score(y')

Lafferty, McCallum & Pereira (2001); over an LSTM: Lample et al. (2016), section 2.2. Every function works on the whole
batch, one step per word. Emissions are ``[batch, time, label]``, lengths ``[batch]``, a chain's scores
``transitions [from, to]``, ``start [label]`` and ``end [label]``. What the tag scheme excludes has a score of
``tags.FORBIDDEN``. The best path and the probabilities of tags are in ``tasks/chain.py``.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SMALLEST = 1e-300  # lower bound of exponentials, so that their logarithm is finite


@dataclass(frozen=True)
class Chain:
    """The scores of neighbouring, first and last tags, independent of the words."""

    transitions: Tensor  # [label, label]: from row to column
    start: Tensor  # [label]
    end: Tensor  # [label]


def log_partition(chain: Chain, emissions: Tensor, lengths: Tensor) -> Tensor:
    """Compute log Σ_y exp score(y), ``[batch]``."""
    total, *_ = _LogPartition.apply(emissions, chain.transitions, chain.start, chain.end, lengths)  # type: ignore[no-untyped-call]
    return total.to(emissions.dtype)  # type: ignore[no-any-return]


def score(chain: Chain, emissions: Tensor, lengths: Tensor, tags: Tensor) -> Tensor:
    """Score one path per text, ``[batch]``. tags: ``[batch, time]``."""
    return _path_scores(chain, emissions, lengths, tags)[:, -1] + chain.end[tags.gather(1, lengths[:, None] - 1)[:, 0]]


class _LogPartition(torch.autograd.Function):
    """The log partition; its gradients, the probabilities of tags and transitions, follow from the forward and backward
    scores without another loop."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        before, after, total = _forward_backward(Chain(transitions, start, end), emissions, lengths)
        return total, before, after

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs, *output)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        emissions, *chain, lengths, total, before, after = ctx.saved_tensors
        transitions, start, end = chain
        if torch.is_grad_enabled():  # double backward: the scores need a graph
            before, after, total = _forward_backward(Chain(*chain), emissions, lengths)
        position = torch.arange(emissions.shape[1], device=emissions.device)
        scale = gradient[:, None, None] * (position < lengths[:, None])[:, :, None]  # [batch, time, 1]
        d_emissions = (before + after - total[:, None, None]).masked_fill(scale == 0, float("-inf")).exp() * scale
        # Probability of a transition: that of its second tag, times the share of the tag's forward score that it
        # carries.
        peak = before[:, :-1].amax(dim=2, keepdim=True).detach()
        weight = (before[:, :-1] - peak).exp()  # [batch, time - 1, label]
        sums = (before[:, 1:] - emissions[:, 1:] - peak).exp().clamp_min(SMALLEST)
        pairs = weight.flatten(0, 1).mT @ (d_emissions[:, 1:] / sums).flatten(0, 1)
        d_transitions = transitions.double().exp() * pairs
        d_end = (d_emissions * (position == lengths[:, None] - 1)[:, :, None]).sum(dim=(0, 1))
        gradients = (d_emissions, d_transitions, d_emissions[:, 0].sum(dim=0), d_end)
        tensors = (emissions, transitions, start, end)
        return *(part.to(tensor.dtype) for part, tensor in zip(gradients, tensors, strict=True)), None


def _forward_backward(chain: Chain, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute forward and backward scores ``[batch, time, label]`` and the log partition ``[batch]``, in float64.

    The forward score is the log-sum-exp over all paths that end in a tag, its emission included; the backward score
    that over all paths that continue from it, its emission excluded. At padding both are undefined. A step is one
    matrix product for both directions, of exponentials relative to the maximum, which is exact to e^-700 of it, instead
    of a log-sum-exp over ``[batch, label, label]``.
    """
    emissions = emissions.double()
    time = torch.arange(emissions.shape[1], device=emissions.device)
    reversed_time = lengths[:, None] - 1 - time
    order = torch.where(reversed_time >= 0, reversed_time, time)[:, :, None].expand_as(
        emissions
    )  # texts from their end
    directions = torch.stack((emissions, emissions.gather(1, order)))  # [direction, batch, time, label]
    transitions = torch.stack((chain.transitions, chain.transitions.T)).double().exp()
    scores = [torch.stack((chain.start, chain.end)).double()[:, None] + directions[:, :, 0]]
    for emission in directions.unbind(2)[1:]:
        peak = scores[-1].amax(dim=2, keepdim=True).detach()
        weight = (scores[-1] - peak).exp() @ transitions
        scores.append(weight.clamp_min(SMALLEST).log() + (emission + peak))
    before, after = torch.stack(scores, dim=2).unbind()
    last = before.gather(1, order[:, :1])[:, 0]
    return before, after.gather(1, order) - emissions, (last + chain.end).logsumexp(dim=1)


def _path_scores(chain: Chain, emissions: Tensor, lengths: Tensor, tags: Tensor) -> Tensor:
    """Score the path up to each word, ``[batch, time]``; constant from the last word on."""
    emitted = emissions.gather(2, tags[:, :, None])[:, :, 0]  # [batch, time]
    moved = torch.cat((chain.start[tags[:, :1]], chain.transitions[tags[:, :-1], tags[:, 1:]]), dim=1)
    mask = torch.arange(emissions.shape[1], device=emissions.device) < lengths[:, None]
    return ((emitted + moved) * mask).cumsum(dim=1)
