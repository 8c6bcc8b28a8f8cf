"""The task of a checkpoint as it decides on labels."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from lstmcli.config.training import ADJUSTED
from lstmcli.contracts import Task, TaskHooks, hooks
from lstmcli.storage.header import CLASS_WEIGHTS, THRESHOLDS

if TYPE_CHECKING:
    from lstmcli.storage.checkpoint import Checkpoint

NONE: Mapping[str, float] = MappingProxyType({})


def task_of(checkpoint: "Checkpoint", thresholds: Mapping[str, float] = NONE) -> Task:
    """Return the task with the class weights of ``train.class_weights``, or the thresholds of sets of labels, if the
    checkpoint has any. thresholds: by label, of a model of sets of labels, in place of those of the checkpoint.

    Adapted checkpoints have None: their labels, or the frequencies of these, are those of the support.
    """
    progress, task, labels = checkpoint.progress, checkpoint.task, checkpoint.vocabulary.labels
    found: Task = task
    by_label: dict[str, float] = progress.get(CLASS_WEIGHTS, {})
    if hooks(TaskHooks, task).LABEL_SETS:
        thresholded = hooks(TaskHooks, task).thresholded
        assert thresholded is not None  # checked when the file is read
        found = thresholded({**progress.get(THRESHOLDS, {}), **thresholds}, labels)
    elif by_label:
        weighted = hooks(TaskHooks, task).weighted
        assert weighted is not None  # checked when the file is read
        weights = np.array([by_label[label] for label in labels])
        adjusted = checkpoint.config.train.class_weights == ADJUSTED
        found = weighted(task, weights, adjusted=adjusted, exponent=1.0)
    return found
