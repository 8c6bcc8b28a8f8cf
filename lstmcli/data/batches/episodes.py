"""Few-shot episodes out of labelled examples, by seed: what to learn from, and what to be scored on.

A task is a domain with all labels, each with its own meaning (``positive`` stays ``positive``), or some classes drawn
out of many, numbered again in each episode. Support and query have no text in common, and no text is in either twice.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lstmcli.config import Episodes
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.text.vocabulary import UNKNOWN
from lstmcli.errors import DataError
from lstmcli.types import Batch, Episode, Example

MOST = 15  # texts per class that an episode is scored on, where nothing says how many


@dataclass(frozen=True)
class Pool:
    """A domain: where the different texts of each of its labels stand among the examples."""

    domain: str
    places: dict[str, Ints]


@dataclass(frozen=True)
class Draw:
    """An episode by the places of its texts; targets count within the labels."""

    domain: str
    labels: tuple[str, ...]
    support: Ints
    support_targets: Ints
    query: Ints
    query_targets: Ints


def pools(examples: Sequence[Example]) -> list[Pool]:
    """The domains of the examples; of texts that recur in a domain the first counts."""
    found: dict[str, dict[str, list[int]]] = {}
    seen: set[tuple[str, object]] = set()
    for place, example in enumerate(examples):
        if (example.domain, example.text) not in seen:
            seen.add((example.domain, example.text))
            found.setdefault(example.domain, {}).setdefault(str(example.target), []).append(place)
    return [
        Pool(domain, {label: np.array(places) for label, places in sorted(labels.items())})
        for domain, labels in sorted(found.items())
    ]


def usable(found: Sequence[Pool], config: Episodes, labels: Sequence[str]) -> list[Pool]:
    """The pools of which episodes can be drawn, without the classes that have too few texts.

    labels: what every domain must have where classes are not drawn.

    Raises:
        DataError: there is none.
    """
    kept = []
    for pool in found:
        scarce = config.query == "natural" and config.ways is None  # a class may have few, if the domain has enough
        least = config.shots + (1 if scarce else config.queries)
        rich = {label: places for label, places in pool.places.items() if len(places) >= least}
        total = sum(map(len, rich.values()))
        if config.ways is None:
            rich = {label: rich[label] for label in labels if label in rich}
            enough = len(rich) == len(labels) and total >= len(labels) * (config.shots + config.queries)
        else:
            enough = len(rich) >= config.ways
        if enough:
            kept.append(Pool(pool.domain, rich))
    if not kept:
        there = sorted({label for pool in found for label in pool.places})
        if config.ways is None and not set(there) & set(labels):
            what = f"the data has {', '.join(there)}; the model tells {', '.join(labels)} apart"
            raise DataError(what, where=f"{len(found)} domains", fix="draw new classes for each task: --ways 2")
        ways = f"{config.ways} classes" if config.ways else f"all of {', '.join(labels)}"
        raise DataError(
            f"no domain has {config.shots} + {config.queries} different texts of each of {ways}",
            where=f"{len(found)} domains",
            fix="give more texts, or ask for fewer: --shots, or in a recipe episodes.shots and episodes.queries",
        )
    return kept


def with_queries(found: Sequence[Pool], config: Episodes, labels: Sequence[str]) -> Episodes:
    """The shape with as many queries, up to ``MOST``, as leave all domains usable that are so with one.

    Raises:
        DataError: as ``usable``.
    """
    few = config.model_copy(update={"queries": 1})
    count = len(usable(found, few, labels))
    for queries in range(MOST, 1, -1):
        many = config.model_copy(update={"queries": queries})
        try:
            if len(usable(found, many, labels)) == count:
                return many
        except DataError:  # too many for any
            continue
    return few


def draws(found: Sequence[Pool], config: Episodes, *, count: int, seed: tuple[int, ...]) -> Iterator[Draw]:
    """``count`` episodes; the seed decides all."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        pool = found[int(random.integers(len(found)))]
        labels = tuple(pool.places)
        if config.ways is not None:
            labels = tuple(labels[place] for place in random.permutation(len(labels))[: config.ways])
        yield draw(pool, labels, config, random)


