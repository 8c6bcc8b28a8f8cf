"""Encoded texts as one flat array of ids with offsets, and its place in the user's cache folder.

25,000 reviews are 7 million ids: 28 MB, where lists of Python numbers would take ten times as much.
"""

import hashlib
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from lstmcli import tags
from lstmcli.config import Tokens
from lstmcli.data.batches.ragged import Ints, runs
from lstmcli.data.batches.sampling import labels
from lstmcli.data.spool import Spool, release, taken
from lstmcli.data.spooled import by_target, hashes
from lstmcli.data.text.vocabulary import END, EOS, SPECIAL, Vocabulary
from lstmcli.data.text.word_features import Forms, distinct, forms_of
from lstmcli.errors import DataError
from lstmcli.events import Listener, Progress, silent
from lstmcli.types import CASINGS, Example

CACHE_VERSION = "3"  # of the way vocabularies are built; files of other versions stay in the cache unused
CHUNK = 1000  # texts at once


@dataclass(frozen=True)
class Store:
    """Text i is ``ids[offsets[i]:offsets[i + 1]]``; targets ``[text]``, of tags ``[token]``, or none; of sets of
    labels, 1 or 0 ``[text, label]``; where some are unlabelled, the probabilities of each label ``[text, label]``,
    all zero where no teacher gave any.

    Of a token stream, which a language model reads, each text opens with the end of the one before, and targets are
    the words that follow, ``[token]``.

    Where the data is pretokenized, ``forms`` has the surface forms, and ``form_ids`` ``[token]`` that of each token.
    """

    ids: Ints
    offsets: Ints
    targets: Ints | None = None
    forms: Forms | None = None
    form_ids: Ints | None = None
    is_stream: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        return np.diff(self.offsets)

    def lengths_of(self, indices: Ints) -> Ints:
        """Return the lengths of the texts at the indices."""
        found: Ints = self.offsets[indices + 1] - self.offsets[indices]
        return found

    @property
    def per_token(self) -> bool:
        """True where each token has a target of its own."""
        return self.form_ids is not None or self.is_stream

    @property
    def codes(self) -> Ints:
        """What baselines count, ``[token]``: the id, where the surface form is known together with its casing."""
        if self.forms is None or self.form_ids is None:
            return self.ids
        return self.ids * CASINGS + self.forms.casing[self.form_ids]

    @property
    def known_targets(self) -> Ints:
        """The targets of a store that has them."""
        if self.targets is None:
            raise ValueError("encoded without labels")
        return self.targets

    def part(self, indices: Ints) -> "Store":
        """Return the texts at the indices, in their order; one may come more than once. Raises as ``_untagged``."""
        self._untagged()
        found = self._of_runs(self.offsets[indices][:, None], self.lengths_of(indices)[:, None])
        return replace(found, targets=None if self.targets is None else self.targets[indices])

    def with_soft_labels(self, more: "Store") -> "Store":
        """Return these labelled texts with one-hot targets, and after them those whose targets are probabilities.

        Raises as ``_untagged``.
        """
        self._untagged()
        labels = more.known_targets.shape[1]
        one_hot = np.eye(labels, dtype=np.float32)[self.known_targets]
        offsets = np.concatenate((self.offsets, self.offsets[-1] + more.offsets[1:]))
        return Store(np.concatenate((self.ids, more.ids)), offsets, np.concatenate((one_hot, more.known_targets)))

    def pieces(self) -> Iterator["Store"]:
        """Return the texts in order, some thousand at a time: of a store on disk no more is in memory. Raises as
        ``_untagged``."""
        self._untagged()
        for begin in range(0, len(self), CHUNK):
            offsets = self.offsets[begin : begin + CHUNK + 1]
            targets = None if self.targets is None else self.targets[begin : begin + CHUNK]
            yield Store(self.ids[offsets[0] : offsets[-1]], offsets - offsets[0], targets)
            release(self.ids)

    def truncated(self, config: Tokens) -> "Store":
        """Texts over ``max_tokens`` keep their head and their tail: a review's verdict stands at either end.

        Pretokenized words are all kept, for each has its tag, and so is a token stream.
        """
        if self.forms is not None or self.is_stream:
            return self
        kept = self.truncated_lengths(config)
        if kept.sum() == self.offsets[-1]:
            return self
        head = np.minimum(kept, round(config.max_tokens * config.head))
        both = np.stack((self.offsets[:-1], self.offsets[1:] - kept + head), axis=1)
        return self._of_runs(both, np.stack((head, kept - head), axis=1))

    def truncated_lengths(self, config: Tokens) -> Ints:
        """Return the lengths of the texts of ``truncated``, ``[text]``."""
        free = self.forms is not None or self.is_stream
        return self.lengths if free else np.minimum(self.lengths, config.max_tokens)

    def cropped(self, limit: int, *, seed: tuple[int, ...]) -> "Store":
        """Texts over ``limit`` tokens keep one span of that length, drawn by the seed. Raises as ``_untagged``."""
        self._untagged()
        over = np.maximum(self.lengths - limit, 0)
        start = np.random.default_rng(seed).integers(0, over + 1)
        return self._of_runs((self.offsets[:-1] + start)[:, None], (self.lengths - over)[:, None])

    def _of_runs(self, starts: Ints, lengths: Ints) -> "Store":
        """Texts that consist of some runs of tokens of these, ``[text, run]``."""
        spool = Spool()
        for begin in range(0, len(starts), CHUNK):
            chunk = slice(begin, begin + CHUNK)
            spool.append(taken(self.ids, runs(starts[chunk].ravel(), lengths[chunk].ravel())).tobytes())
        return Store(spool.array(self.ids.dtype.type), _offsets(lengths.sum(axis=1)), self.targets)

    def _untagged(self) -> None:
        """Raise ValueError where parts would lose what belongs to each word: tagged words, or a token stream."""
        if self.forms is not None or self.is_stream:
            raise ValueError("only texts with one label each can be taken apart")


