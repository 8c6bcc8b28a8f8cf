"""The first lines of a file, cut into columns, and what the values of each column show of it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lstmcli import tags

DOCUMENT = "-DOCSTART"
COMMENT = "#"
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
MOST = 0.9  # fraction of the lines that must count for a column to be a count
FEW = 60  # distinct values that a column of parts of speech has at most
_BLANKS = re.compile(r"[ \t]+")  # other white space may be part of a word
_NUMBER = re.compile(r"\d+(?:[-.]\d+)?")  # of a word; 3-4 and 5.1 in CoNLL-U

Numbered = tuple[int, list[str]]  # number of the line, from 1, and its cells
Block = list[Numbered]  # lines without a blank line between them


@dataclass(frozen=True)
class Survey:
    """The first lines of a file, cut into columns.

    blocks: the lines that have as many columns as most; counts: the values of each of those columns; notations: of the
    columns that hold tags; steady: the fraction of lines that the blocks hold; first, odd, header: the numbers of the
    first line, of the first that has another number of columns, and of one that names the columns, or 0.
    """

    separator: str
    width: int
    blocks: list[Block]
    counts: list[Counter[str]]
    notations: dict[int, tags.Notation]
    steady: float
    first: int
    odd: int
    header: int

    @property
    def plausible(self) -> bool:
        """True where the file is words and tags in columns."""
        words = [cell for block in self.blocks for _, cells in block for cell in cells[:1]]
        return (
            self.width > 1
            and self.steady > 0.5
            and bool(self.notations)
            and sum(" " in word for word in words) < len(words) / 5
        )

    @property
    def suspected(self) -> bool:
        """True where the file is in columns, and one of them has few values; none need be tags."""
        lines = sum(map(len, self.blocks))
        few = any(len(values) <= lines / 4 for values in self.counts)
        return self.width > 1 and self.steady >= 0.8 and few and 1 < len(self.blocks) <= lines / 2


def survey(lines: Sequence[str], separator: str | None = None) -> Survey:
    """Cut the lines into columns. separator: what the user named, a blank for any number of them, or none."""
    separator = _separator(lines) if separator is None else separator.strip(" ")
    blocks = _blocks(lines, separator)
    header = blocks[0][0][0] if blocks and _names_columns(blocks[0][0][1]) else 0
    if header:
        blocks = list(filter(None, [blocks[0][1:], *blocks[1:]]))
    widths = Counter(len(cells) for block in blocks for _, cells in block)
    width = max(widths, key=lambda one: (widths[one], one), default=0)
    even = [[line for line in block if len(line[1]) == width] for block in blocks]
    rows = [cells for block in even for _, cells in block]
    counts = [Counter(cell.strip(INVISIBLE) for cell in column) for column in zip(*rows, strict=True)]
    found = {column: notation for column, values in enumerate(counts) if (notation := tags.notation(values))}
    numbers = [(number, len(cells)) for block in blocks for number, cells in block]
    odd = next((number for number, count in numbers if count != width), 0)
    steady = len(rows) / max(1, len(numbers))
    first = numbers[0][0] if numbers else 1
    return Survey(separator, width, list(filter(None, even)), counts, found, steady, first, odd, header)


def is_range(index: str) -> bool:
    """Return True for the number of a line of CoNLL-U that is no word: 3-4, 5.1."""
    return re.fullmatch(r"\d+[-.]\d+", index) is not None


def cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line; those of a line without visible characters are one, empty."""
    line = line.lstrip("\ufeff")
    if not line.strip(INVISIBLE + " \t\r\n\u00a0"):
        return [""]
    if not separator:
        return _BLANKS.split(line.strip(" \t\r\n"))
    return [cell.strip(" ") for cell in line.rstrip(" \t\r\n").split(separator)]


def _separator(lines: Sequence[str]) -> str:
    """Return a tab where the file uses tabs, for then blanks are part of a word; else empty: any blanks."""
    tabs, blanks = _evenness(_blocks(lines, "\t")), _evenness(_blocks(lines, ""))
    if max(tabs, blanks) > 0.5:
        return "\t" if tabs >= blanks and any("\t" in line for line in lines) else ""
    return next((mark for mark in "|;," if _evenness(_blocks(lines, mark)) > MOST), "")


def _evenness(blocks: Sequence[Block]) -> float:
    """Return the fraction of lines that have as many columns as most, if that is more than one."""
    widths = Counter(len(found) for block in blocks for _, found in block)
    return max((count for width, count in widths.items() if width > 1), default=0) / max(1, widths.total())


def _blocks(lines: Sequence[str], separator: str) -> list[Block]:
    """Return the lines between blank lines and lines that begin documents; ranges of words are left out."""
    found: list[Block] = [[]]
    for number, line in enumerate(lines, 1):
        row = cells(line, separator)
        if row == [""] or line.startswith(COMMENT) or any(cell.startswith(DOCUMENT) for cell in row[:2]):
            found.append([])
        elif not is_range(row[0]):
            found[-1].append((number, row))
    return [block for block in found if block]


def _names_columns(first: Sequence[str]) -> bool:
    """Return whether the cells are names, of a word's column and a tag's."""
    names = [re.sub(r"[\W_]", "", cell.casefold()) for cell in first]
    tagged = any(re.fullmatch(r"ner?|entity|iob|bio|.*(?:tag|label)s?", name) for name in names)
    return tagged and any(name in ("token", "tokens", "word", "words", "form", "text") for name in names)


def counts(seen: Survey, column: int) -> bool:
    """Return whether the column numbers the words of each sentence, from 0 or 1."""
    values = [[cells[column] for _, cells in block] for block in seen.blocks]
    if not all(map(_NUMBER.fullmatch, (value for block in values for value in block[:1]))):
        return False
    pairs = [pair for block in values for pair in _steps(block)]
    if not pairs:
        return all(block[0] in ("0", "1") for block in values)
    steps = sum(after == before + 1 for before, after in pairs)
    again = sum(after in (0, 1) and after != before + 1 for before, after in pairs)  # no blank line after a sentence
    return steps > again and steps + again >= MOST * len(pairs)


def _steps(block: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Each number and the next; what is no number does not count."""
    numbers = [int(value) if value.isdecimal() else -1 for value in block if not is_range(value)]
    yield from pairwise(numbers)


def names_sentences(seen: Survey, column: int) -> bool:
    """Return whether the column has the same name, with a number in it, in all lines of a sentence."""
    values = [{cells[column] for _, cells in block} for block in seen.blocks if len(block) > 1]
    same = sum(len(names) == 1 and any(map(str.isdecimal, next(iter(names)))) for names in values)
    return bool(values) and same >= MOST * len(values)


def few(seen: Survey, column: int, following: int) -> bool:
    """Return whether the column has few values, as parts of speech have, and the following many that are words."""
    values, others = seen.counts[column], seen.counts[following]
    words = sum(count for value, count in others.items() if value.isalpha())
    return len(values) <= FEW and 2 * len(values) < len(others) and words > others.total() / 2
