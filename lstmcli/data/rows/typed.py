"""Rows of files whose columns have types: parquet, Arrow and spreadsheets."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lstmcli.data.rows.opening import broken
from lstmcli.data.rows.row import Row, check_names
from lstmcli.errors import DataError

ROWS = 1024  # held at once


def parquet(path: Path) -> Iterator[Row]:
    """Return the rows of a parquet file; numbers of a column with class names (ClassLabel) become those names.

    Raises:
        DataError: the file cannot be read, or a column's name appears twice.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            check_names(file.schema_arrow.names, str(path))
            yield from _rows(file.iter_batches(ROWS), file.schema_arrow)
    except (ArrowException, OSError, ValueError) as error:  # damaged files raise any of these
        what = f"not a parquet file that can be read: {error}"
        raise DataError(what, where=str(path), fix="write it again") from error


def arrow(path: Path) -> Iterator[Row]:
    """Return the rows of an Arrow file or stream, as ``parquet``."""
    from pyarrow import ArrowException, ipc, memory_map

    try:
        with memory_map(str(path)) as source:
            try:
                file = ipc.open_file(source)
                batches = (file.get_batch(index) for index in range(file.num_record_batches))
            except (ArrowException, ValueError):
                source.seek(0)
                batches = file = ipc.open_stream(source)
            check_names(file.schema.names, str(path))
            yield from _rows(map(_validated, batches), file.schema)
    except (ArrowException, OSError, ValueError) as error:
        what = f"not an Arrow file that can be read: {error}"
        raise DataError(what, where=str(path), fix="write it again") from error


def _validated(batch: Any) -> Any:
    """Return the batch. Raises ArrowException where its offsets point outside of it: Arrow itself would read there."""
    batch.validate(full=True)
    return batch


def _rows(batches: Iterator[Any], schema: Any) -> Iterator[Row]:
    import pyarrow as pa

    classes = _classes(schema.metadata or {})
    short = [
        name for name, kind in zip(schema.names, schema.types, strict=True) if kind in (pa.float16(), pa.float32())
    ]
    number = 0
    for batch in batches:
        for name in short:  # 0.7, not 0.699999988079071
            index = batch.schema.get_field_index(name)
            batch = batch.set_column(index, name, batch.column(index).cast(pa.string()).cast(pa.float64()))
        for values, problem in _values(batch):
            number += 1
            for name, known in classes.items():
                if name in values:
                    values[name] = _named(values[name], known)
            yield Row(number, number, values, problem)


def _values(batch: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Return the values of each row, and what is wrong with it: dates that Python does not have, bytes that are not
    UTF-8."""
    try:
        yield from ((values, "") for values in batch.to_pylist())
    except (ValueError, OverflowError):
        for index in range(batch.num_rows):
            try:
                (values,) = batch.slice(index, 1).to_pylist()
            except (ValueError, OverflowError) as error:
                yield {}, f"a value that cannot be read: {error}"
            else:
                yield values, ""


def _classes(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """By column, the names of its classes, where Hugging Face's ``datasets`` has written them."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        inner = {name: feature.get("feature", feature) for name, feature in features.items()}
        found = {name: feature["names"] for name, feature in inner.items() if feature.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: names for name, names in found.items() if isinstance(names, list) and all(map(_is_text, names))}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and not broken(value)


def _named(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def sheet(content: bytes, where: str, *, header: bool | None) -> Iterator[Row]:
    """Return the rows of the one sheet of a workbook that holds any; the first row that holds something is the header.

    Raises:
        DataError: python-calamine is not installed, the workbook cannot be read, or several of its sheets hold rows.
    """
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError as error:
        what = "reading a workbook needs the package python-calamine"
        raise DataError(what, where=where, fix="pip install python-calamine; or save the sheet as CSV") from error

    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}
    except CalamineError as error:
        raise DataError(
            f"not a workbook that can be read: {error}", where=where, fix="save the sheet as CSV"
        ) from error
    filled = {name: rows for name, rows in sheets.items() if any(cell != "" for row in rows for cell in row)}
    if len(filled) != 1:
        listed = ", ".join(filled) or "none"
        raise DataError(f"sheets that hold rows: {listed}", where=where, fix="save the sheet that is meant as CSV")
    names: list[str] = []
    number = 0
    for line, cells in enumerate(next(iter(filled.values())), 1):
        if all(cell == "" for cell in cells):
            continue
        if not names and header is not False:
            names = check_names([str(cell).strip() for cell in cells], where)
            continue
        names = names or [str(number) for number in range(1, len(cells) + 1)]
        number += 1
        yield Row(line, number, dict(zip(names, cells, strict=False)))