def _offsets(lengths: Ints) -> Ints:
    """Where each text begins, and the end of the last."""
    return np.concatenate(([0], lengths.cumsum()))


def built(
    examples: Sequence[Example],
    config: Tokens,
    *,
    cache: Path | None,
    stream: bool = False,
    listener: Listener = silent,
) -> Vocabulary:
    """Return the vocabulary of the examples, or that of the same texts and settings from the cache.

    stream: for a language model.
    """
    path = None
    if cache is not None:
        name = dataset_hash(examples, config.model_dump_json(), *SPECIAL, EOS if stream else "", CACHE_VERSION)
        path = cache / "vocabularies" / f"{name}.json"
        try:
            return Vocabulary.from_json(path.read_text("utf-8"))
        except Exception:  # not there, cut short or damaged, for which each library has its own errors
            pass
    listener(Progress("building the vocabulary"))
    texts = (example.text for example in examples)
    vocabulary = Vocabulary.build(texts, () if stream else labels_of(examples), config, stream=stream)
    if path is not None:
        _keep(path, lambda partial: partial.write_text(vocabulary.to_json(), "utf-8"))
    return vocabulary


def labels_of(examples: Sequence[Example]) -> tuple[str, ...]:
    """Return the labels of the examples in alphabetical order; of tags, all that there are of their types."""
    firsts, _ = by_target(examples)
    found = set(chain.from_iterable(map(labels, firsts)))
    if any(isinstance(first.target, tuple) for first in firsts):
        return tags.layout(found)
    return tuple(sorted(found))


def check_kind(vocabulary: Vocabulary, examples: Sequence[Example]) -> None:
    """Raise DataError where the texts are pretokenized and the vocabulary reads raw text, or the reverse."""
    if examples and isinstance(examples[0].text, tuple) != vocabulary.pretokenized:
        kinds = "tagged words, the model labels whole texts"
        if vocabulary.pretokenized:
            kinds = "labels of whole texts, the model tags words"
        raise DataError(
            f"the data has {kinds}", where=examples[0].where, fix="give data of the kind that the model reads"
        )


def encode(
    vocabulary: Vocabulary,
    examples: Sequence[Example],
    *,
    cache: Path | None,
    labelled: bool = True,
    listener: Listener = silent,
) -> Store:
    """Encode the examples, or read them from the cache if the same vocabulary has encoded the same texts before.

    Raises:
        DataError: labelled, and an example has a label that the vocabulary does not know; or the texts are words where
            the vocabulary reads raw text, or the reverse.
    """
    check_kind(vocabulary, examples)
    targets = vocabulary.targets(examples) if labelled and not vocabulary.is_stream else None
    if examples and isinstance(examples[0].text, tuple):
        words, form_ids = distinct(examples)
        context = vocabulary.context or vocabulary
        forms = forms_of(words, vocabulary.ids_of(words), context.ids_of(words))
        offsets = np.concatenate(([0], np.cumsum([len(example.text) for example in examples])))
        return Store(forms.ids[form_ids], offsets, targets, forms, form_ids)
    path = None
    if cache is not None:
        path = cache / "encoded" / f"{dataset_hash(examples, vocabulary.to_json())}.npz"
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                found = Store(arrays["ids"], arrays["offsets"], targets)
            return _continued(found) if vocabulary.is_stream else found
        except Exception:  # not there, cut short or damaged, for which each library has its own errors
            pass
    spool, lengths = Spool(), array("i")
    texts = (str(example.text) for example in examples)
    while chunk := list(islice(texts, CHUNK)):
        ids = vocabulary.encode(chunk)
        lengths.extend(map(len, ids))
        spool.append(np.fromiter(chain.from_iterable(ids), np.int32).tobytes())
        listener(Progress("encoding", len(lengths), len(examples)))
    store = Store(spool.array(np.int32), _offsets(np.frombuffer(lengths, np.intc)), targets)
    if path is not None and not spool.on_disk:  # else the cache would take as much room again
        _keep(path, lambda partial: np.savez(partial, ids=store.ids, offsets=store.offsets))
    return _continued(store) if vocabulary.is_stream else store


def _continued(store: Store) -> Store:
    """Return the texts as one token stream."""
    ends = store.offsets[1:]
    count = np.arange(len(store) + 1, dtype=store.offsets.dtype)
    inputs = np.insert(store.ids, store.offsets[:-1], END)
    return Store(inputs, store.offsets + count, np.insert(store.ids, ends, END), is_stream=True)


def dataset_hash(examples: Iterable[Example], *more: str) -> str:
    """Return a hash of the texts and labels in their order."""
    digest = hashlib.blake2b(digest_size=16)
    for text in more:
        digest.update(text.encode() + b"\0")
    for example in examples:
        digest.update(f"{example.text}\0{example.target}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def text_hashes(examples: Sequence[Example]) -> Ints:
    """Return the hashes by which the texts are recognised, sorted, each once."""
    return np.unique(hashes(examples))


def _keep(path: Path, write: Callable[[Path], object]) -> None:
    """Return a cache that cannot be written is no reason to stop."""
    partial = path.with_name(f"{path.stem}.{os.getpid()}{path.suffix}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(path)
    with suppress(OSError):
        partial.unlink(missing_ok=True)
