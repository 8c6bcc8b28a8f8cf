"""How many gradient steps an adaptation takes: as many as help texts that are left out of it most."""

from collections.abc import Sequence

import torch

from lstmcli.inference.assemble import Parts
from lstmcli.types import Batch, WordFeatures

MOST_TURNS = 8  # of leaving texts out


def best_steps(parts: Parts, support: Batch, *, least: int) -> int | None:
    """The number of steps after which texts that were left out are most likely; none where nothing can be left out.

    least: the fewest that come into question, one where the head would else say nothing.

    Of each class the texts are left out in turn, one of every class together, so that the classes' shares stay. All
    turns are tasks of one stack, and the fewest steps of the lowest loss are taken.
    """
    left_out = _turns(support)
    if len(left_out) < 2:
        return None
    learned = [[place for place in range(len(support.tokens)) if place not in out] for out in left_out]
    losses = parts.learner.losses(parts.model, as_tasks(support, left_out), parts.task.loss)
    path = parts.learner.trajectory(parts.model, as_tasks(support, learned), parts.task.loss)
    means = torch.stack([losses(weights).mean() for weights in path])
    return least + int(means[least:].nan_to_num(torch.inf).argmin())


def _turns(support: Batch) -> list[list[int]]:
    """The places that are left out in each turn: a text of every class; of tagged words, as many texts each time."""
    targets = support.targets
    assert targets is not None
    if support.word_features is not None:
        count = min(MOST_TURNS, len(targets))
        each = len(targets) // count
        return [list(range(turn * each, (turn + 1) * each)) for turn in range(count)]
    by_class = [torch.nonzero(targets == label)[:, 0].tolist() for label in sorted(set(targets.tolist()))]
    return [[places[turn] for places in by_class] for turn in range(min(MOST_TURNS, *map(len, by_class)))]


def as_tasks(batch: Batch, places: Sequence[Sequence[int]]) -> Batch:
    """A task for each list of places in the batch."""
    index = torch.tensor(places, device=batch.tokens.device)
    targets = None if batch.targets is None else batch.targets[index]
    features = batch.word_features
    if features is not None:
        forms, *own = vars(features).values()
        features = WordFeatures(forms[index], *(part.expand(len(places), *part.shape) for part in own))
    return Batch(batch.tokens[index], batch.lengths[index], targets, features)
