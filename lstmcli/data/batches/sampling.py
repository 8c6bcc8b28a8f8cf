"""Seeded draws, stratified by class."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lstmcli.data.batches.ragged import Ints
from lstmcli.data.spooled import by_target, part
from lstmcli.types import Example, LabelSet

Parts = tuple[Sequence[Example], Sequence[Example]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def stratified(examples: Sequence[Example], count: int, *, seed: int, last: Mask | None = None) -> Parts:
    """Up to ``count`` examples, of each class the same fraction, and the rest; both in their old order.

    A class is never drawn whole, so that it has examples in the rest; one of two or more is drawn at least once where
    count allows it. Of sets of labels a class is a set, and of tagged words the types of a sentence; where that leaves
    too few to draw, examples follow whose labels or types all have others in the rest.

    last: ``[example]``, those to draw only where their class has no other left.
    """
    groups = _by_label(examples)
    quotas = _quotas(groups, count)
    random = np.random.default_rng(seed)
    drawn = np.zeros(len(examples), bool)
    for label, indices in groups.items():
        drawn[_at_end(random.permutation(indices), last)[: quotas[label]]] = True
    if (missing := count - int(drawn.sum())) > 0:
        order = _at_end(random.permutation(np.flatnonzero(~drawn)), last)
        left = Counter(label for index in order for label in _types(examples[index]))
        for index in order.tolist():
            types = _types(examples[index])
            if missing and all(left[label] > 1 for label in types):
                drawn[index] = True
                missing -= 1
                left.subtract(types)
    return _parts(examples, drawn)


def consecutive(examples: Sequence[Example], count: int, *, seed: int, last: Mask | None = None) -> Parts:
    """As ``stratified``, but of each class consecutive examples, all equally far through the class.

    For data whose neighbours belong together, as reviews of one film do: texts drawn at random would be of films that
    the rest has too, and overestimate a model that learns their names. With ``last`` they are consecutive among the
    others of the class.
    """
    groups = _by_label(examples)
    quotas = _quotas(groups, count)
    begin = np.random.default_rng(seed).random()
    drawn = np.zeros(len(examples), bool)
    for label, indices in groups.items():
        others = len(indices) if last is None else int((~last[indices]).sum())
        window = _at_end(indices, last)[: max(others, quotas[label])]
        first = round(begin * (len(window) - quotas[label]))
        drawn[window[first : first + quotas[label]]] = True
    return _parts(examples, drawn)


def _at_end(indices: Ints, last: Mask | None) -> Ints:
    """Return the indices, those of ``last`` moved to the end."""
    return indices if last is None else indices[np.argsort(last[indices], kind="stable")]


def _quotas(groups: Mapping[str, Ints], count: int) -> dict[str, int]:
    """How many of each class make up ``count``."""
    total = sum(len(indices) for indices in groups.values())
    most = {label: len(indices) - 1 for label, indices in groups.items()}
    exact = {label: count * len(indices) / total for label, indices in groups.items()}
    quotas = {label: min(int(quota), most[label]) for label, quota in exact.items()}
    for label in groups:
        if quotas[label] == 0 < most[label] and max(quotas.values()) > 1:
            quotas[max(quotas, key=quotas.__getitem__)] -= 1
            quotas[label] = 1
    by_remainder = sorted(exact, key=lambda name: (int(exact[name]) - exact[name], name))
    while sum(quotas.values()) < count and any(quotas[label] < most[label] for label in groups):
        for label in by_remainder:
            if sum(quotas.values()) < count and quotas[label] < most[label]:
                quotas[label] += 1
    return quotas


def per_class(examples: Sequence[Example], shots: int, *, seed: int) -> Parts:
    """``shots`` examples of each class (or all it has), and the rest.

    A text is drawn once, and its repeats are in neither part. Of tagged words a class is a type of entity, and a text
    counts for every type that it has; of sets of labels a class is a label, and one more are the texts without any.
    """
    random = np.random.default_rng(seed)
    chosen: set[int] = set()
    texts: set[object] = set()
    groups: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        without = [""] if isinstance(example.target, LabelSet) else []
        for label in set(labels(example)) or without:
            groups[label].append(index)
    for _, indices in sorted(groups.items()):
        taken = len(chosen.intersection(indices))
        for index in random.permutation(indices).tolist():
            if taken < shots and examples[index].text not in texts:
                texts.add(examples[index].text)
                chosen.add(index)
                taken += 1
    drawn = np.zeros(len(examples), bool)
    drawn[list(chosen)] = True
    support, rest = _parts(examples, drawn)
    return support, [example for example in rest if example.text not in texts]


def labels(example: Example) -> list[str]:
    """Return the label of a text, if it has one; a set of labels in order; of tagged words the type of each entity."""
    if example.target is None:
        return []
    if isinstance(example.target, LabelSet):
        return sorted(example.target)
    if isinstance(example.target, tuple):
        return [tag[2:] for tag in example.target if tag[0] in "BS"]
    return [example.target]


def _types(example: Example) -> set[str]:
    return set(labels(example))


def _by_label(examples: Sequence[Example]) -> dict[str, Ints]:
    """Return the indices of the examples of each class, in the order of its first."""
    firsts, numbers = by_target(examples)
    classes: dict[str, int] = {}
    names = [" ".join(sorted(_types(first))) for first in firsts]
    numbers = np.array([classes.setdefault(name, len(classes)) for name in names], np.int64)[numbers]
    order = np.argsort(numbers, kind="stable")
    ends = np.bincount(numbers, minlength=len(classes)).cumsum()
    return dict(zip(classes, np.split(order, ends[:-1]), strict=True))


def _parts(examples: Sequence[Example], drawn: Ints) -> Parts:
    return part(examples, np.flatnonzero(drawn)), part(examples, np.flatnonzero(~drawn))
