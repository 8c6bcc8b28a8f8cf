"""Examples whose texts lie in a spool: some 40 bytes of memory per example, where a string in Python has hundreds.

The functions below also take lists of examples, and do the same on them: nothing else need know which it has.
"""

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

from lstmcli.data.batches.ragged import Ints
from lstmcli.data.spool import Buffer, Spool, release
from lstmcli.types import Example

CHUNK = 1000  # examples read at once
WINDOW = 2**24  # bytes read at once, at most
WIDER = {"B": "H", "H": "I"}  # type codes of ``array``


@dataclass(frozen=True)
class Coded:
    """A column of few distinct values: each value once, and its number in each row."""

    values: list[Any]
    numbers: Ints

    def __getitem__(self, row: int) -> Any:
        return self.values[self.numbers[row]]


@dataclass(frozen=True)
class Columns:
    """Examples by column. Text i is the bytes ``offsets[i]`` to ``offsets[i + 1]``; where ``lines[i]`` is not negative,
    it is that line of the file."""

    texts: Buffer
    offsets: Ints
    hashes: Ints
    targets: Coded
    domains: Coded
    files: Coded
    lines: Ints


class Writer:
    """Takes examples of whole texts, one at a time."""

    def __init__(self) -> None:
        self._texts = Spool()
        self._offsets, self._hashes, self._lines = array("q", [0]), array("q"), array("q")
        self._targets, self._domains, self._files = _Coding(), _Coding(), _Coding()

    def append(self, example: Example) -> None:
        """Append an example. Raises DataError where the disk is full."""
        text = _bytes(example)
        self._texts.append(text)
        self._offsets.append(len(self._texts))
        self._hashes.frombytes(_digest(text))
        self._targets.append(example.target)
        self._domains.append(example.domain)
        file, _, line = example.where.rpartition(":")
        in_file = line.isdecimal() and example.where == f"{file}:{int(line)}"
        self._files.append(file if in_file else example.where)
        self._lines.append(int(line) if in_file else -1)

    def examples(self) -> "Spooled":
        """Return the examples that were appended; no more can be."""
        columns = Columns(
            texts=self._texts.read(),
            offsets=np.frombuffer(self._offsets, np.int64),
            hashes=np.frombuffer(self._hashes, np.int64),
            targets=self._targets.coded(),
            domains=self._domains.coded(),
            files=self._files.coded(),
            lines=np.frombuffer(self._lines, np.int64),
        )
        return Spooled(columns, np.arange(len(columns.lines)))


class _Coding:
    """A ``Coded`` that grows; a number takes as few bytes as hold it."""

    def __init__(self) -> None:
        self._known: dict[Any, int] = {}
        self._numbers = array("B")

    def append(self, value: Any) -> None:
        number = self._known.setdefault(value, len(self._known))
        try:
            self._numbers.append(number)
        except OverflowError:
            self._numbers = array(WIDER[self._numbers.typecode], self._numbers)
            self._numbers.append(number)

    def coded(self) -> Coded:
        return Coded(list(self._known), np.frombuffer(self._numbers, self._numbers.typecode))


class Spooled(Sequence[Example]):
    """What a ``Writer`` has taken, or some rows of it, ``[example]``. Each example is made when it is read."""

    def __init__(self, columns: Columns, rows: Ints) -> None:
        self.columns = columns
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> "Spooled": ...
    def __getitem__(self, index: int | slice) -> "Example | Spooled":
        rows = self.rows[index]
        return Spooled(self.columns, rows) if isinstance(index, slice) else next(self._read(np.array([rows])))

    def __iter__(self) -> Iterator[Example]:
        for begin in range(0, len(self), CHUNK):
            yield from self._read(self.rows[begin : begin + CHUNK])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def _read(self, rows: Ints) -> Iterator[Example]:
        """Return the examples of a chunk. Rows in the order of the spool are read at once."""
        here = self.columns
        begins, ends = here.offsets[rows], here.offsets[rows + 1]
        first, last = int(begins.min()), int(ends.max())
        window = here.texts[first:last] if last - first <= WINDOW else None
        for row, begin, end in zip(rows.tolist(), begins.tolist(), ends.tolist(), strict=True):
            text = here.texts[begin:end] if window is None else window[begin - first : end - first]
            file, line = here.files[row], here.lines[row]
            where = file if line < 0 else f"{file}:{line}"
            yield Example(text.decode("utf-8", "surrogatepass"), here.targets[row], here.domains[row], where)
        release(here.texts)


def part(examples: Sequence[Example], indices: Ints) -> Sequence[Example]:
    """Return the examples at the indices, in their order."""
    if isinstance(examples, Spooled):
        return Spooled(examples.columns, examples.rows[indices])
    return [examples[index] for index in indices.tolist()]


def hashes(examples: Sequence[Example]) -> Ints:
    """Return a hash of eight bytes for each text, ``[example]``, by which it is recognised."""
    if isinstance(examples, Spooled):
        return examples.columns.hashes[examples.rows]
    return np.frombuffer(b"".join(_digest(_bytes(example)) for example in examples), np.int64)


def by_target(examples: Sequence[Example]) -> tuple[list[Example], Ints]:
    """Return the first example of each distinct target, in their order, and the number of each example's target among
    them, ``[example]``."""
    if isinstance(examples, Spooled):
        numbers = examples.columns.targets.numbers[examples.rows]
        found, firsts, which = np.unique(numbers, return_index=True, return_inverse=True)
        order = np.argsort(firsts)
        rank = np.empty(len(found), np.int64)
        rank[order] = np.arange(len(found))
        return list(part(examples, firsts[order])), rank[which]
    known: dict[Any, int] = {}
    first: list[Example] = []
    which = np.zeros(len(examples), np.int64)
    for index, example in enumerate(examples):
        which[index] = number = known.setdefault(example.target, len(known))
        if number == len(first):
            first.append(example)
    return first, which


def by_domain(examples: Sequence[Example]) -> Counter[tuple[str, Any]]:
    """How many examples there are of each domain and target."""
    if not isinstance(examples, Spooled):
        return Counter((example.domain, example.target) for example in examples)
    domains, targets = examples.columns.domains, examples.columns.targets
    pairs = domains.numbers[examples.rows].astype(np.int64) * len(targets.values) + targets.numbers[examples.rows]
    found, counts = np.unique(pairs, return_counts=True)
    named = (divmod(pair, len(targets.values)) for pair in found.tolist())
    names = ((domains.values[domain], targets.values[target]) for domain, target in named)
    return Counter(dict(zip(names, counts.tolist(), strict=True)))


def with_targets(examples: Sequence[Example], new: Callable[[Any], Any]) -> Sequence[Example]:
    """Return the examples with the new target of each target."""
    if isinstance(examples, Spooled):
        targets, known = examples.columns.targets, dict[Any, int]()
        composed = (Example("", new(value)).target for value in targets.values)
        table = np.array([known.setdefault(value, len(known)) for value in composed], np.int32)
        columns = replace(examples.columns, targets=Coded(list(known), table[targets.numbers]))
        return Spooled(columns, examples.rows)
    return [replace(example, target=new(example.target)) for example in examples]


def _bytes(example: Example) -> bytes:
    return f"{example.text}".encode("utf-8", "surrogatepass")


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=8).digest()
