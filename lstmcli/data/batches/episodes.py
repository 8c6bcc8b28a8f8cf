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
from lstmcli.data.spooled import by_domain
from lstmcli.data.text.vocabulary import UNKNOWN
from lstmcli.errors import DataError, counted
from lstmcli.types import Batch, Episode, Example, LabelSet

MOST = 15  # query texts per class, where the number is not set


@dataclass(frozen=True)
class Pool:
    """A domain: the indices of the different texts of each label."""

    domain: str
    indices: dict[str, Ints]


@dataclass(frozen=True)
class Draw:
    """An episode by the indices of its texts; targets are indices into its labels."""

    domain: str
    labels: tuple[str, ...]
    support: Ints
    support_targets: Ints
    query: Ints
    query_targets: Ints


def pools(examples: Sequence[Example]) -> list[Pool]:
    """Return the domains of the examples; of equal texts in a domain the first."""
    found: dict[str, dict[str, list[int]]] = {}
    seen: set[tuple[str, object]] = set()
    for index, example in enumerate(examples):
        if (example.domain, example.text) not in seen:
            seen.add((example.domain, example.text))
            found.setdefault(example.domain, {}).setdefault(str(example.target), []).append(index)
    return [
        Pool(domain, {label: np.array(indices) for label, indices in sorted(labels.items())})
        for domain, labels in sorted(found.items())
    ]


def usable(found: Sequence[Pool], config: Episodes, labels: Sequence[str], *, split: str | None = None) -> list[Pool]:
    """Return the pools of which episodes can be drawn, without the classes that have too few texts.

    labels: what every domain must have where classes are not drawn; split: the part of a training run that the pools
    are of, none in ``evaluate``: the error proposes the options of the command.

    Raises:
        DataError: there is none.
    """
    kept = _usable(found, config, labels)
    if kept:
        return kept
    where = counted(len(found), "domain") if split is None else f"{split}: {counted(len(found), 'domain')}"
    present = sorted({label for pool in found for label in pool.indices})
    if config.ways is None and not set(present) & set(labels):
        what = f"the data has the labels {', '.join(present)}, the model {', '.join(labels)}"
        option = "--ways 2" if split is None else "--set episodes.ways=2"
        raise DataError(what, where=where, fix=f"draw new classes for each task: {option}")
    ways = counted(config.ways, "class") if config.ways else ", ".join(labels)
    what = f"no domain has {config.shots} + {config.queries} different texts of each of {ways}"
    raise DataError(what, where=where, fix=_fewer(found, config, labels, evaluating=split is None))


def _usable(found: Sequence[Pool], config: Episodes, labels: Sequence[str]) -> list[Pool]:
    """As ``usable``; empty where there is none."""
    kept = []
    for pool in found:
        scarce = config.query == "natural" and config.ways is None  # a class may have few, if the domain has enough
        least = config.shots + (1 if scarce else config.queries)
        rich = {label: indices for label, indices in pool.indices.items() if len(indices) >= least}
        total = sum(map(len, rich.values()))
        if config.ways is None:
            rich = {label: rich[label] for label in labels if label in rich}
            enough = len(rich) == len(labels) and total >= len(labels) * (config.shots + config.queries)
        else:
            enough = len(rich) >= config.ways
        if enough:
            kept.append(Pool(pool.domain, rich))
    return kept


def _fewer(found: Sequence[Pool], config: Episodes, labels: Sequence[str], *, evaluating: bool) -> str:
    """Return the options of the most texts per class that some domain has, first with fewer queries, then with fewer
    shots."""
    smaller = [(config.shots, queries) for queries in range(config.queries - 1, 0, -1)]
    smaller += [(shots, 1) for shots in range(config.shots - 1, 0, -1)]
    for shots, queries in smaller:
        if _usable(found, config.model_copy(update={"shots": shots, "queries": queries}), labels):
            training = f"--set episodes.shots={shots} --set episodes.queries={queries}"
            return f"give more texts, or learn from fewer: {f'--shots {shots}' if evaluating else training}"
    return "give at least two different texts of each class in one domain"


def with_queries(found: Sequence[Pool], config: Episodes, labels: Sequence[str]) -> Episodes:
    """Return the shape with the most queries, up to ``MOST``, with which as many domains are usable as with one.

    Raises:
        DataError: as ``usable``.
    """
    one = config.model_copy(update={"queries": 1})
    count = len(usable(found, one, labels))
    shapes = (config.model_copy(update={"queries": queries}) for queries in range(MOST, 1, -1))
    return next((shape for shape in shapes if len(_usable(found, shape, labels)) == count), one)


