"""What the intent data sets have in common: classes, not texts, are divided between the splits.

A few-shot learner is scored on classes that it has never seen, so every class is in one split, drawn by a fixed
seed.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from lstmcli.config import Data
from lstmcli.data.readers import by_label
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

SEED = 0  # of the split: a constant of the benchmark, independent of the seed of a run


def split_classes(classes: Iterable[str], sizes: dict[str, int]) -> dict[str, frozenset[str]]:
    """Return the classes of each split; sizes: how many, the first split takes the remainder."""
    order = sorted(set(classes))
    drawn = [order[index] for index in np.random.default_rng(SEED).permutation(len(order))]
    parts = {}
    for split, size in reversed(sizes.items()):
        size = size if len(order) == sum(sizes.values()) else len(order) // len(sizes)  # a part of the data set
        parts[split], drawn = frozenset(drawn[:size]), drawn[size:]
    first = next(iter(sizes))
    return parts | {first: parts[first] | frozenset(drawn)}


def chosen(found: Rows, split: str, options: Data, *, sizes: dict[str, int], root: Path) -> Rows:
    """Return the rows of the split's classes.

    Raises:
        DataError: no such split, or no domains to choose from.
    """
    if split not in sizes:
        raise DataError(f"no split '{split}'", where=str(root), fix=f"it has: {', '.join(sizes)}")
    by_label.check_no_domains(options)
    classes = split_classes((str(example.target) for example in found.examples), sizes)
    counts = ", ".join(f"{name} {len(part)}" for name, part in classes.items())
    examples = [example for example in _once(found.examples) if example.target in classes[split]]
    return Rows(examples, found.bad, (f"every class is in one split alone ({counts})",))


def _once(examples: Sequence[Example]) -> list[Example]:
    """Each text once: some are in two of the source's files, a few under two intents."""
    return list({example.text: example for example in reversed(examples)}.values())[::-1]
