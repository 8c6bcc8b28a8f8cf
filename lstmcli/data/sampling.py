"""Seeded draws that keep the classes' shares."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from lstmcli.types import Example


def stratified(examples: Sequence[Example], count: int, *, seed: int) -> tuple[list[Example], list[Example]]:
    """``count`` examples with each class in its share of the whole, and the rest; both in their old order.

    A class of two or more examples is on both sides where count allows it.
    """
    groups = _by_label(examples)
    random = np.random.default_rng(seed)
    shares = {label: count * len(places) / len(examples) for label, places in groups.items()}
    quotas = {label: min(int(share), len(groups[label])) for label, share in shares.items()}
    for label in sorted(shares, key=lambda name: (int(shares[name]) - shares[name], name)):  # largest remainder first
        if sum(quotas.values()) < count and quotas[label] < len(groups[label]):
            quotas[label] += 1
    for label, places in groups.items():
        if quotas[label] == 0 and len(places) > 1 and max(quotas.values()) > 1:
            quotas[max(quotas, key=quotas.__getitem__)] -= 1
            quotas[label] = 1
    return _part(
        examples, {place for label, places in groups.items() for place in random.permutation(places)[: quotas[label]]}
    )


def per_class(examples: Sequence[Example], shots: int, *, seed: int) -> tuple[list[Example], list[Example]]:
    """``shots`` examples of each class (or all it has), and the rest.

    A text is drawn once, and its repeats are in neither part.
    """
    random = np.random.default_rng(seed)
    chosen: set[int] = set()
    texts: set[object] = set()
    for _, places in sorted(_by_label(examples).items()):
        taken = 0
        for place in random.permutation(places).tolist():
            if taken < shots and examples[place].text not in texts:
                texts.add(examples[place].text)
                chosen.add(place)
                taken += 1
    support, rest = _part(examples, chosen)
    return support, [example for example in rest if example.text not in texts]


def _by_label(examples: Sequence[Example]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        groups[str(example.target)].append(place)
    return groups


def _part(examples: Sequence[Example], chosen: set[int]) -> tuple[list[Example], list[Example]]:
    inside = [example for place, example in enumerate(examples) if place in chosen]
    return inside, [example for place, example in enumerate(examples) if place not in chosen]
