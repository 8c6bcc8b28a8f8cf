"""The dialect of a table of delimited text: its delimiter, its quotation marks, and whether it has a header.

Detected from the first lines. The names of the columns that are needed decide, where the header has them; else the
delimiter that cuts all lines into as many columns. General-purpose detectors do not know the names, and take another
delimiter where the texts themselves repeat one.
"""

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from lstmcli.config import Data
from lstmcli.data.rows.row import is_number, named
from lstmcli.errors import DataError

DELIMITERS = (",", "\t", ";", "|")
NAMED = {",": "comma", "\t": "tab", ";": "semicolon", "|": "vertical bar"}
LONG = 60  # characters that no column's name has
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
SINGLE = "'"


@dataclass(frozen=True)
class Dialect:
    """skip: lines before the header or first row; quote, escape: "" where there is none; spaced: blanks after a
    delimiter are not part of the cell; label: the column that holds labels, by which a line is known to be a row."""

    delimiter: str
    quote: str = '"'
    escape: str = ""
    spaced: bool = False
    skip: int = 0
    header: bool = True
    label: int | None = None

    def cells(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Return a strict reader of the lines."""
        csv.field_size_limit(sys.maxsize)  # one text may be longer than the module's 128 KiB
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            escapechar=self.escape or None,
            doublequote=not self.escape,
            skipinitialspace=self.spaced,
            strict=True,
        )

    def alone(self, line: str) -> list[str]:
        """Return the cells of a line by itself, quotation marks read as text; none of one that ends in an escape."""
        try:
            return next(replace(self, quote="").cells([line]), [])
        except csv.Error:
            return []


@dataclass(frozen=True)
class _Try:
    """How well a dialect fits: columns of the first row, those of them that are needed, and lines that do not fit."""

    dialect: Dialect
    first: list[str]
    named: int
    faults: int
    lines: int

    @property
    def rank(self) -> tuple[int, float, bool]:
        return -self.named, self.faults / max(1, self.lines), len(self.first) < 2


def detect(lines: Sequence[str], data: Data, needed: Sequence[str], where: str, *, tab: bool, whole: bool) -> Dialect:
    """Return the dialect of a table that begins with the lines.

    needed: columns that must be there; tab: by the name of the file, tabs separate columns; whole: the lines are the
    whole file.

    Raises:
        DataError: two delimiters fit equally well, or the first row is no header.
    """
    skip, stated = _before(lines, data)
    body = lines[skip:]
    if not body:
        raise DataError("the file holds no rows", where=where, fix="give a file with at least one row")
    delimiters = [data.delimiter or stated] if data.delimiter or stated else list(DELIMITERS)
    if tab:
        delimiters.sort(key=lambda one: one != "\t")
    tries = [_best(str(one), body, data, needed, whole=whole, skip=skip) for one in delimiters]
    best = min(tries, key=lambda one: one.rank)
    rivals = [one for one in tries if one.rank[1:] == best.rank[1:] and len(one.first) > 1 and one is not best]
    if best.named < min(1, len(needed)) and rivals and len(best.first) > 1:
        found = " and ".join(NAMED.get(one.dialect.delimiter, one.dialect.delimiter) for one in (best, *rivals))
        fix = f"name it: --set data.delimiter='{_typed(best.dialect.delimiter)}'"
        raise DataError(f"the delimiter is ambiguous: {found} fit equally well", where=where, fix=fix)
    return _headed(best, body, data, needed, where)


def _typed(delimiter: str) -> str:
    return "\\t" if delimiter == "\t" else delimiter


def _before(lines: Sequence[str], data: Data) -> tuple[int, str]:
    """Lines before the table, which are blank, comments or Excel's ``sep=``, and the delimiter that the last names."""
    stated = ""
    for number, line in enumerate(lines):
        text = line.strip("\r\n")
        if re.fullmatch(r"sep=.", text):
            stated = text[-1]
        elif text.strip() and (
            not text.startswith("#") or data.header is False or _is_row(lines[number:], data.delimiter)
        ):
            return number, stated
    return len(lines), stated


def _is_row(lines: Sequence[str], delimiter: str | None) -> bool:
    """Return whether the first line, which begins with #, has as many columns as the line after it."""
    return len(lines) > 1 and any(
        0 < lines[0].count(one) == lines[1].count(one) for one in (*DELIMITERS, *(delimiter or ""))
    )


def _best(delimiter: str, body: Sequence[str], data: Data, needed: Sequence[str], *, whole: bool, skip: int) -> _Try:
    """Return the delimiter with the quotation marks that fit best."""
    spaced = any(re.search(f"(^|{re.escape(delimiter)}) +[\"']", line) for line in body)
    quotes = {"auto": '"', "double": '"', "single": SINGLE, "none": ""}
    base = Dialect(delimiter, quotes[data.quote], spaced=spaced, skip=skip)
    variants = [base]
    if data.quote in ("auto", "double") and any('\\"' in line for line in body):
        variants.append(replace(base, escape="\\"))
    if data.quote == "auto":
        variants.append(replace(base, quote=""))
        if delimiter == "\t" and not _quoted(body, base):
            variants.reverse()  # quotation marks of tab-separated texts are text, unless some must be quoting
        if _all_single(body, delimiter):
            variants.insert(0, replace(base, quote=SINGLE))
    return min((_fit(one, body, needed, whole=whole) for one in variants), key=lambda one: one.rank)


def _quoted(body: Sequence[str], dialect: Dialect) -> bool:
    """Return whether marks must be quoting: a quoted cell holds a doubled mark or the delimiter, or a whole column
    is."""
    mark, delimiter = dialect.quote, re.escape(dialect.delimiter)
    text = "".join(body)
    within = rf"(?:^|{delimiter}){mark}[^{mark}\n]*(?:{mark}{mark}|{delimiter})[^\n]*?{mark}(?:{delimiter}|\r?$)"
    return bool(re.search(within, text, re.MULTILINE)) or any(_marked(body[1:], dialect, mark))


def _all_single(body: Sequence[str], delimiter: str) -> bool:
    """Return whether each line has a cell in single marks."""
    cell = re.compile(rf"(?:^|{re.escape(delimiter)}) *'.*' *(?:{re.escape(delimiter)}|$)")
    rows = [line.strip("\r\n") for line in body[1:] if line.strip()]
    return len(rows) > 1 and all(map(cell.search, rows))


def _marked(body: Sequence[str], dialect: Dialect, mark: str) -> Iterator[bool]:
    """Of each column, whether all its cells (at least two) begin and end with the mark."""
    rows = [dialect.alone(line.strip("\r\n")) for line in body if line.strip()]
    for column in zip(*rows, strict=False):
        cells = [cell.strip() for cell in column]
        yield len(cells) > 1 and all(len(cell) > 1 and cell[0] == cell[-1] == mark for cell in cells)


def _fit(dialect: Dialect, body: Sequence[str], needed: Sequence[str], *, whole: bool) -> _Try:
    """How the lines are cut: a fault is a line that cannot be read, or is not in a row of as many columns."""
    table = [record for record in records(dialect, iter(body)) if record[1] or record[2]]
    first = named(table[0][1]) if table else []
    dialect = replace(dialect, label=_label(first, [cells for _, cells, _ in table[1:]], needed))
    values = Counter(
        cells[dialect.label].strip()
        for lines, cells, _ in table[1:]
        if dialect.label is not None and len(lines) == 1 and len(cells) == len(first)
    )
    faults = 0
    for number, (lines, cells, problem) in enumerate(table):
        cut = problem and not whole and number == len(table) - 1  # the cell may end after the lines that were read
        swallowed = rows_within(dialect, lines, len(first), values) if len(lines) > 1 else 0
        if swallowed or (problem and not cut) or (not problem and len(cells) != len(first)):
            faults += len(lines)
    return _Try(dialect, first, sum(name in first and not is_number(name) for name in needed), faults, len(body))


def records(dialect: Dialect, lines: Iterator[str]) -> Iterator[tuple[list[str], list[str], str]]:
    """Return the lines that each record takes, its cells, and what is wrong with it; a blank line has none."""
    taken: list[str] = []

    def remembered() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    reader = dialect.cells(remembered())
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield taken[:], [], str(error)
            taken.clear()
            continue
        yield taken[:], cells, ""
        taken.clear()


def rows_within(dialect: Dialect, lines: Sequence[str], width: int, values: Counter[str]) -> int:
    """Of the lines that one quoted cell takes in, how many are rows by themselves.

    A row by itself has as many columns as the header, and in the label column a label that other rows have. values: the
    labels so far, with their counts.
    """
    if dialect.label is None or width < 2:
        return 0
    count = 0
    for line in lines:
        cells = dialect.alone(line.strip("\r\n"))
        count += len(cells) == width and values[cells[dialect.label].strip()] > 0
    return count if count > 1 else 0


def _label(first: Sequence[str], table: Sequence[Sequence[str]], needed: Sequence[str]) -> int | None:
    """Return the column that holds labels: the one named as needed, else the one whose cells repeat most, if any do."""
    if len(needed) > 1 and needed[1] in first:
        return list(first).index(needed[1])
    columns = list(zip(*(row for row in table if len(row) == len(first)), strict=False))
    repeats = [len(set(column)) / len(column) for column in columns]
    return None if not repeats or min(repeats) > 0.5 else repeats.index(min(repeats))


def _headed(best: _Try, body: Sequence[str], data: Data, needed: Sequence[str], where: str) -> Dialect:
    """Return the dialect with its header found. Raises DataError where the first row looks like data."""
    dialect = best.dialect
    if data.header is not None:
        return replace(dialect, header=data.header)
    rest = [cells for _, cells, _ in records(dialect, iter(body)) if len(cells) == len(best.first)][1:]
    by_number = [name for column in needed for name in column.split(",")]
    numbers = all(is_number(name.strip()) for name in by_number)
    if best.named == len(needed) and not _a_value(best.first, needed, rest):
        return dialect
    if not _looks_like_data(best.first, rest):
        return dialect
    if numbers:
        return replace(dialect, header=False)
    text, label = _guessed(rest)
    options = f"--text-column {text + 1}" + (f" --label-column {label + 1}" if len(needed) > 1 else "")
    what = "there seems to be no header line: the first row looks like data"
    fix = f"name columns by number: {options} --set data.header=no; or, if it is a header: --set data.header=yes"
    shown = dialect.delimiter.join(best.first)[:LONG]
    raise DataError(what, where=f"{where}:{dialect.skip + 1}: {shown}", fix=fix)


def _a_value(first: Sequence[str], needed: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Return whether the name of the label column is a label of other rows: the first row is no header."""
    if len(needed) < 2 or needed[1] not in first:
        return False
    index = list(first).index(needed[1])
    return any(cells[index].strip() == needed[1] for cells in rest)


def _looks_like_data(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Return whether a cell of the first row is a number, a long text, or a value that its column repeats."""
    for index, name in enumerate(first):
        values = Counter(cells[index].strip() for cells in rest)
        if NUMBER.fullmatch(name) or len(name) > LONG or values[name] > 0 < len(name):
            return True
    return False


def _guessed(rest: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Return the columns of the text and of the label: the one with the longest cells, and of the others the one with
    the fewest different cells, but more than one."""
    columns = list(zip(*rest, strict=False))
    text = max(range(len(columns)), key=lambda index: sum(map(len, columns[index])), default=0)
    others = [index for index in range(len(columns)) if index != text and len(set(columns[index])) > 1]
    return text, min(others, key=lambda index: len(set(columns[index])), default=0)
