"""Rows of a table, one at a time: delimited text, JSON, parquet, workbooks, and plain text with one text per line.

A row that cannot be read becomes a Row with a problem, so that the caller reports it and continues, or stops. Memory
does not grow with the file, but for workbooks.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from lstmcli.config import Data
from lstmcli.data.rows import delimited, json_rows, typed
from lstmcli.data.rows.opening import COMPRESSED, SAMPLE, broken, decoded, kind_of, not_decoded, opened
from lstmcli.data.rows.row import Row, is_number, label_of, labels_of, missing_column, text_of
from lstmcli.errors import DataError

__all__ = [
    "COMPRESSED",
    "ENDINGS",
    "TABLES",
    "Row",
    "broken",
    "label_of",
    "labels_of",
    "missing_column",
    "names",
    "stream",
    "text_of",
]

JSON = (".jsonl", ".ndjson", ".json")
DELIMITED = (".csv", ".tsv")
TYPED = (".parquet", ".arrow", ".feather", ".xlsx", ".ods")
TABLES = (*DELIMITED, *JSON, *TYPED)  # with columns
LINES = ".txt"
ENDINGS = (*TABLES, LINES)
SEARCHED = 1024  # first rows, of which one must have the columns
STDIN = "standard input"
FASTTEXT = "__label__"  # prefix of each label of a line in fastText's format


def stream(path: Path | None, data: Data, *, kind: str = "", labelled: bool = False) -> Iterator[Row]:
    """Return the rows of the file, of standard input where path is none; ``data.text_column`` holds the text.

    kind: the ending that names the format, for input without one; "": the file's own, for standard input ``.txt``.
    labelled: the label's column is needed too. Columns may be named by their number from 1, and several columns that
    commas join make one text.

    Raises:
        DataError: the file cannot be opened or is empty, its format is not known, or it lacks a column.
    """
    needed = [data.text_column, *([data.label_column] if labelled else [])]
    with closing(_rows(path, data, needed, kind)) as found:  # also where a column is missing
        yield from _chosen(found, needed, str(path or STDIN))


def _rows(path: Path | None, data: Data, needed: Sequence[str], kind: str) -> Generator[Row, None, None]:
    """As ``stream``, with the columns as the file names them."""
    where = str(path or STDIN)
    with opened(path) as (raw, ending):
        first = raw.peek(SAMPLE)
        kind = _kind(first, kind or ending, path)
        if kind in (LINES, *DELIMITED, *JSON):
            piped = path is None or not path.is_file()
            arrived = max(1, first.count(b"\n")) if piped else None  # lines that need not be waited for
            with decoded(raw, first, data, where) as file:
                if kind == LINES:
                    yield from _texts(file, data)
                elif kind in JSON:
                    yield from json_rows.read(file)
                else:
                    yield from delimited.read(file, data, needed, where, ending=kind, arrived=arrived)
        elif path is None or kind not in TYPED:
            what = f"'{kind}' is not a kind of table" if kind else "the name has no ending that names the format"
            fix = f"give {', '.join(ENDINGS)}, compressed or not; predict takes the format too: --format csv"
            raise DataError(what, where=where, fix=fix)
        elif kind in (".xlsx", ".ods"):
            yield from typed.sheet(raw.read(), where, header=data.header)
        else:
            yield from (typed.parquet if kind == ".parquet" else typed.arrow)(path)


def _kind(first: bytes, ending: str, path: Path | None) -> str:
    """Return the ending that names the format: by the first bytes, by the name, or by the first character."""
    kind = kind_of(first, ending or ("" if path else LINES), path)
    return ".json" if not kind and first.lstrip()[:1] in (b"{", b"[") else kind


def is_table(path: Path) -> bool:
    """Return whether the file is a table with columns by its ending or first bytes, or lines in fastText's format."""
    try:
        with opened(path) as (raw, ending):
            first = raw.peek(SAMPLE)
    except DataError:
        return path.suffix.lower() in (*TABLES, *COMPRESSED)  # reading it reports what is wrong
    kind = _kind(first, ending, path)
    return kind in TABLES or (kind == LINES and first.startswith(FASTTEXT.encode()))


