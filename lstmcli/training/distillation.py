"""What a teacher says of unlabelled texts, for a model to learn.

    log q(y | x)  =  (log p(y | x) + log b(y | x)) / 2  +  constant

where p are the probabilities of the teacher, a trained classifier, and b those of the linear baseline that it carries:
the two err on different texts, and together are right more often than either. The student learns q by cross-entropy,
beside the true labels of the labelled texts. A run can also learn what the linear baseline alone says, fitted on its
own labelled texts before it begins. Hinton, Vinyals & Dean (2015), "Distilling the Knowledge in a Neural Network",
equation 1, with unlabelled texts; Xie et al. (2020), "Self-training with Noisy Student", for a student of the same kind
that learns under noise.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmcli.contracts import Task
from lstmcli.data.batches.encoded import Store, encode
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, Noted, silent
from lstmcli.inference import assemble
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.types import Example

Array = np.ndarray[Any, np.dtype[Any]]
SURE = 0.9  # of a label's probability, from which on a teacher counts as sure


def probabilities(
    path: Path,
    examples: list[Example],
    labels: tuple[str, ...],
    where: runtime.Runtime,
    *,
    cache: Path | None,
    listener: Listener = silent,
) -> Array:
    """What a teacher says, ``[text, label]``, in the order of the labels; rows sum to one. cache: for encoded texts.

    Raises:
        CheckpointError: there is no such teacher.
        ConfigError: it is not a classifier of these labels.
    """
    teacher = _teacher(path, labels)
    parts = assemble.restored(teacher, where)
    store = encode(teacher.vocabulary, examples, cache=cache, labelled=False, listener=listener)
    logits = assemble.outputs(parts, store.truncated(teacher.config.tokens), "asking the teacher", listener=listener)
    said = [parts.task.probabilities(logits, teacher.temperature)]
    fitted = {name: value.numpy() for name, value in teacher.group("baseline").items()}
    if "terms" in fitted:
        said.append(parts.task.baseline_probabilities(fitted, store.ids, store.offsets)["linear"])
    logs = np.log(np.maximum(said, 1e-12)).mean(axis=0)  # [text, label]
    together = torch.from_numpy(logs).softmax(dim=1).numpy()
    beside = f", its linear baseline agrees on {(said[0].argmax(1) == said[-1].argmax(1)).mean():.1%}" * (len(said) - 1)
    listener(Noted(_sure(path, together) + beside))
    places = [teacher.vocabulary.labels.index(label) for label in labels]
    return np.asarray(together[:, places], np.float32)


def linear_probabilities(
    task: Task, fitted: dict[str, Array], unlabelled: Store, *, listener: Listener = silent
) -> Array:
    """As ``probabilities``, of the linear baseline alone; where it knows no word, of the majority."""
    by_name = task.baseline_probabilities(fitted, unlabelled.codes, unlabelled.offsets)
    said = by_name.get("linear", by_name["majority"])
    listener(Noted(_sure("linear", said)))
    return np.asarray(said, np.float32)


def _sure(teacher: object, said: Array) -> str:
    return f"teacher ({teacher}): sure of {(said.max(axis=1) >= SURE).mean():.1%} of {len(said):,} unlabelled texts"


def _teacher(path: Path, labels: tuple[str, ...]) -> Checkpoint:
    found = checkpoints.load(path)
    if found.config.task != "classify":
        fix = "train one: lstmcli train FILE"
        raise ConfigError("the teacher does not label whole texts", where=f"train.teacher: {path}", fix=fix)
    if set(found.vocabulary.labels) != set(labels):
        what = f"the teacher knows {', '.join(found.vocabulary.labels)}; the data has {', '.join(labels)}"
        fix = "give a teacher that was trained on data with these labels"
        raise ConfigError(what, where=f"train.teacher: {path}", fix=fix)
    return found
