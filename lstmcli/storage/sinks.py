"""Files of predictions: JSON lines, tables (CSV, TSV, parquet) with the same columns in all rows, tagged words."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lstmcli.data.text import conll_format as columns
from lstmcli.data.text import sentences as words
from lstmcli.errors import ConfigError
from lstmcli.storage import atomic

Answer = dict[str, Any]
Put = Callable[[Answer], None]
DELIMITERS = {".csv": ",", ".tsv": "\t"}
KINDS = (".jsonl", *DELIMITERS, ".parquet", columns.KIND)
OF_WORDS = ("tokens", "tags")  # parts of a prediction that tables leave out
NUMBERS = ("probability", "perplexity", "base_value")  # columns that begin so
ROWS = 4096  # of parquet, per write
INPUT_SUFFIX = "_input"  # of a column of the input with the name of a column of the predictions


@contextmanager
def sink(path: Path, blank: Answer, kept: Sequence[str], *, typed: bool) -> Iterator[Put]:
    """Open a file for predictions; it replaces an older one when all are written.

    blank: the prediction of a row that cannot be used, with all columns; kept: columns of the input to copy;
    typed: these have types, as in parquet.

    Raises:
        ConfigError: the file is for words and tags, and the model does not tag.
        RuntimeSetupError: it cannot be written.
    """
    kind = path.suffix.lower()
    flatten = _flattener(blank, kept)
    if kind == columns.KIND and "entities" not in blank:
        what = "words and tags in columns are written by a tagger only"
        raise ConfigError(what, where=f"--output {path}", fix="write a .jsonl, .csv, .tsv or .parquet")
    with atomic.whole(path) as file:
        if kind == ".jsonl":
            yield lambda answer: _write(file, as_json(answer) + "\n")
        elif kind == columns.KIND:
            yield lambda answer: _write(file, _in_columns(answer))
        elif kind in DELIMITERS:
            yield _delimited(file, DELIMITERS[kind], flatten)
        else:
            with _parquet(file, flatten, len(_flat(blank)), typed=typed) as put:
                yield put


def check(
    path: Path, source: Path | None, *, option: str = "--output", kinds: Sequence[str] = KINDS, what: str = "the texts"
) -> None:
    """Check that a file can be written there, before any work is done.

    option: how the user named it; kinds: endings of what can be written; what: the source holds.

    Raises:
        ConfigError: not a kind of file that can be written, or the source itself would be lost.
        RuntimeSetupError: it cannot be written.
    """
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise ConfigError(f"{what} would be written over", where=f"{option} {path}", fix="choose another file")
    if path.suffix.lower() not in kinds:
        raise ConfigError(
            f"'{path.suffix}' cannot be written", where=f"{option} {path}", fix=f"give {', '.join(kinds)}"
        )
    atomic.claim_file(path)


def as_json(value: Any, *, ascii_only: bool = False) -> str:
    """One line of JSON. What JSON lacks becomes null (NaN, infinity) or text (a date of a parquet file)."""
    try:
        return json.dumps(value, ensure_ascii=ascii_only, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=ascii_only, default=str, allow_nan=False)


def _finite(value: Any) -> Any:
    """Return the value with none in place of the numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_finite(key): _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def cell(value: Any) -> str:
    """Return a kept value as text: what is no text as JSON, a missing value (NaN too) as nothing; infinity is
    ``inf``."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    return value if isinstance(value, str) else as_json(value)


def _write(file: IO[bytes], text: str) -> None:
    file.write(text.encode())


def _in_columns(answer: Answer) -> str:
    """Return a line per word with its tag and a blank line after each sentence; a comment for a row that cannot be
    used."""
    if "problem" in answer:
        return f"# row {answer['row']}: {answer['problem']}\n\n"
    text, entities = answer["text"], answer["entities"]
    if "tokens" in answer:
        return columns.lines_of(answer["tokens"], answer["tags"])
    sentences = words.sentences(text)
    return "".join(
        columns.lines_of([text[begin:end] for begin, end in spans], words.tags(spans, entities)) for spans in sentences
    )


def _flat(answer: Answer) -> Answer:
    """One column per value: the probability of each label in its own, what holds several values as JSON."""
    flat: Answer = {}
    for key, value in answer.items():
        if key == "probabilities":
            flat |= {f"probability_{label}": probability for label, probability in value.items()}
        elif key not in ("kept", *OF_WORDS):
            flat[key] = as_json(value) if isinstance(value, list | dict) else value
    return flat


def _flattener(blank: Answer, columns: Sequence[str]) -> Callable[[Answer], Answer]:
    """Return a function from a prediction to one value per column, with the same columns for all.

    A column of the input with the name of a column of the predictions gets ``_input`` after its name.
    """
    names: dict[str, str] = {}
    taken = set(_flat(blank))
    for column in columns:
        name = column
        while name in taken:
            name += INPUT_SUFFIX
        names[column] = name
        taken.add(name)

    def flatten(answer: Answer) -> Answer:
        kept = answer.get("kept", {})
        return _flat(blank | answer) | {name: kept.get(column) for column, name in names.items()}

    return flatten


def _delimited(file: IO[bytes], delimiter: str, flatten: Callable[[Answer], Answer]) -> Put:
    line = io.StringIO(newline="")
    writer = csv.writer(line, delimiter=delimiter)

    def write(cells: Iterable[str]) -> None:
        writer.writerow(cells)
        _write(file, line.getvalue())
        line.seek(0)
        line.truncate()

    write(flatten({}))
    return lambda answer: write(map(cell, flatten(answer).values()))


@contextmanager
def _parquet(file: IO[bytes], flatten: Callable[[Answer], Answer], predicted: int, *, typed: bool) -> Iterator[Put]:
    """predicted: number of columns of the prediction, the first ones; typed: those of the input have types."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    held: list[Answer] = []
    writers: list[Any] = []

    def kind(index: int, name: str, first: list[Any]) -> Any:
        if index < predicted:
            if name == "in_scope":
                return pa.bool_()
            number = pa.float64() if name.startswith(NUMBERS) else None
            return number or (pa.int64() if name in ("row", "words") else pa.string())
        found = pa.array(first).type if typed else pa.null()
        return pa.string() if pa.types.is_null(found) else found

    def flush() -> None:
        columns = {name: [answer[name] for answer in held] for name in flatten({})}
        if not writers:
            fields = [(name, kind(index, name, first)) for index, (name, first) in enumerate(columns.items())]
            writers.append(ParquetWriter(file, pa.schema(fields)))
        schema = writers[0].schema
        for name, values in columns.items():
            if pa.types.is_string(schema.field(name).type):
                columns[name] = [None if value is None else cell(value) for value in values]
        writers[0].write_table(pa.table(columns, schema=schema))
        held.clear()

    def put(answer: Answer) -> None:
        held.append(flatten(answer))
        if len(held) == ROWS:
            flush()

    yield put
    if held or not writers:
        flush()
    writers[0].close()
