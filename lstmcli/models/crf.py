"""Linear-chain conditional random field: tags scored together, so that each knows its neighbours.

    score(y) = start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t, y_{t+1}] + end[y_T]
    log p(y) = score(y) - log Σ_y' exp score(y')

Lafferty, McCallum & Pereira (2001); over an LSTM: Lample et al. (2016), section 2.2. Everything runs over the whole
batch at once, one step a word. Emissions are ``[batch, time, label]``, lengths ``[batch]``, a chain's scores
``transitions [from, to]``, ``start [label]`` and ``end [label]``; what must not be has a score of ``FORBIDDEN``.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SMALLEST = 1e-300  # a weight below counts as this
FORBIDDEN = -1e4  # added to a score: its probability is zero in every precision, and differences stay numbers


@dataclass(frozen=True)
class Chain:
    """What tags say of each other, whatever the words."""

    transitions: Tensor  # [label, label]: from row to column
    start: Tensor  # [label]
    end: Tensor  # [label]


def log_partition(chain: Chain, emissions: Tensor, lengths: Tensor) -> Tensor:
    """log Σ_y exp score(y), ``[batch]``."""
    total, *_ = _LogPartition.apply(emissions, chain.transitions, chain.start, chain.end, lengths)  # type: ignore[no-untyped-call]
    return total.to(emissions.dtype)  # type: ignore[no-any-return]


def score(chain: Chain, emissions: Tensor, lengths: Tensor, tags: Tensor) -> Tensor:
    """The score of one path each, ``[batch]``. tags: ``[batch, time]``."""
    return _running(chain, emissions, lengths, tags)[:, -1] + chain.end[tags.gather(1, lengths[:, None] - 1)[:, 0]]


def best(chain: Chain, emissions: Tensor, lengths: Tensor) -> Tensor:
    """The path of the highest score, ``[batch, time]``, 0 at padding. Viterbi (1967)."""
    reached = chain.start + emissions[:, 0]
    back = []  # [batch, label] each: from where a tag is best reached
    for step, emission in enumerate(emissions.unbind(1)[1:], 1):
        candidates, origin = (reached[:, :, None] + chain.transitions).max(dim=1)
        going = (step < lengths)[:, None]
        reached = torch.where(going, candidates + emission, reached)
        back.append(torch.where(going, origin, torch.arange(origin.shape[1], device=origin.device)))
    tag = (reached + chain.end).argmax(dim=-1, keepdim=True)  # [batch, 1]
    path = [tag]
    for origin in reversed(back):
        tag = origin.gather(1, tag)
        path.append(tag)
    tags = torch.cat(path[::-1], dim=1)
    return tags * (torch.arange(tags.shape[1], device=tags.device) < lengths[:, None])


def marginals(chain: Chain, emissions: Tensor, lengths: Tensor) -> Tensor:
    """The probability of each tag at each word, ``[batch, time, label]``, zero at padding."""
    return probabilities(chain, emissions, lengths, lengths.new_zeros(emissions.shape[:2]))[0]


def probabilities(chain: Chain, emissions: Tensor, lengths: Tensor, tags: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The marginals, and of the path ``tags`` two ``[batch, time]`` whose sum tells the probability of any stretch of
    it.

    log p(y_i … y_j as in tags) = first[i] + second[j]: what leads up to word i, the scores along the path, and what
    may follow word j.
    """
    before, after, total = _both(chain, emissions, lengths)
    mask = torch.arange(emissions.shape[1], device=emissions.device) < lengths[:, None]
    marginal = (before + after - total[:, None, None]).masked_fill(~mask[:, :, None], float("-inf")).exp()
    position = tags[:, :, None]
    along = _running(chain, emissions.double(), lengths, tags)
    first = before.gather(2, position)[:, :, 0] - along
    second = after.gather(2, position)[:, :, 0] + along - total[:, None]
    return marginal.to(emissions.dtype), first.to(emissions.dtype), second.to(emissions.dtype)


class _LogPartition(torch.autograd.Function):
    """Its gradient is the probability of each tag and of each move, which both directions' scores tell without a
    loop."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        before, after, total = _both(Chain(transitions, start, end), emissions, lengths)
        return total, before, after

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs, *output)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        emissions, *chain, lengths, total, before, after = ctx.saved_tensors
        transitions, start, end = chain
        if torch.is_grad_enabled():  # a second derivative may be wanted
            before, after, total = _both(Chain(*chain), emissions, lengths)
        position = torch.arange(emissions.shape[1], device=emissions.device)
        share = gradient[:, None, None] * (position < lengths[:, None])[:, :, None]  # [batch, time, 1]
        tags = (before + after - total[:, None, None]).masked_fill(share == 0, float("-inf")).exp() * share
        # A move's probability is its part of all that leads to a tag, times the tag's.
        peak = before[:, :-1].amax(dim=2, keepdim=True).detach()
        weight = (before[:, :-1] - peak).exp()  # [batch, time - 1, label]
        led = (before[:, 1:] - emissions[:, 1:] - peak).exp().clamp_min(SMALLEST)
        moves = transitions.double().exp() * (weight.flatten(0, 1).mT @ (tags[:, 1:] / led).flatten(0, 1))
        lasts = tags * (position == lengths[:, None] - 1)[:, :, None]
        parts = (tags, moves, tags[:, 0].sum(dim=0), lasts.sum(dim=(0, 1)))
        given = (emissions, transitions, start, end)
        return *(part.to(own.dtype) for part, own in zip(parts, given, strict=True)), None


def _both(chain: Chain, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Forward scores and backward scores ``[batch, time, label]``, and the log partition ``[batch]``, in float64.

    The log-sum over all paths that end in a tag, its emission counted, and over all that go on from it, not counted;
    at padding they mean nothing. A step is one matrix product for both, of weights relative to the greatest, where
    nothing within e^-700 of it is lost, instead of a log-sum-exp over ``[batch, label, label]``.
    """
    emissions = emissions.double()
    time = torch.arange(emissions.shape[1], device=emissions.device)
    turned = lengths[:, None] - 1 - time
    order = torch.where(turned >= 0, turned, time)[:, :, None].expand_as(emissions)  # each text from its end
    directions = torch.stack((emissions, emissions.gather(1, order)))  # [direction, batch, time, label]
    moves = torch.stack((chain.transitions, chain.transitions.T)).double().exp()
    reached = [torch.stack((chain.start, chain.end)).double()[:, None] + directions[:, :, 0]]
    for emission in directions.unbind(2)[1:]:
        peak = reached[-1].amax(dim=2, keepdim=True).detach()
        weight = (reached[-1] - peak).exp() @ moves
        reached.append(weight.clamp_min(SMALLEST).log() + (emission + peak))
    before, after = torch.stack(reached, dim=2).unbind()
    last = before.gather(1, order[:, :1])[:, 0]
    return before, after.gather(1, order) - emissions, (last + chain.end).logsumexp(dim=1)


def _running(chain: Chain, emissions: Tensor, lengths: Tensor, tags: Tensor) -> Tensor:
    """The score of a path up to each word, ``[batch, time]``; constant from the last word on."""
    own = emissions.gather(2, tags[:, :, None])[:, :, 0]  # [batch, time]
    step = torch.cat((chain.start[tags[:, :1]], chain.transitions[tags[:, :-1], tags[:, 1:]]), dim=1)
    mask = torch.arange(emissions.shape[1], device=emissions.device) < lengths[:, None]
    return ((own + step) * mask).cumsum(dim=1)
