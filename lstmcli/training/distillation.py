"""Distillation: soft labels for unlabelled texts from a teacher.

    log q(y | x)  =  (log p(y | x) + log b(y | x)) / 2  +  constant

where p are the probabilities of the teacher, a trained classifier, and b those of the linear baseline in its
checkpoint, or of the run's own where that holds none. The two err on different texts, and their ensemble is more
accurate than either. The student minimises the cross-entropy with q, besides that of the labelled texts.
``train.teacher: linear`` uses the linear baseline of the run alone. Hinton, Vinyals & Dean (2015), "Distilling the
Knowledge in a Neural Network", equation 1, with unlabelled texts; Xie et al. (2020), "Self-training with Noisy
Student", for a student of the same size that is trained with noise.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmcli.contracts import Task
from lstmcli.data.batches.encoded import Store, encode
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, Noted, silent
from lstmcli.inference import assemble, priors
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.types import Example

Array = np.ndarray[Any, np.dtype[Any]]
SURE = 0.9  # probability of a label from which a teacher counts as sure


def probabilities(
    path: Path,
    examples: Sequence[Example],
    labels: tuple[str, ...],
    where: runtime.Runtime,
    *,
    cache: Path | None,
    linear: Array | None = None,
    listener: Listener = silent,
) -> Array:
    """Compute the teacher's probabilities, ``[text, label]``, in the order of the labels. cache: of encoded texts.

    linear: the probabilities of the run's own linear baseline, used where the teacher's checkpoint holds none.

    Raises:
        CheckpointError: There is no such teacher.
        ConfigError: It is not a classifier with these labels.
    """
    teacher = _teacher(path, labels)
    parts = assemble.restored(teacher, where)
    store = encode(teacher.vocabulary, examples, cache=cache, labelled=False, listener=listener)
    logits = assemble.outputs(parts, store.truncated(teacher.config.tokens), "applying the teacher", listener=listener)
    members = [parts.task.probabilities(logits, teacher.temperature)]  # of the ensemble
    fitted = {name: value.numpy() for name, value in teacher.group("baseline").items()}
    if "terms" in fitted:
        members.append(priors.of_linear(parts.task, fitted, store))
    order = [teacher.vocabulary.labels.index(label) for label in labels]
    members = [rows[:, order] for rows in members]
    if len(members) == 1 and linear is not None:
        members.append(linear)
    log_probs = np.log(np.maximum(members, 1e-12)).mean(axis=0)  # [text, label]
    ensemble = torch.from_numpy(log_probs).softmax(dim=1).numpy()
    agreement = (members[0].argmax(axis=1) == members[-1].argmax(axis=1)).mean()
    note = f", the linear baseline agrees on {agreement:.1%}" if len(members) > 1 else ""
    listener(Noted(_sure(path, ensemble) + note))
    return np.asarray(ensemble, np.float32)


def linear_probabilities(
    task: Task, fitted: dict[str, Array], unlabelled: Store, *, listener: Listener = silent
) -> Array:
    """Compute the probabilities of the linear baseline alone; of the majority if it has no terms."""
    found = priors.of_linear(task, fitted, unlabelled)
    listener(Noted(_sure("linear", found)))
    return np.asarray(found, np.float32)


def _sure(teacher: object, found: Array) -> str:
    return f"teacher ({teacher}): sure of {(found.max(axis=1) >= SURE).mean():.1%} of {len(found):,} unlabelled texts"


def _teacher(path: Path, labels: tuple[str, ...]) -> Checkpoint:
    found = checkpoints.load(path)
    if found.task.READS != "text" or found.label_sets:
        what = "the model gives a text several labels" if found.label_sets else "the model does not label whole texts"
        fix = "name a model of one label per text: --set train.teacher=FILE; or --set train.teacher=none"
        raise ConfigError(what, where=f"train.teacher: {path}", fix=fix)
    if set(found.vocabulary.labels) != set(labels):
        what = f"the teacher knows {', '.join(found.vocabulary.labels)}; the data has {', '.join(labels)}"
        fix = "give a teacher that was trained on data with these labels"
        raise ConfigError(what, where=f"train.teacher: {path}", fix=fix)
    return found
