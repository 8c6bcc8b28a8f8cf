"""The whole check of labelled texts: findings on rows, remarks on labels, accuracy of two models, learning curve."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, repeat
from typing import Any, cast

import numpy as np

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.contracts import TextTask
from lstmcli.data.batches import check
from lstmcli.data.batches.encoded import Store, built, encode
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.batches.unknown_words import counts, tally
from lstmcli.errors import counted
from lstmcli.events import Listener, Noted, Progress, silent
from lstmcli.inference import assemble
from lstmcli.machine import runtime
from lstmcli.quality import copies, curve, label_errors, outliers, similar
from lstmcli.quality.curve import Curve
from lstmcli.quality.findings import KINDS, Finding, finding, unusable
from lstmcli.quality.label_errors import LabelCheck, LabelError
from lstmcli.quality.out_of_fold import Texts
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.types import Example, Rows, SplitCheck

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Audit:
    """What was found.

    findings: sorted by kind, the most important first, and within a kind the most certain or the first row; accuracy:
    out of fold, against the labels as they are, of ``encoder``, ``linear`` and ``both``; curve: none of too few texts.
    """

    data: str
    splits: dict[str, SplitCheck]
    findings: list[Finding]
    remarks: list[str]
    accuracy: dict[str, float]
    curve: Curve | None
    seconds: float

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind that was found."""
        numbers = {kind: sum(one.kind == kind for one in self.findings) for kind in KINDS}
        return {kind: number for kind, number in numbers.items() if number}

    def plain(self) -> dict[str, Any]:
        """Return the audit as JSON has it."""
        summary = {"data": self.data, "counts": self.counts, "accuracy": self.accuracy, "remarks": self.remarks}
        splits = {name: {"examples": split.examples, "labels": split.labels} for name, split in self.splits.items()}
        grown = None if self.curve is None else asdict(self.curve) | {"summary": self.curve.sentence()}
        findings = [one.plain() for one in self.findings]
        return summary | {"splits": splits, "learning_curve": grown, "seconds": self.seconds, "findings": findings}


@dataclass(frozen=True)
class Read:
    """The texts of all splits. splits: of each text, by name; store: whole texts; labels: names of the targets."""

    examples: list[Example]
    splits: list[str]
    repeats: similar.Repeats
    store: Store
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Encoded:
    """Texts as the model that ships reads them. features: ``[text, feature]``; words: of each text those that it reads,
    and how many it does not know, ``[text, 2]``."""

    features: Array
    words: Ints


def run(config: RunConfig, parts: dict[str, Rows], *, data: str, seed: int = 0, listener: Listener = silent) -> Audit:
    """Check the texts of all splits together.

    Args:
        config: The recipe that they would be trained with.
        parts: What a reader found, by split; ``train`` among them.
        data: The data's name, for people.
        seed: Of the folds and draws.
        listener: Called with each event.

    Raises:
        DataError: only one class.
    """
    begun = time.perf_counter()
    examples = {name: rows.examples for name, rows in parts.items()}
    read = read_texts(config, examples, listener=listener)
    kept, ends = read.store.truncated(config.tokens), np.cumsum([0, *map(len, examples.values())])
    lengths = {
        name: (read.store.lengths[begin:end], kept.lengths[begin:end])
        for name, begin, end in zip(examples, ends[:-1], ends[1:], strict=True)
    }
    checked = check.check(examples, lengths)
    for note in chain.from_iterable(rows.notes for rows in parts.values()):
        listener(Noted(note))
    encoded = encoded_by_shipped(config, read.examples, listener=listener)
    labels = _label_errors(config, read, encoded, kept, seed, listener)
    of_words = tally(encoded.words).remark(fix="the encoder reads English: rely on the linear model")
    remarks = [
        *check.label_remarks(checked["train"], fix=f"when you train, {check.UNEVEN_FIX}"),
        *labels.remarks,
        *of_words,
    ]
    found = [
        *(unusable(where, reason, name) for name, rows in parts.items() for where, reason in rows.bad),
        *copies.found(read.examples, read.splits, read.repeats),
        *(_error(read, error) for error in labels.errors),
        *_unlike(read, encoded, seed),
        *_truncated(read, kept, config),
    ]
    order = list(KINDS)
    found.sort(key=lambda one: order.index(one.kind))  # stable
    return Audit(data, checked, found, remarks, labels.accuracy, labels.curve, round(time.perf_counter() - begun, 1))


