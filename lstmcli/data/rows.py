"""Rows of a table, one at a time: CSV, TSV, JSON lines, parquet, and plain text with a text a line.

A row that cannot be read comes as a Row with ``problem`` set, so that the caller tells it and goes on, or stops.
Memory does not grow with the file.
"""

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from lstmcli.config import Data
from lstmcli.errors import DataError

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")  # with columns
ENDINGS = (*TABLES, ".txt")
PARQUET_ROWS = 1024  # rows held at once
SOUGHT = 1024  # rows of JSON among which one must have the column


@dataclass(frozen=True, slots=True)
class Row:
    """line: where the row ends in the file, from 1 (in parquet: the row's number)."""

    line: int
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""
    number: int = 0  # among the rows of data, from 1


def stream(path: Path | None, data: Data = Data(), *, kind: str = "", need: str = "") -> Iterator[Row]:  # noqa: B008
    """The rows of the file, of standard input where path is none.

    kind: the ending, for what has none; need: a column that the file must have, in place of that of the data.

    Raises:
        DataError: the file cannot be opened, is empty, or lacks the column.
    """
    rows = _stream(path, need or data.text_column, kind, data.delimiter)
    return (replace(row, number=number) for number, row in enumerate(rows, 1))


def names(path: Path, data: Data, *, kind: str = "") -> list[str]:
    """The columns of a table; none of plain text."""
    if (kind or path.suffix) == ".txt":
        return []
    try:
        head = list(islice(stream(path, data, need="\0", kind=kind), 1))
    except DataError as error:
        if "; its columns: " not in error.where:
            raise
        return error.where.split("; its columns: ")[1].split(", ")
    return list(head[0].values) if head else []


def _stream(path: Path | None, need: str, kind: str, delimiter: str | None) -> Iterator[Row]:
    if path is None:
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")  # type: ignore[union-attr]
        yield from _reader(kind)(sys.stdin, need, kind, delimiter)
        return
    kind = kind or path.suffix
    if kind not in ENDINGS:
        raise DataError(f"'{path.suffix}' is not a kind of table", where=str(path), fix=f"give {', '.join(ENDINGS)}")
    if path.is_fifo():
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _reader(kind)(file, need, kind, delimiter)
        return
    if path.is_dir():
        raise DataError("a folder stands where a file is due", where=str(path), fix="give a file inside it")
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), fix="check the path")
    if path.stat().st_size == 0:
        raise DataError("the file is empty", where=str(path), fix="give a file with at least one row")
    if kind == ".parquet":
        yield from _parquet(path, need)
        return
    try:
        # A byte-order mark is dropped; bytes that are not UTF-8 come through as surrogates, told row by row.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _reader(kind)(file, need, kind, delimiter)
    except OSError as error:
        raise DataError(
            f"the file cannot be read: {error.strerror}", where=str(path), fix="check its rights"
        ) from error


def _reader(kind: str) -> Any:
    return {".jsonl": _json_lines, ".txt": _texts}.get(kind, _delimited)


def text_of(row: Row, column: str) -> tuple[str, str]:
    """The row's text, and what is wrong with it (empty: nothing)."""
    if row.problem:
        return "", row.problem
    value = row.values.get(column)
    if value is None:
        return "", f"no '{column}'"
    if not isinstance(value, str):
        return "", f"'{column}' is {type(value).__name__}, not text"
    if not value.strip():
        return "", f"empty '{column}'"
    return value, ""


def label_of(row: Row, column: str) -> tuple[str, str]:
    """The row's label as a word, and what is wrong with it (empty: nothing)."""
    value = row.values.get(column)
    if isinstance(value, float):
        if value != value:
            return "", f"'{column}' is NaN"
        value = int(value) if value.is_integer() else value
    label = "" if value is None else str(value).strip()
    if not label or label.lower() == "nan":
        return "", f"no '{column}'"
    return label, ""


def missing_column(name: str, found: list[str], where: str, *, option: str = "--text-column") -> DataError:
    """The error for a table without that column; option: how the user names another."""
    listed = ", ".join(found[:20]) or "none"
    return DataError(f"no column '{name}'", where=f"{where}; its columns: {listed}", fix=f"name it: {option} NAME")


def broken(text: str) -> bool:
    """True where the text came of bytes that are not UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _texts(file: IO[str], need: str, kind: str, delimiter: str | None) -> Iterator[Row]:  # noqa: ARG001
    for number, line in enumerate(file, 1):
        text = line.rstrip("\r\n").removeprefix("\ufeff" if number == 1 else "")
        yield Row(number, problem="bytes that are not UTF-8") if broken(text) else Row(number, {need: text})


def _delimited(file: IO[str], need: str, kind: str, delimiter: str | None) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # one text may be longer than the module's 128 KiB
    first = file.readline()
    delimiter = delimiter or ("\t" if kind == ".tsv" else ";" if "," not in first and ";" in first else ",")
    reader = csv.reader(chain([first], file), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"the header cannot be read: {error}", where=f"{file.name}:1", fix="mend the line") from error
    if need not in header:
        raise missing_column(need, header, file.name)
    while True:
        begun = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # an unclosed quote takes in all lines to the end: say which
            yield Row(begun, problem=f"{error} (lines {begun} to {reader.line_num})")
            continue
        if not cells:  # a blank line
            continue
        if len(cells) != len(header):
            yield Row(reader.line_num, problem=f"{len(cells)} columns where the header has {len(header)}")
        elif any(map(broken, cells)):
            yield Row(reader.line_num, problem="bytes that are not UTF-8")
        else:
            yield Row(reader.line_num, dict(zip(header, cells, strict=True)))


def _json_lines(file: IO[str], need: str, kind: str, delimiter: str | None) -> Iterator[Row]:  # noqa: ARG001
    """Rows are held back until one has the column that is needed."""
    held: list[Row] = []
    rows = _objects(file)
    for row in rows:
        held.append(row)
        if need in row.values:
            yield from held
            yield from rows
            return
        if len(held) == SOUGHT:
            break
    if found := list(dict.fromkeys(name for row in held for name in row.values)):
        raise missing_column(need, found, file.name)
    yield from held
    yield from rows


def _objects(file: IO[str]) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        if broken(line):
            yield Row(number, problem="bytes that are not UTF-8")
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Row(number, problem=f"not JSON: {error}")
            continue
        if not isinstance(values, dict):
            yield Row(number, problem="not a JSON object")
        elif any(broken(value) for value in values.values() if isinstance(value, str)):
            yield Row(number, problem="half of a surrogate pair")
        else:
            yield Row(number, values)


def _parquet(path: Path, need: str) -> Iterator[Row]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            names = file.schema_arrow.names
            if need not in names:
                raise missing_column(need, names, str(path))
            number = 0
            for batch in file.iter_batches(PARQUET_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(number, values)
    except (ArrowException, OSError, ValueError) as error:  # damaged files raise any of these
        raise DataError(
            f"not a parquet file that can be read: {error}", where=str(path), fix="write it again"
        ) from error
