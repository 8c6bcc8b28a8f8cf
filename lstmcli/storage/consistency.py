"""Whether the parts of a checkpoint belong together, found out without torch and without building the model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lstmcli.contracts import HEAD, TaskHooks, hooks
from lstmcli.errors import counted
from lstmcli.storage import fitted
from lstmcli.storage.header import CLASS_WEIGHTS, THRESHOLDS
from lstmcli.storage.tensors import Stored

if TYPE_CHECKING:
    from lstmcli.storage.checkpoint import Checkpoint

FINITE = ("model/", "learner/", "memory/", "baseline/")
MOST_TAGS = 4_001  # of a thousand types; a table has one row and one column per tag


def plain(tensors: object, size: int) -> dict[str, Stored]:
    """Return the tensors, checked to take no more memory than their file. size: of the file, in bytes.

    Raises:
        ValueError: They do, or they are something else than tensors by name.
    """
    if not isinstance(tensors, dict) or not all(isinstance(value, Stored) for value in tensors.values()):
        raise ValueError("something else than tensors")
    if sum(value.data.nbytes for value in tensors.values()) > size:
        raise ValueError("tensors are larger than the file")
    return tensors


def check(checkpoint: "Checkpoint", tensors: Mapping[str, Stored]) -> None:
    """Check that model, task and vocabulary belong together, that weights are numbers, and what was fitted beside them.

    Raises:
        ValueError: They do not, or are none.
    """
    check_parts(checkpoint, tensors)
    vocabulary = checkpoint.vocabulary
    head = tensors.get(f"model/{HEAD}.weight")
    if vocabulary.labels and (head is None or head.shape[:1] != (len(vocabulary.labels),)):
        raise ValueError(
            f"{counted(len(vocabulary.labels), 'label')}, but a head of {() if head is None else head.shape}"
        )
    for name, value in tensors.items():
        infinite = name.startswith("baseline/")  # a label without a text has a bias of -inf
        if name.removeprefix("scale/").startswith(FINITE) and not value.is_finite(infinite=infinite):
            raise ValueError(f"{name} has values that are not finite")


def check_parts(checkpoint: "Checkpoint", tensors: Mapping[str, Stored]) -> None:
    """Check all but the weights. Raises ValueError where model, task, vocabulary and arrays do not belong together."""
    vocabulary, reads = checkpoint.vocabulary, checkpoint.task.READS
    if (reads == "stream") != vocabulary.is_stream or (reads == "words") != vocabulary.pretokenized:
        raise ValueError("a vocabulary for another task")
    if reads != "stream" and not vocabulary.labels:
        raise ValueError("no labels")
    if reads == "words" and not vocabulary.is_tagged:
        raise ValueError("labels that are no tags")
    if reads == "words" and len(vocabulary.labels) > MOST_TAGS:
        raise ValueError("too many tags")
    task = hooks(TaskHooks, checkpoint.task)
    for name, usable in ((CLASS_WEIGHTS, task.weighted), (THRESHOLDS, task.thresholded)):
        by_label = checkpoint.progress.get(name)
        if by_label and (usable is None or by_label.keys() != set(vocabulary.labels)):
            raise ValueError(f"{name.replace('_', ' ')} of other labels")
    fitted.check(tensors, reads=reads, labels=len(vocabulary.labels), label_sets=task.LABEL_SETS)
