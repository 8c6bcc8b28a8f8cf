"""The number of gradient steps of an adaptation, chosen by cross-validation on the support."""

from collections.abc import Sequence

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
    held_out = _folds(support)
    if len(held_out) < 2:
        return None
    training = [[index for index in range(len(support.tokens)) if index not in fold] for fold in held_out]
    losses = parts.learner.losses(parts.model, as_tasks(support, held_out), parts.task.loss)
    trajectory = parts.learner.trajectory(parts.model, as_tasks(support, training), parts.task.loss)
    means = torch.stack([losses(weights).mean() for weights in trajectory])
    return least + int(means[least:].nan_to_num(torch.inf).argmin())


def _folds(support: Batch) -> list[list[int]]:
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