def draw(pool: Pool, labels: tuple[str, ...], config: Episodes, random: Any) -> Draw:
    """One episode of these labels."""
    mixed = [random.permutation(pool.places[label]) for label in labels]
    support = [places[: config.shots] for places in mixed]
    if config.query == "balanced":
        query = [places[config.shots : config.shots + config.queries] for places in mixed]
    else:
        rest = np.concatenate([places[config.shots :] for places in mixed])
        chosen = set(random.permutation(rest)[: config.queries * len(labels)].tolist())
        query = [np.array([place for place in places[config.shots :] if int(place) in chosen], int) for places in mixed]
    return Draw(pool.domain, labels, *joined(support), *joined(query))


def check_apart(support: Sequence[Example], examples: Sequence[Example], split: str) -> None:
    """Raises DataError where a domain's own support is among the examples of the split, which are to be scored."""
    learned = {(example.domain, example.text) for example in support}
    if any((example.domain, example.text) in learned for example in examples):
        fix = "score another split: --split test; or draw new supports: --ways 2"
        raise DataError("the texts to score are those that are learned from", where=f"split: {split}", fix=fix)


def with_support(pool: Pool, support: Pool, shots: int, *, offset: int, labels: Sequence[str]) -> Draw:
    """All of a domain, to be scored after its own support. offset: of the domain's texts behind those of supports."""
    learned = [support.places.get(label, np.zeros(0, int))[:shots] for label in labels]
    scored = [pool.places.get(label, np.zeros(0, int)) + offset for label in labels]
    return Draw(pool.domain, tuple(labels), *joined(learned), *joined(scored))


def behind(one: Draw, offset: int) -> Draw:
    """The episode where so many texts stand before those that it was drawn of."""
    return replace(one, support=one.support + offset, query=one.query + offset)


def shots(drawn: Sequence[Draw]) -> int:
    """How many texts per class are learned from, at most."""
    return max(int(np.bincount(one.support_targets, minlength=1).max()) for one in drawn)


def kind(domain: str) -> str:
    """What is asked of a domain: of ``books.t4`` it is ``t4``; of a plain name nothing in particular."""
    ending = domain.rpartition(".")[2]
    return ending if re.fullmatch(r"t\d", ending) else ""


def class_priors(examples: Sequence[Example]) -> dict[str, dict[str, float]]:
    """Of each kind of domain, and under "" of all together, the share that each label has."""
    counts: dict[str, Counter[str]] = {"": Counter()}
    for example in examples:
        for group in {"", kind(example.domain)}:
            counts.setdefault(group, Counter())[str(example.target)] += 1
    return {group: {label: count / found.total() for label, count in sorted(found.items())}
            for group, found in sorted(counts.items())}  # fmt: skip


def joined(parts: Sequence[Ints]) -> tuple[Ints, Ints]:
    """The places of all classes together, and the class of each."""
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def collate(store: Store, drawn: Sequence[Draw], *, known: int | None = None) -> Episode:
    """Episodes of one shape as one, with a leading dimension of tasks.

    known: of the words, those from this one on are known in a task's query only where its own support has them.
    """
    support = _stacked(store, [one.support for one in drawn], [one.support_targets for one in drawn])
    query = _stacked(store, [one.query for one in drawn], [one.query_targets for one in drawn])
    if known is not None:
        import torch

        for learned, asked in zip(support.tokens, query.tokens, strict=True):
            asked[(asked >= known) & ~torch.isin(asked, learned)] = UNKNOWN
    return Episode(support, query, drawn[0].labels)


def _stacked(store: Store, places: Sequence[Ints], targets: Sequence[Ints]) -> Batch:
    import torch

    batch = batching.collate(store, np.concatenate(places))
    shape = (len(places), len(places[0]))
    return Batch(batch.tokens.view(*shape, -1), batch.lengths.view(shape), torch.from_numpy(np.stack(targets)).long())
