"""Class priors of few-shot tasks.

A model trained on ordinary texts, or meta-trained on natural queries, has the priors of its training data; a model
meta-trained on balanced queries has uniform priors; after fine-tuning, or with a head computed from the support, it has
those of the support. To score under other priors, each probability is multiplied by the ratio of new to old prior, and
all are normalised (Saerens et al. 2002).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstmcli.contracts import Task
from lstmcli.data.batches import episodes
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.episodes import Draw
from lstmcli.storage.checkpoint import Checkpoint

Array = np.ndarray[Any, np.dtype[Any]]


def shifts(checkpoint: Checkpoint, drawn: Sequence[Draw], prior: str, old_prior: str) -> list[Array]:
    """Compute what to add to the log probabilities of each episode to move them from the old prior to ``prior``,
    ``[label]`` each."""
    known = checkpoint.progress.get("shares", {})
    return [log_probabilities(one, known, prior) - log_probabilities(one, known, old_prior) for one in drawn]


def log_probabilities(one: Draw, known: dict[str, dict[str, float]], prior: str) -> Array:
    """Return the log prior of each class of an episode, ``[label]``. prior: support, source or uniform."""
    priors: Array = np.ones(len(one.labels))
    if prior == "support":
        priors = np.bincount(one.support_targets, minlength=len(one.labels)) + 1e-9
    elif prior == "source" and known:
        of_kind = known.get(episodes.kind(one.domain), known[""])
        priors = np.array([of_kind.get(label, 1e-9) for label in one.labels])
    log: Array = np.log(priors / priors.sum())
    return log


def shifted(probabilities: Array, shift: Array) -> Array:
    """Compute the probabilities under another prior, ``[text, label]``. shift: ``[label]``."""
    weighted: Array = probabilities * np.exp(shift)
    weighted /= weighted.sum(axis=1, keepdims=True)
    return weighted


def of_linear(task: Task, fitted: dict[str, Array], store: Store) -> Array:
    """Compute the probabilities of the linear baseline, of the majority if it has no terms, ``[text, label]``; of one
    fitted with class weights those under the class frequencies of its texts."""
    by_name = task.baseline_probabilities(fitted, store.codes, store.offsets)
    found = by_name.get("linear", by_name["majority"])
    return shifted(found, -np.log(fitted["class_weights"])) if "class_weights" in fitted else found
