"""Cross-validation on the support: the number of gradient steps of an adaptation, and the temperature after it."""

from collections.abc import Sequence

import numpy as np
import torch

from lstmcli.inference.assemble import Parts
from lstmcli.types import Batch, WordFeatures

MOST_FOLDS = 8  # of the cross-validation


def best_steps(parts: Parts, support: Batch, *, least: int) -> int | None:
    """Choose the number of steps by cross-validation on the support; None if a class has only one text.

    A fold holds out one text of every class, so that the class proportions stay. All folds are tasks of one batch. Of
    several numbers of steps with the lowest loss the smallest is taken.

    least: the smallest number of steps; 1 if the head is untrained.
    """
    held_out = folds_of(support)
    if len(held_out) < 2:
        return None
    training = [_others(support, fold) for fold in held_out]
    losses = parts.learner.losses(parts.model, as_tasks(support, held_out), parts.task.loss)
    trajectory = parts.learner.trajectory(parts.model, as_tasks(support, training), parts.task.loss)
    means = torch.stack([losses(weights).mean() for weights in trajectory])
    return least + int(means[least:].nan_to_num(torch.inf).argmin())


def best_temperature(parts: Parts, support: Batch) -> float | None:
    """Calibrate the temperature on the logits of texts that the head was fitted without; None if a class has only one
    text.

    For learners that compute the head from the support. The folds are those of ``best_steps``, one after the other.
    """
    held_out = folds_of(support)
    if len(held_out) < 2:
        return None
    logits, targets = [], []
    with torch.no_grad():
        for fold in held_out:
            rest, left = as_tasks(support, [_others(support, fold)]), as_tasks(support, [fold])
            assert left.targets is not None
            *_, weights = parts.learner.trajectory(parts.model, rest, parts.task.loss)
            logits.append(parts.learner.logits(parts.model, left)(weights)[0].float().cpu().numpy())
            targets.append(left.targets[0].cpu().numpy())
    return parts.task.calibrate(np.concatenate(logits), np.concatenate(targets))


def _others(support: Batch, fold: Sequence[int]) -> list[int]:
    """Return the indices of the texts that are not in the fold."""
    left = set(fold)
    return [index for index in range(len(support.tokens)) if index not in left]


def folds_of(support: Batch) -> list[list[int]]:
    """Return the indices held out in each fold: a text of every class; of tagged texts, equally many."""
    targets = support.targets
    assert targets is not None
    if support.word_features is not None:
        count = min(MOST_FOLDS, len(targets))
        size = len(targets) // count
        return [list(range(fold * size, (fold + 1) * size)) for fold in range(count)]
    by_class = [torch.nonzero(targets == label)[:, 0].tolist() for label in sorted(set(targets.tolist()))]
    return [[indices[fold] for indices in by_class] for fold in range(min(MOST_FOLDS, *map(len, by_class)))]


def as_tasks(batch: Batch, indices: Sequence[Sequence[int]]) -> Batch:
    """Stack one task for each list of indices into the batch."""
    index = torch.tensor(indices, device=batch.tokens.device)
    targets = None if batch.targets is None else batch.targets[index]
    features = batch.word_features
    if features is not None:
        forms, *others = vars(features).values()
        features = WordFeatures(forms[index], *(part.expand(len(indices), *part.shape) for part in others))
    return Batch(batch.tokens[index], batch.lengths[index], targets, features)