def draws(found: Sequence[Pool], config: Episodes, *, count: int, seed: tuple[int, ...]) -> Iterator[Draw]:
    """``count`` episodes, all drawn by the seed."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        pool = found[int(random.integers(len(found)))]
        labels = tuple(pool.indices)
        if config.ways is not None:
            labels = tuple(labels[index] for index in random.permutation(len(labels))[: config.ways])
        yield draw(pool, labels, config, random)


def draw(pool: Pool, labels: tuple[str, ...], config: Episodes, random: Any) -> Draw:
    """One episode of these labels."""
    mixed = [random.permutation(pool.indices[label]) for label in labels]
    support = [indices[: config.shots] for indices in mixed]
    if config.query == "balanced":
        query = [indices[config.shots : config.shots + config.queries] for indices in mixed]
    else:
        rest = np.concatenate([indices[config.shots :] for indices in mixed])
        chosen = set(random.permutation(rest)[: config.queries * len(labels)].tolist())
        query = [np.array([index for index in part[config.shots :] if int(index) in chosen], int) for part in mixed]
    return Draw(pool.domain, labels, *joined(support), *joined(query))


def check_apart(support: Sequence[Example], examples: Sequence[Example], split: str) -> None:
    """Raise DataError where a domain's fixed support is among the examples of the split, which are to be scored."""
    learned = {(example.domain, example.text) for example in support}
    if any((example.domain, example.text) in learned for example in examples):
        fix = "score another split: --split test; or draw new supports: --ways 2"
        raise DataError("the texts to score are those that are learned from", where=f"split: {split}", fix=fix)


def with_support(pool: Pool, support: Pool, shots: int, *, offset: int, labels: Sequence[str]) -> Draw:
    """All of a domain, to be scored after its fixed support. offset: what is added to the indices of its texts."""
    learned = [support.indices.get(label, np.zeros(0, int))[:shots] for label in labels]
    scored = [pool.indices.get(label, np.zeros(0, int)) + offset for label in labels]
    return Draw(pool.domain, tuple(labels), *joined(learned), *joined(scored))


def behind(one: Draw, offset: int) -> Draw:
    """Return the episode with the offset added to the index of every text."""
    return replace(one, support=one.support + offset, query=one.query + offset)


def shots(drawn: Sequence[Draw]) -> int:
    """How many texts per class are learned from, at most."""
    return max(int(np.bincount(one.support_targets, minlength=1).max()) for one in drawn)


def kind(domain: str) -> str:
    """Return the kind of a domain: of ``books.t4`` it is ``t4``; of other names empty."""
    ending = domain.rpartition(".")[2]
    return ending if re.fullmatch(r"t\d", ending) else ""


def class_priors(examples: Sequence[Example]) -> dict[str, dict[str, float]]:
    """Return the frequency of each label, as a fraction of all labels, by kind of domain; under "" of all domains
    together."""
    counts: dict[str, Counter[str]] = {"": Counter()}
    for (domain, target), count in by_domain(examples).items():
        for group in {"", kind(domain)}:
            for label in target if isinstance(target, LabelSet) else [str(target)]:
                counts.setdefault(group, Counter())[label] += count
    return {group: {label: count / found.total() for label, count in sorted(found.items())}
            for group, found in sorted(counts.items())}  # fmt: skip


def joined(parts: Sequence[Ints]) -> tuple[Ints, Ints]:
    """Return the indices of all classes together, and the class of each."""
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def collate(store: Store, drawn: Sequence[Draw], *, known: int | None = None) -> Episode:
    """Episodes of one shape as one, with a leading dimension of tasks.

    known: words from this id on are read in a query as unknown, unless the support of the task has them.
    """
    support = _stacked(store, [one.support for one in drawn], [one.support_targets for one in drawn])
    query = _stacked(store, [one.query for one in drawn], [one.query_targets for one in drawn])
    if known is not None:
        import torch

        for learned, scored in zip(support.tokens, query.tokens, strict=True):
            scored[(scored >= known) & ~torch.isin(scored, learned)] = UNKNOWN
    return Episode(support, query, drawn[0].labels)


def _stacked(store: Store, indices: Sequence[Ints], targets: Sequence[Ints]) -> Batch:
    import torch

    batch = batching.collate(store, np.concatenate(indices))
    shape = (len(indices), len(indices[0]))
    return Batch(batch.tokens.view(*shape, -1), batch.lengths.view(shape), torch.from_numpy(np.stack(targets)).long())
