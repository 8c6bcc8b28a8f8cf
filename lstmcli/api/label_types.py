"""Labels in the type that they were given to ``fit`` in: the checkpoint has them as strings."""

from typing import Any

import numpy as np

from lstmcli.data.in_memory import LABEL_TYPES
from lstmcli.storage.checkpoint import Checkpoint

Array = np.ndarray[Any, np.dtype[Any]]
KEY = "label_type"  # of a checkpoint's progress


def of(checkpoint: Checkpoint) -> str:
    """Return the type of the labels: a key of ``LABEL_TYPES``."""
    kind: str = checkpoint.progress.get(KEY, "str")
    return kind


def named(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the labels in their type by their strings; the empty string is no label."""
    kind = LABEL_TYPES[of(checkpoint)]
    return {"": "" if kind is str else None} | {label: kind(label) for label in checkpoint.vocabulary.classes}


def columns(checkpoint: Checkpoint) -> tuple[Array, Array]:
    """Return the labels in their type, and the column of each in the model's outputs."""
    kind = of(checkpoint)
    classes = np.array(list(map(LABEL_TYPES[kind], checkpoint.vocabulary.classes)))
    order = np.arange(len(classes)) if kind == "str" else classes.argsort()
    return classes[order], order
