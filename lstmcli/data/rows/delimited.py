"""Rows of delimited text: CSV, TSV and their relatives, in the dialect that the first lines show."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import TextIO

from lstmcli.config import Data
from lstmcli.data.rows import dialect as dialects
from lstmcli.data.rows.dialect import Dialect
from lstmcli.data.rows.opening import broken, not_decoded
from lstmcli.data.rows.row import Row, check_names, named
from lstmcli.errors import DataError, counted

SHOWN = 1 << 15  # characters that the dialect is found from
QUOTES = "if quotation marks are plain text here: --set data.quote=none"

Record = tuple[list[str], list[str], str]  # its lines, its cells, and what is wrong with it


def read(
    file: TextIO, data: Data, needed: Sequence[str], where: str, *, ending: str, arrived: int | None
) -> Iterator[Row]:
    """Return the rows of the file.

    needed: columns that must be there; arrived: lines that can be looked at without waiting; None: as many as it takes.

    Raises:
        DataError: the dialect cannot be found, or a column's name appears twice.
    """
    head, size = [], 0
    for text in islice(file, arrived):
        head.append(text)
        size += len(text)
        if size > SHOWN:
            break
    more = list(islice(file, 1)) if arrived is None else []
    whole = arrived is None and not more
    dialect = dialects.detect(head, data, needed, where, tab=ending == ".tsv", whole=whole)
    records = dialects.records(dialect, islice(chain(head, more, file), dialect.skip, None))
    line = dialect.skip
    names: list[str] = []
    if dialect.header:
        lines, cells, problem = next(records)
        if problem:
            fix = "correct the line, or set the quotation marks: --set data.quote=none"
            raise DataError(f"the header cannot be read: {problem}", where=f"{where}:{line + 1}", fix=fix)
        names = check_names(named(cells), where)
        line += len(lines)
    yield from _rows(records, dialect, names, line, file)


def _rows(records: Iterator[Record], dialect: Dialect, names: list[str], line: int, file: TextIO) -> Iterator[Row]:
    """Return the rows after the line; without names the columns are called by their numbers."""
    labels: Counter[str] = Counter()
    number = 0
    for lines, cells, problem in records:
        begun, line = line + 1, line + len(lines)
        if not cells and not problem:  # a blank line
            continue
        number += 1
        names = names or [str(number) for number in range(1, len(cells) + 1)]
        if dialect.label is not None and dialect.label >= len(names):
            dialect = replace(dialect, label=None)
        span = f"lines {begun} to {line}"
        if problem and line > begun:
            problem = f"{problem} ({span}: a quotation mark is not closed); {QUOTES}"
        elif not problem and len(cells) != len(names):
            first = "header" if dialect.header else "first row"
            problem = f"{counted(len(cells), 'column')} where the {first} has {len(names)}"
        elif not problem and any(map(broken, cells)):
            problem = not_decoded(file)
        elif not problem and len(lines) > 1 and (inside := dialects.rows_within(dialect, lines, len(names), labels)):
            span = f"a quotation mark that opens in line {begun} and closes in line {line}"
            problem = f"{span} takes in {inside} lines that are rows by themselves; {QUOTES}"
        if problem:
            yield Row(begun, number, problem=problem)
            continue
        if dialect.label is not None:
            labels[cells[dialect.label].strip()] += len(lines) == 1
        yield Row(line, number, dict(zip(names, cells, strict=True)))
