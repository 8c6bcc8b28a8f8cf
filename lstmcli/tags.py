"""Entities as one tag per word, and back. The scheme inside is IOBES.

A tag is ``O`` outside every entity, else a position and a type: ``B-PER`` begins an entity of several words, ``I-PER``
goes on, ``E-PER`` ends it, ``S-PER`` is an entity of one word. ``O`` is number 0, and the tags of the k-th type, in
alphabetical order, are 1 + 4k (B), 2 + 4k (I), 3 + 4k (E) and 4 + 4k (S).

Ramshaw & Marcus (1995) for IOB; Ratinov & Roth (2009), section 3, on why a scheme with ends learns better.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
OUTSIDE = "O"
POSITIONS = "BIES"
OTHER_NAMES = {"L": "E", "U": "S", "M": "I", "W": "S"}  # the same positions in BILOU and BMEWO

OUTSIDES = ("O", "o", "0")  # notations of O in files
FILLERS = ("_", "-")  # of no entity, in a column without O
UNTYPED = "ENTITY"  # the type where tags are B, I and O alone
_PREFIXED = re.compile(r"([BIESLUMW])[-_:/.](.+)", re.IGNORECASE)
_SUFFIXED = re.compile(r"(.+)[-_:/.]([BIESLUMW])", re.IGNORECASE)
_BARE = re.compile(r"(?!\w[-_:/.])[^\W\d_][\w.&/-]*")  # no type looks like a prefix
_SEVERAL = re.compile(r"[|;,+#/&][BIESLUMW][-_]")
MANY_TYPES = 200  # distinct values that a column of types without prefixes has at most
SHOWN = 5  # tags that a note lists
FORBIDDEN = -1e4  # score of what ``allowed`` rules out: the probability is zero, and differences stay finite


def layout(types: Iterable[str]) -> tuple[str, ...]:
    """All tags of these types, each at its number."""
    return (OUTSIDE, *(f"{position}-{kind}" for kind in sorted(set(types)) for position in POSITIONS))


def types_of(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the types whose tags these are, each at its k."""
    return tuple(label.removeprefix("B-") for label in labels[1::4])


def split(tag: str) -> tuple[str, str]:
    """Place and type; both empty for ``O``.

    Raises:
        ValueError: not a tag of IOB1, IOB2, IOBES or BILOU.
    """
    if tag == OUTSIDE:
        return "", ""
    position, dash, kind = tag.partition("-")
    position = OTHER_NAMES.get(position, position)
    if not dash or not kind or position not in tuple(POSITIONS):
        raise ValueError(f"'{tag}' is not a tag: O, or B-, I-, E- or S- and a type")
    return position, kind


@dataclass(frozen=True)
class Notation:
    """The notation of the tags in a column: prefix (B-PER, b_PER), suffix (PER-B), untyped (B) or bare (PER)."""

    form: str = "prefix"
    outside: frozenset[str] = frozenset(OUTSIDES)

    def read(self, cell: str) -> str:
        """Return the tag as ``split`` reads it.

        Raises:
            ValueError: not a tag in this notation.
        """
        if cell in self.outside:
            return OUTSIDE
        position, kind = self._parts(cell)
        if not kind:
            raise ValueError(f"'{cell}' is not a tag: O, or B-, I-, E- or S- and a type")
        if _SEVERAL.search(kind):
            raise ValueError(f"'{cell}' is several tags: a word has one")
        return f"{position.upper()}-{kind}"

    def _parts(self, cell: str) -> tuple[str, str]:
        if self.form == "bare":
            return ("I", cell) if _BARE.fullmatch(cell) else ("", "")
        if self.form == "untyped":
            return (cell, UNTYPED) if _is_position(cell) else ("", "")
        if self.form == "suffix":
            found = _SUFFIXED.fullmatch(cell)
            return (found[2], found[1]) if found else ("", "")
        found = _PREFIXED.fullmatch(cell)
        return (found[1], found[2]) if found else ("", "")

    def reads(self, cell: str) -> bool:
        """Return whether the cell is a tag."""
        try:
            self.read(cell)
        except ValueError:
            return False
        return True


