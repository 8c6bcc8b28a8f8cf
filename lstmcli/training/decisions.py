"""What the end of training keeps of the validation part for decisions: a threshold, and scores of its texts."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmcli.contracts import TaskHooks, hooks
from lstmcli.errors import counted
from lstmcli.events import Listener, Noted
from lstmcli.inference.assemble import Parts
from lstmcli.inference.decisions import ENTROPIES, GROUP, SCORES, entropies, for_coverage, for_precision, scores, usable
from lstmcli.inference.evaluate import FEW
from lstmcli.storage.checkpoint import grouped

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Decided:
    """Parts of a checkpoint."""

    min_confidence: float = 0.0
    tensors: dict[str, Tensor] = field(default_factory=dict)


def of_validation(parts: Parts, outputs: Array, targets: Array, temperature: float, *, listener: Listener) -> Decided:
    """Choose the threshold of ``train.target_precision`` or ``train.target_coverage``, and compute the scores.

    Of a model that is adapted to each task, and of a task without a likeliest label, there is neither.

    Args:
        parts: The best model.
        outputs: Of the validation texts.
        targets: Of the validation texts, ``[text]``.
        temperature: Of the calibrated model.
        listener: Called with what was chosen.
    """
    if parts.config.episodes is not None or not usable(parts.task):
        return Decided()
    probabilities = parts.task.probabilities(outputs, temperature)
    kept = {SCORES: scores(probabilities, targets), ENTROPIES: np.sort(entropies(probabilities))}
    tensors = grouped(GROUP, {name: torch.from_numpy(values) for name, values in kept.items()})
    return Decided(_threshold(parts, probabilities, targets, listener), tensors)


def _threshold(parts: Parts, probabilities: Array, targets: Array, listener: Listener) -> float:
    """Return the chosen threshold; 0 where none is to be chosen, or none reaches the target."""
    precision, coverage = parts.config.train.target_precision, parts.config.train.target_coverage
    decide = hooks(TaskHooks, parts.task).decide
    assert decide is not None  # the task is usable
    given = decide(probabilities, {}, 0.0)
    confidence, correct = probabilities[np.arange(len(given)), given], given == targets
    if coverage is not None:
        chosen = for_coverage(confidence, coverage)
    elif precision is not None:
        found = for_precision(confidence, correct, precision)
        if found is None:
            listener(Noted(f"no threshold has a precision of {precision:.1%} on validation: all texts get a label"))
            return 0.0
        chosen = found
    else:
        return 0.0
    answered = confidence >= chosen
    right = f"{correct[answered].mean():.1%} of these the right one"
    what = f"{answered.mean():.1%} of the validation texts get a label, {right}"
    few = f"; chosen on only {counted(answered.sum(), 'text')}, it is unreliable" if answered.sum() < FEW else ""
    listener(Noted(f"labels are given from a probability of {chosen:.3f} on: {what}{few}"))
    return chosen
