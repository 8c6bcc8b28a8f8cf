"""Class weights of a run (``train.class_weights``), and thresholds of sets of labels: from the recipe to the task, and
on to the checkpoint."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmcli.config.training import ADJUSTED, ClassWeights
from lstmcli.contracts import HEAD, Task, TaskHooks, hooks
from lstmcli.data.batches.encoded import Store
from lstmcli.events import Listener, Progress
from lstmcli.inference.assemble import Parts
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.header import CLASS_WEIGHTS, THRESHOLDS
from lstmcli.training import probe

Array = np.ndarray[Any, np.dtype[Any]]
EXPONENT = "exponent"  # key of a run's state: of logit adjustment, where it was chosen before the first step


def weights_of(setting: ClassWeights, counts: Array, labels: tuple[str, ...]) -> Array:
    """Return the weight of each label, ``[label]``, with a mean over the training texts of 1.

    Weights by label as given, and 1 for labels without one; else n / (K n_y), inverse to the frequency of the label, as
    scikit-learn's ``balanced``, and 1 for a label without texts. counts: texts of each label, n_y, ``[label]``.
    """
    if isinstance(setting, dict):
        weights = np.array([setting.get(label, 1.0) for label in labels])
    else:
        present = counts > 0
        weights = np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 1.0)
    found: Array = weights * counts.sum() / (weights * counts).sum()
    return found


def applied(parts: Parts, train: Store) -> Parts:
    """Return the parts with a task that has the weights of the recipe, if it has any.

    The bias of the head, while it is random, gives each label a probability inverse to its weight: balanced weights
    then begin with the frequencies of the training texts.
    """
    setting = parts.config.train.class_weights
    if setting is None:
        return parts
    labels = parts.vocabulary.labels
    weights = weights_of(setting, np.bincount(train.known_targets, minlength=len(labels)), labels)
    weighted = hooks(TaskHooks, parts.task).weighted
    assert weighted is not None  # the recipe was checked
    bias = parts.model.get_parameter(f"{HEAD}.bias")
    with torch.no_grad():
        bias.sub_(torch.from_numpy(weights).log().to(bias))
    return replace(parts, task=weighted(parts.task, weights, adjusted=setting == ADJUSTED))


def with_exponent(parts: Parts, train: Store, last: Checkpoint | None, listener: Listener) -> Parts:
    """Return the parts with the exponent of logit adjustment, where the run begins with a head fitted to its texts: the
    one with the best macro F1 of texts that were left out of the fit. Validation has a tenth of their rare texts.

    Other runs choose it at the end, on validation texts. last: of a run that is resumed, whose exponent is kept.
    """
    config = parts.config
    if config.train.class_weights != ADJUSTED or not config.train.probe or config.model.init is None:
        return parts
    task: Any = parts.task  # ``applied`` has given it the weights
    if last is not None:
        kept = last.group("state").get(EXPONENT)
        return parts if kept is None else replace(parts, task=replace(task, exponent=float(kept[0])))
    listener(Progress("choosing the adjustment of rare labels"))
    logits, targets = probe.out_of_fold(parts, train.truncated(config.tokens), seed=config.seed)
    if not len(targets):
        return parts
    return replace(parts, task=task.tuned(logits, targets, task.calibrate(logits, targets)))


def state_of(task: Task) -> dict[str, Tensor]:
    """Return what a resumed run needs of the task, for the run's state."""
    exponent = getattr(task, "exponent", None)
    return {} if exponent is None else {EXPONENT: torch.tensor([exponent], dtype=torch.float64)}


def settled(task: Task, outputs: Array, targets: Array, temperature: float) -> tuple[Task, Array | None]:
    """Return the task with what it chooses on held-out data, and its weights or thresholds in decisions, if any."""
    tuned = getattr(task, "tuned", None)
    if tuned is None:
        return task, None
    chosen = tuned(outputs, targets, temperature)
    return chosen, chosen.decision


def by_label(task: Task, decision: Array | None, labels: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Return the weights or thresholds in decisions as the checkpoint has them; empty without any."""
    name = THRESHOLDS if hooks(TaskHooks, task).LABEL_SETS else CLASS_WEIGHTS
    return {} if decision is None else {name: dict(zip(labels, map(float, decision), strict=True))}
