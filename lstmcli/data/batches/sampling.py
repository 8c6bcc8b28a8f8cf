"""Seeded draws, stratified by class."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from lstmcli.types import Example


def stratified(examples: Sequence[Example], count: int, *, seed: int) -> tuple[list[Example], list[Example]]:
    """Up to ``count`` examples, of each class the same fraction, and the rest; both in their old order.

    A class is never drawn whole, so that it has examples in the rest; one of two or more is drawn at least once where
    count allows it. Of tagged words a class is the types of a sentence; where that leaves too few to draw, sentences
    follow whose types all have others in the rest.
    """
    groups = _by_label(examples)
    quotas = _quotas(groups, count)
    random = np.random.default_rng(seed)
    chosen = [random.permutation(indices)[: quotas[label]] for label, indices in groups.items()]
    drawn = {int(index) for indices in chosen for index in indices}
    if len(drawn) < count:
        order = random.permutation([index for index in range(len(examples)) if index not in drawn])
        left = Counter(label for index in order for label in _types(examples[index]))
        for index in order.tolist():
            types = _types(examples[index])
            if len(drawn) < count and all(left[label] > 1 for label in types):
                drawn.add(index)
                left.subtract(types)
    return _part(examples, drawn)


def consecutive(examples: Sequence[Example], count: int, *, seed: int) -> tuple[list[Example], list[Example]]:
    """As ``stratified``, but of each class consecutive examples, all equally far through the class.

    For data whose neighbours belong together, as reviews of one film do: texts drawn at random would be of films that
    the rest has too, and overestimate a model that learns their names.
    """
    groups = _by_label(examples)
    quotas = _quotas(groups, count)
    begin = np.random.default_rng(seed).random()
    drawn: set[int] = set()
    for label, indices in groups.items():
        first = round(begin * (len(indices) - quotas[label]))
        drawn.update(indices[first : first + quotas[label]])
    return _part(examples, drawn)


def _quotas(groups: Mapping[str, Sequence[int]], count: int) -> dict[str, int]:
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


def per_class(examples: Sequence[Example], shots: int, *, seed: int) -> tuple[list[Example], list[Example]]:
    """``shots`` examples of each class (or all it has), and the rest.

    A text is drawn once, and its repeats are in neither part. Of tagged words a class is a type of entity, and a text
    counts for every type that it has.
    """
    random = np.random.default_rng(seed)
    chosen: set[int] = set()
    texts: set[object] = set()
    groups: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        for label in set(labels(example)):
            groups[label].append(index)
    for _, indices in sorted(groups.items()):
        taken = len(chosen.intersection(indices))
        for index in random.permutation(indices).tolist():
            if taken < shots and examples[index].text not in texts:
                texts.add(examples[index].text)
                chosen.add(index)
                taken += 1
    support, rest = _part(examples, chosen)
    return support, [example for example in rest if example.text not in texts]


def labels(example: Example) -> list[str]:
    """The label of a text, if it has one; of tagged words the type of each entity in order."""
    if example.target is None:
        return []
    if isinstance(example.target, tuple):
        return [tag[2:] for tag in example.target if tag[0] in "BS"]
    return [example.target]


def _types(example: Example) -> set[str]:
    return set(labels(example))


def _by_label(examples: Sequence[Example]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        groups[" ".join(sorted(_types(example)))].append(index)
    return groups


def _part(examples: Sequence[Example], chosen: set[int]) -> tuple[list[Example], list[Example]]:
    inside = [example for index, example in enumerate(examples) if index in chosen]
    return inside, [example for index, example in enumerate(examples) if index not in chosen]