def _label_errors(
    config: RunConfig, read: Read, encoded: Encoded, kept: Store, seed: int, listener: Listener
) -> LabelCheck:
    """Search for label errors, where each text has one label. kept: the texts truncated."""
    if kept.known_targets.ndim > 1:
        return LabelCheck([], {}, None, ["label errors are searched for where each text has one label, not here"])
    texts = Texts(encoded.features, kept, kept.known_targets, read.labels)
    task = cast(TextTask, registry.task(config.task))
    return label_errors.search(texts, read.repeats.groups, task, seed=seed, listener=listener)


def read_texts(config: RunConfig, parts: Mapping[str, Sequence[Example]], *, listener: Listener = silent) -> Read:
    """Search for repeated texts, and encode the texts of all splits with a vocabulary of their own."""
    examples = list(chain.from_iterable(parts.values()))
    splits = list(chain.from_iterable(repeat(name, len(part)) for name, part in parts.items()))
    listener(Progress("searching for repeated texts"))
    repeats = similar.repeats([str(example.text) for example in examples])
    cache = assemble.cache_of(config)
    vocabulary = built(examples, config.tokens, cache=cache, listener=listener)
    store = encode(vocabulary, examples, cache=cache, listener=listener)
    return Read(examples, splits, repeats, store, vocabulary.labels)


def encoded_by_shipped(config: RunConfig, examples: Sequence[Example], *, listener: Listener = silent) -> Encoded:
    """Compute the features of the model that ships."""
    checkpoint = checkpoints.load(checkpoints.PRETRAINED)
    parts = assemble.restored(checkpoint, runtime.prepare(config))
    cache = assemble.cache_of(config)
    store = encode(parts.vocabulary, examples, cache=cache, labelled=False, listener=listener).truncated(config.tokens)
    return Encoded(assemble.embeddings(parts, store, listener=listener), counts(store))


def _error(read: Read, error: LabelError) -> Finding:
    example = read.examples[error.index]
    suggested, label = read.labels[error.suggested], str(example.target)
    reason = (
        f"models fitted without this text give '{suggested}' {error.confidence:.0%} and '{label}' {error.before:.0%}; "
        f"{'the two agree' if error.agreed else 'one of the two would choose another'}"
    )
    return finding(
        "label error", example, read.splits[error.index], reason, suggested=suggested, confidence=error.confidence
    )


def _unlike(read: Read, encoded: Encoded, seed: int) -> list[Finding]:
    if len(read.examples) < curve.FEWEST:
        return []
    known = 1 - encoded.words[:, 1] / encoded.words[:, 0]
    reasons = {index: f"{known[index]:.0%} of the words are known" for index in outliers.foreign(known).tolist()}
    # One text of each group: copies are near each other, however far from the others.
    first = np.unique(read.repeats.groups, return_index=True)[1]
    if len(first) > 1:
        distance = outliers.distances(encoded.features[first], seed=seed)
        usual = np.median(distance)
        for index in outliers.far(distance).tolist():
            what = f"{distance[index] / usual:.1f} times as far from the nearest texts as is usual"
            reasons.setdefault(int(first[index]), what)
    return [finding("outlier", read.examples[index], read.splits[index], why) for index, why in reasons.items()]


def _truncated(read: Read, kept: Store, config: RunConfig) -> list[Finding]:
    limit = config.tokens.max_tokens
    return [
        finding("truncated", read.examples[index], read.splits[index],
                f"{counted(read.store.lengths[index], 'token')}; {limit} are read (tokens.max_tokens={limit})")
        for index in np.flatnonzero(read.store.lengths > kept.lengths).tolist()
    ]  # fmt: skip