def notation(cells: Counter[str]) -> Notation | None:
    """Return the notation of most of a column's cells; None where they are no tags."""
    zeros = sum(cells[one] for one in OUTSIDES)
    outside = frozenset(OUTSIDES if zeros else (*OUTSIDES, *FILLERS))
    inside = Counter({cell: count for cell, count in cells.items() if cell not in outside})
    many = cells.total() / 2
    for form in ("prefix", "untyped", "suffix", "bare"):
        found = Notation(form, outside)
        reading = sum(count for cell, count in inside.items() if found.reads(cell))
        if form != "prefix" and (zeros < cells.total() / 5 or len(inside) > MANY_TYPES):
            continue  # without prefixes, only O distinguishes tags from words or parts of speech
        if 0 < inside.total() <= 2 * reading and cells.total() - inside.total() + reading > many:
            return found
    return Notation() if cells["O"] + cells["o"] > many else None


def remarks(first: Mapping[str, str], found: Notation) -> Iterator[str]:
    """Return what the user may not expect of how tags are read. first: where each tag occurs first, as the file has
    it."""
    read = {cell: found.read(cell) for cell in first if found.reads(cell)}
    where = next(iter(first.values()), "")
    odd = [cell for cell, tag in read.items() if tag != cell]
    if found.form == "bare" and odd:
        yield f"{where}: tags have no B- or I-: neighbouring words of one type are one entity"
    elif odd:
        listed = ", ".join(f"'{cell}' is read as {read[cell]}" for cell in odd[:SHOWN])
        yield f"{first[odd[0]]}: {listed}" + (f" and {len(odd) - SHOWN} more" if len(odd) > SHOWN else "")
    types = {tag[2:] for tag in read.values()}
    folded = Counter(kind.casefold() for kind in types)
    if alike := sorted(kind for kind in types if folded[kind.casefold()] > 1):
        yield f"{where}: types of entity that differ only in case: {', '.join(alike)}"


def _is_position(cell: str) -> bool:
    return cell.upper() in tuple(POSITIONS) or cell.upper() in OTHER_NAMES


def iobes(tags: Sequence[str]) -> tuple[str, ...]:
    """One text's tags in IOBES, from IOB1, IOB2, IOBES or BILOU.

    As in conlleval, an entity begins at a tag B- or S-, after another type, or after ``O``.

    Raises:
        ValueError: as ``split``.
    """
    parts = [split(tag) for tag in tags]
    begins = [
        bool(kind) and (position in "BS" or kind != before_kind or before_position in ("E", "S"))
        for (position, kind), (before_position, before_kind) in zip(parts, [("", ""), *parts], strict=False)
    ]
    following = zip([*parts, ("", "")][1:], [*begins, True][1:], strict=True)
    ends = [
        bool(kind) and (begins_next or not kind_next)
        for (_, kind), ((_, kind_next), begins_next) in zip(parts, following, strict=True)
    ]
    return tuple(
        f"{'IBES'[first + 2 * last]}-{kind}" if kind else OUTSIDE
        for (_, kind), first, last in zip(parts, begins, ends, strict=True)
    )


def spans(numbers: Array, lengths: Array) -> Array:
    """Return the entities of texts laid end to end, each a row ``(first word, word after the last, k of its type)``.

    numbers: ``[word]``; lengths: ``[text]``, words per text; positions count from the first word of the first text.
    Any sequence of numbers is read, also one that no scheme allows, by the rule of ``iobes``.
    """
    inside = numbers > 0
    position, kind = (numbers - 1) % 4, (numbers - 1) // 4
    first_word = np.zeros(len(numbers) + 1, bool)
    first_word[np.concatenate(([0], np.cumsum(lengths)))] = True
    before = np.roll(numbers, 1)
    begins = (position == 0) | (position == 3) | (before == 0) | ((before - 1) // 4 != kind) | ((before - 1) % 4 >= 2)
    begins = inside & (begins | first_word[:-1])
    ends = inside & np.concatenate((~inside[1:] | begins[1:] | first_word[1:-1], [True]))[: len(numbers)]
    starts = np.flatnonzero(begins)
    return np.stack((starts, np.flatnonzero(ends) + 1, kind[starts]), axis=1)


def allowed(labels: int) -> tuple[Array, Array, Array]:
    """Which tags may follow which, ``[from, to]``; which may come first, ``[label]``; and which last, ``[label]``."""
    number = np.arange(labels)
    kind = np.where(number > 0, (number - 1) // 4, -1)
    position = np.where(number > 0, (number - 1) % 4, 3)  # O stands alone, as S does
    opens, closes = (position == 0) | (position == 3), (position == 2) | (position == 3)
    within = ~closes[:, None] & ~opens[None, :] & (kind[:, None] == kind[None, :])
    return within | (closes[:, None] & opens[None, :]), opens, closes
