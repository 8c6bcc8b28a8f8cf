"""Write labelled data again with corrections: rows left out, labels changed. The input stays as it is."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstmcli.config import Data
from lstmcli.data import folders, rows
from lstmcli.storage import sinks
from lstmcli.types import Example

KINDS = (".csv", ".tsv", ".jsonl")
BEFORE = "_before"  # of the column with the old label, after the name of the label's column
Values = dict[str, Any]


@dataclass(frozen=True)
class Corrections:
    """By ``where`` of a row: rows to leave out, and new labels."""

    dropped: frozenset[str]
    labels: Mapping[str, str]


def write(path: Path, data: Data, split: str, examples: Sequence[Example], corrections: Corrections) -> int:
    """Write a split with all its columns, and return the number of rows. A table keeps its columns; other data has
    text, label and, where it has domains, domain.

    The column of the label has the new one as the file writes it elsewhere; another after it has the old one.

    Raises:
        RuntimeSetupError: the file cannot be written.
    """
    table = _tables(data, split)
    if table:
        columns = _columns(table, data)
        label = next(iter(rows.columns(data.label_column, columns)), data.label_column)
        source = _of_tables(table, data, columns, label, corrections, _spelled(table, data, label, examples))
    else:
        columns, label = ["text", "label", *(["domain"] if any(one.domain for one in examples) else [])], "label"
        source = _of_examples(examples, columns, corrections)
    before = label + BEFORE
    while before in columns:
        before += BEFORE
    count, as_rows = 0, path.suffix.lower() == ".jsonl"
    with sinks.sink(path, {}, [*columns, before], typed=False) as put:
        for values, old in source:
            row = values | {before: old}
            put(row if as_rows else {"kept": row})
            count += 1
    return count


def _tables(data: Data, split: str) -> tuple[Path, ...]:
    """Return the tables that hold the split; none where it is no table of the user's."""
    if data.name != "table" or data.path is None:
        return ()
    return folders.files(data.path).get(split, ())


def _columns(table: Sequence[Path], data: Data) -> list[str]:
    return list(dict.fromkeys(name for path in table for name in rows.names(path, data)))


def _stream(table: Sequence[Path], data: Data) -> Iterator[tuple[str, rows.Row]]:
    for path in table:
        for row in rows.stream(path, data, labelled=True):
            yield f"{path}:{row.line}", row


def _spelled(table: Sequence[Path], data: Data, label: str, examples: Sequence[Example]) -> dict[str, Any]:
    """By label as it is read, how most rows of the file write it."""
    read = {example.where: str(example.target) for example in examples}
    counts: dict[str, Counter[str]] = {}
    written: dict[str, Any] = {}
    for where, row in _stream(table, data):
        if where in read:
            value = _single(row.values.get(label), data)
            counts.setdefault(read[where], Counter())[sinks.cell(value)] += 1
            written[sinks.cell(value)] = value
    return {name: written[found.most_common(1)[0][0]] for name, found in counts.items()}


def _single(value: Any, data: Data) -> Any:
    """Return the one item of a list, where a text has one label; anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 and data.label_separator is None else value


def _of_tables(
    table: Sequence[Path],
    data: Data,
    columns: Sequence[str],
    label: str,
    corrections: Corrections,
    spelled: Mapping[str, Any],
) -> Iterator[tuple[Values, Any]]:
    """Yield the rows that stay, and their old labels where these changed."""
    for where, row in _stream(table, data):
        if where in corrections.dropped:
            continue
        values: Values = {name: row.values.get(name) for name in columns}
        values[label] = _single(values[label], data)
        old = ""
        if where in corrections.labels:
            new = corrections.labels[where]
            old, values[label] = values[label], spelled.get(new, new)
        yield values, old


def _of_examples(
    examples: Sequence[Example], columns: Sequence[str], corrections: Corrections
) -> Iterator[tuple[Values, str]]:
    for example in examples:
        if example.where in corrections.dropped:
            continue
        new = corrections.labels.get(example.where)
        values = {"text": example.text, "label": new or example.target, "domain": example.domain}
        yield {name: values[name] for name in columns}, "" if new is None else str(example.target)
