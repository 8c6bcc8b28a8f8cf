"""The best path and the probabilities of a linear-chain conditional random field, in numpy: what is done with the
emissions once they are computed, by torch or by ONNX Runtime.

    score(y) = start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t, y_{t+1}] + end[y_T]
    p(y) = exp score(y) / Σ_y' exp score(y')

Lafferty, McCallum & Pereira (2001). Every function works on the whole batch, one step per word, in float64:
probabilities are differences of sums over the text, which lose precision in float32 if the text is long. Emissions are
``[batch, time, tag]``, lengths ``[batch]``. The training loss is in ``models/crf.py``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
SMALLEST = 1e-300  # lower bound of exponentials, so that their logarithm is finite


@dataclass(frozen=True, eq=False)
class Chain:
    """The scores of neighbouring, first and last tags, independent of the words."""

    transitions: Array  # [tag, tag]: from row to column
    start: Array  # [tag]
    end: Array  # [tag]


def best(chain: Chain, emissions: Array, lengths: Array) -> Array:
    """Find the path with the highest score, ``[batch, time]``, 0 at padding. Viterbi (1967).

    The tag before is found on the way back, for the one tag that is on the path.
    """
    rows, time = np.arange(len(emissions)), emissions.shape[1]
    scores = np.empty((time, *emissions[:, 0].shape))  # of the best path that ends in each tag
    scores[0] = chain.start + emissions[:, 0]
    for step in range(1, time):
        before = (scores[step - 1][:, :, None] + chain.transitions).max(axis=1)
        inside = (step < lengths)[:, None]
        scores[step] = np.where(inside, before + emissions[:, step], scores[step - 1])
    tags = np.empty((len(emissions), time), np.int64)
    tags[:, -1] = (scores[-1] + chain.end).argmax(axis=1)
    into = chain.transitions.T  # [to, from]
    for step in range(time - 1, 0, -1):
        before = (scores[step - 1] + into[tags[:, step]]).argmax(axis=1)
        tags[:, step - 1] = np.where(step < lengths, before, tags[:, step])
    found: Array = tags * (np.arange(time) < lengths[rows, None])
    return found


def marginals(chain: Chain, emissions: Array, lengths: Array) -> Array:
    """Compute the probability of each tag at each word, ``[batch, time, tag]``, zero at padding."""
    return probabilities(chain, emissions, lengths, np.zeros(emissions.shape[:2], np.int64))[0]


def probabilities(chain: Chain, emissions: Array, lengths: Array, tags: Array) -> tuple[Array, Array, Array]:
    """Compute the marginals, and the terms from which the log probability of any segment of the path ``tags`` follows.

    Returns:
        The marginals ``[batch, time, tag]``, and ``first`` and ``second``, ``[batch, time]`` each, such that
        log p(y_i … y_j as in tags) = first[i] + second[j]. ``first`` is the forward score at word i minus the score of
        the path so far; ``second`` is the backward score at word j plus it, minus the log partition.
    """
    before, after, total = _forward_backward(chain, emissions, lengths)
    mask = np.arange(emissions.shape[1]) < lengths[:, None]
    marginal = np.exp(np.where(mask[:, :, None], before + after - total[:, None, None], -np.inf))
    position = tags[:, :, None]
    along = _path_scores(chain, emissions, mask, tags)
    first = np.take_along_axis(before, position, 2)[:, :, 0] - along
    second = np.take_along_axis(after, position, 2)[:, :, 0] + along - total[:, None]
    return marginal, first, second


def _forward_backward(chain: Chain, emissions: Array, lengths: Array) -> tuple[Array, Array, Array]:
    """Compute forward and backward scores ``[batch, time, tag]`` and the log partition ``[batch]``.

    The forward score is the log-sum-exp over all paths that end in a tag, its emission included; the backward score
    that over all paths that continue from it, its emission excluded. At padding both are undefined. A step is one
    matrix product per direction, of exponentials relative to the maximum, which is exact to e^-700 of it.
    """
    rows, time = np.arange(len(emissions)), np.arange(emissions.shape[1])
    reversed_time = lengths[:, None] - 1 - time
    order = np.where(reversed_time >= 0, reversed_time, time)  # texts from their end
    directions = np.stack((emissions, emissions[rows[:, None], order]))  # [direction, batch, time, tag]
    transitions = np.exp(np.stack((chain.transitions, chain.transitions.T)))
    scores = np.empty((len(time), 2, *emissions[:, 0].shape))
    scores[0] = np.stack((chain.start, chain.end))[:, None] + directions[:, :, 0]
    for step in range(1, len(time)):
        peak = scores[step - 1].max(axis=2, keepdims=True)
        weight = np.exp(scores[step - 1] - peak) @ transitions
        scores[step] = np.log(np.maximum(weight, SMALLEST)) + directions[:, :, step] + peak
    before, after = scores.transpose(1, 2, 0, 3)
    ended = before[rows, lengths - 1] + chain.end
    peak = ended.max(axis=1, keepdims=True)
    total = np.log(np.exp(ended - peak).sum(axis=1)) + peak[:, 0]
    return before, after[rows[:, None], order] - emissions, total


def _path_scores(chain: Chain, emissions: Array, mask: Array, tags: Array) -> Array:
    """Score the path up to each word, ``[batch, time]``; constant from the last word on. mask: true at words."""
    emitted = np.take_along_axis(emissions, tags[:, :, None], 2)[:, :, 0]
    moved = np.concatenate((chain.start[tags[:, :1]], chain.transitions[tags[:, :-1], tags[:, 1:]]), axis=1)
    found: Array = ((emitted + moved) * mask).cumsum(axis=1)
    return found
