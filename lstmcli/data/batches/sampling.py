"""Seeded draws that keep the classes' shares."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from lstmcli.types import Example


def stratified(examples: Sequence[Example], count: int, *, seed: int) -> tuple[list[Example], list[Example]]:
    """Up to ``count`` examples with each class in its share of the whole, and the rest; both in their old order.

    A class is never drawn whole, so that it has examples in the rest; one of two or more is drawn at least once where
    count allows it. Of tagged words a class is the types of a sentence; where that leaves too few to draw, sentences
    follow whose types all have others in the rest.
    """
    groups = _by_label(examples)
    quotas = _quotas(groups, count)
    random = np.random.default_rng(seed)
    chosen = [random.permutation(places)[: quotas[label]] for label, places in groups.items()]
    drawn = {int(place) for places in chosen for place in places}
    if len(drawn) < count:
        order = random.permutation([place for place in range(len(examples)) if place not in drawn])
        left = Counter(label for place in order for label in _types(examples[place]))
        for place in order.tolist():
            types = _types(examples[place])
            if len(drawn) < count and all(left[label] > 1 for label in types):
                drawn.add(place)
                left.subtract(types)
    return _part(examples, drawn)


def stretches(examples: Sequence[Example], count: int, *, seed: int) -> tuple[list[Example], list[Example]]:
    """As ``stratified``, but of each class one stretch of neighbours, all equally far through the class.

    For data whose neighbours belong together, reviews of one film, say: texts drawn here and there would be of films
    that the rest has too, and flatter whatever learns their names.
    """
    groups = _by_label(examples)
    quotas = _quotas(groups, count)
    begin = np.random.default_rng(seed).random()
    drawn: set[int] = set()
    for label, places in groups.items():
        first = round(begin * (len(places) - quotas[label]))
        drawn.update(places[first : first + quotas[label]])
    return _part(examples, drawn)


def _quotas(groups: Mapping[str, Sequence[int]], count: int) -> dict[str, int]:
    """How many of each class make up ``count``."""
    total = sum(len(places) for places in groups.values())
    most = {label: len(places) - 1 for label, places in groups.items()}
    shares = {label: count * len(places) / total for label, places in groups.items()}
    quotas = {label: min(int(share), most[label]) for label, share in shares.items()}
    for label in groups:
        if quotas[label] == 0 < most[label] and max(quotas.values()) > 1:
            quotas[max(quotas, key=quotas.__getitem__)] -= 1
            quotas[label] = 1
    by_remainder = sorted(shares, key=lambda name: (int(shares[name]) - shares[name], name))
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
    for place, example in enumerate(examples):
        for label in set(labels(example)):
            groups[label].append(place)
    for _, places in sorted(groups.items()):
        taken = len(chosen.intersection(places))
        for place in random.permutation(places).tolist():
            if taken < shots and examples[place].text not in texts:
                texts.add(examples[place].text)
                chosen.add(place)
                taken += 1
    support, rest = _part(examples, chosen)
    return support, [example for example in rest if example.text not in texts]


def labels(example: Example) -> list[str]:
    """The label of a text, if it has one; of tagged words the type of each entity in its turn."""
    if example.target is None:
        return []
    if isinstance(example.target, tuple):
        return [tag[2:] for tag in example.target if tag[0] in "BS"]
    return [example.target]


def _types(example: Example) -> set[str]:
    return set(labels(example))


def _by_label(examples: Sequence[Example]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        groups[" ".join(sorted(_types(example)))].append(place)
    return groups


def _part(examples: Sequence[Example], chosen: set[int]) -> tuple[list[Example], list[Example]]:
    inside = [example for place, example in enumerate(examples) if place in chosen]
    return inside, [example for place, example in enumerate(examples) if place not in chosen]