def whole_text(path: Path, data: Data) -> tuple[str, str]:
    """Return the text of a whole file, and what is wrong with it (empty: nothing)."""
    try:
        with opened(path) as (raw, _), decoded(raw, raw.peek(SAMPLE), data, str(path)) as file:
            text = file.read()
            if broken(text):
                return "", not_decoded(file)
    except DataError as error:
        return "", error.what
    return text, "" if text.strip() else "empty text"


def names(path: Path, data: Data, *, kind: str = "") -> list[str]:
    """Return the names of a table's columns; none of plain text. Raises DataError where the file cannot be read."""
    found = islice(_rows(path, data, [data.text_column], kind), SEARCHED)
    known = dict.fromkeys(name for row in found for name in row.values)
    return [] if _is_plain(path, kind) else list(known)


def _is_plain(path: Path, kind: str) -> bool:
    with opened(path) as (raw, ending):
        first = raw.peek(SAMPLE)
        return _kind(first, kind or ending, path) == LINES and not first.startswith(FASTTEXT.encode())


def _texts(file: TextIO, data: Data) -> Iterator[Row]:
    """Lines of plain text. Labels in fastText's format at the beginning of a line are read as labels."""
    lines = enumerate(file, 1)
    first = next(lines, None)
    if first is None:
        return
    has_labels = first[1].startswith(FASTTEXT)
    for number, line in chain([(1, first[1].removeprefix("\ufeff"))], lines):
        text = line.rstrip("\r\n")
        if broken(text):
            yield Row(number, number, problem=not_decoded(file))
        elif has_labels:
            yield Row(number, number, _fasttext(text, data))
        else:
            yield Row(number, number, {data.text_column: text})


def _fasttext(line: str, data: Data) -> dict[str, object]:
    labels = []
    while line.startswith(FASTTEXT):
        label, *rest = line.split(maxsplit=1)
        labels.append(label.removeprefix(FASTTEXT))
        line = rest[0] if rest else ""
    return {data.text_column: line, data.label_column: labels}


def _chosen(rows: Iterator[Row], needed: Sequence[str], where: str) -> Iterator[Row]:
    """Return the rows, with the needed columns under the names in ``needed``.

    Raises:
        DataError: none of the first rows has a column that is needed.
    """
    held: list[Row] = []
    found: dict[str, None] = {}
    chosen: dict[str, list[str]] = {}
    for row in rows:
        held.append(row)
        found |= dict.fromkeys(row.values)
        chosen = {name: meant for name in needed if (meant := columns(name, list(found)))}
        if len(chosen) == len(needed) or len(held) == SEARCHED:
            break
    for name, option in zip(needed, ("--text-column", "--label-column"), strict=False):
        if found and name not in chosen:
            raise missing_column(name, list(found), where, option=option)
    renamed = {name: meant for name, meant in chosen.items() if meant != [name]}
    for row in chain(held, rows):
        if renamed and not row.problem:
            row.values.update({name: _joined(row, meant) for name, meant in renamed.items()})
        yield row


def columns(name: str, found: Sequence[str]) -> list[str]:
    """Return the columns that a name means: the one called so, but for capitals, the one at a number, or several,
    joined."""
    if name in found:
        return [name]
    alike = [one for one in found if one.strip().lower() == name.lower()]
    if len(alike) == 1:
        return alike
    if is_number(name) and 0 < int(name) <= len(found):
        return [found[int(name) - 1]]
    parts = [columns(part.strip(), found) for part in name.split(",")] if "," in name else []
    return [one for part in parts for one in part] if all(parts) else []


def _joined(row: Row, meant: Sequence[str]) -> object:
    if len(meant) == 1:
        return row.values.get(meant[0])
    return " ".join(str(value) for name in meant if (value := row.values.get(name)) is not None)
