"""Class priors of a few-shot task: what a score assumes of the probabilities of the classes.

A model that was trained on texts as they are found, or meta-trained on natural queries, has the priors of its training
data; one that was meta-trained on balanced queries has equal priors; fine-tuning, and heads made of the support, take
over those of the support. Where others are requested, the probability of each class is multiplied by the requested
prior over the present one, and all are normalised again (Saerens et al. 2002).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstmcli.data.batches import episodes
from lstmcli.data.batches.episodes import Draw
from lstmcli.storage.checkpoint import Checkpoint

Array = np.ndarray[Any, np.dtype[Any]]


def shifts(checkpoint: Checkpoint, drawn: Sequence[Draw], prior: str, own: str) -> list[Array]:
    """What moves the log probabilities of each episode, ``[label]``, from the prior ``own`` to the requested one."""
    known = checkpoint.progress.get("shares", {})
    return [log_probabilities(one, known, prior) - log_probabilities(one, known, own) for one in drawn]


def log_probabilities(one: Draw, known: dict[str, dict[str, float]], prior: str) -> Array:
    """The log prior of each class of an episode, ``[label]``. prior: support, source or uniform."""
    priors: Array = np.ones(len(one.labels))
    if prior == "support":
        priors = np.bincount(one.support_targets, minlength=len(one.labels)) + 1e-9
    elif prior == "source" and known:
        of_kind = known.get(episodes.kind(one.domain), known[""])
        priors = np.array([of_kind.get(label, 1e-9) for label in one.labels])
    log: Array = np.log(priors / priors.sum())
    return log


def shifted(probabilities: Array, shift: Array) -> Array:
    """The probabilities ``[text, label]`` under another prior."""
    moved: Array = probabilities * np.exp(shift)
    moved /= moved.sum(axis=1, keepdims=True)
    return moved
