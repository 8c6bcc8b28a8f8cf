"""Texts in and labels out, a row at a time: arguments, files and pipes. Runs before torch is loaded."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

from lstmcli.config import Data
from lstmcli.data import rows
from lstmcli.engine import folder
from lstmcli.errors import ConfigError, DataError

KINDS = (".jsonl", ".csv", ".parquet")
ROWS = 4096  # of parquet written at once
WINDOW = 4096  # texts held at once

Said = dict[str, Any]


class Texts:
    """The texts to label. A row that cannot be used is told and skipped; with ``strict`` it stops everything.

    Raises:
        ConfigError: no texts, or two sources of them.
        DataError: a text of no use, or a file that cannot be read.
    """

    def __init__(self, texts: Sequence[str], source: Path | None, *, column: str | None, strict: bool) -> None:
        if texts and source is not None:
            raise ConfigError("texts and --input were both given", fix="give one of them")
        if not texts and source is None and sys.stdin.isatty():
            raise ConfigError("no text", fix="lstmcli predict 'a fine film', or --input FILE, or pipe texts in")
        for text in texts:
            if not text.strip() or rows.broken(text):
                what = "the text is empty" if not text.strip() else "the text has bytes that are not UTF-8"
                raise DataError(what, where="lstmcli predict", fix="give at least one word")
        self._path = None if source is None or str(source) == "-" else source
        self._column = column or Data().text_column
        if self._path is not None:
            next(
                rows.stream(self._path, Data(text_column=self._column)), None
            )  # a bad file is told before torch is loaded
        self.skipped = 0
        self.live = not texts and self._path is None  # more may come later: answer what is there
        self.tell: Callable[[str], None] = lambda _: None
        self._texts = texts
        self._strict = strict

    def windows(self) -> Iterator[list[str]]:
        """The texts in order, a few thousand at a time, so that those of like length can be read together.

        From a pipe: those that have come while the last were answered.
        """
        stream = iter(self._texts) if self._texts else self._rows()
        if self.live:
            yield from _as_they_come(stream)
            return
        while window := list(islice(stream, WINDOW)):
            yield window

    def _rows(self) -> Iterator[str]:
        good = 0
        for row in rows.stream(self._path, Data(text_column=self._column)):
            text, problem = rows.text_of(row, self._column)
            if not problem:
                good += 1
                yield text
                continue
            where = f"{self._path or 'standard input'}:{row.line}"
            if self._strict:
                raise DataError(problem, where=where, fix="mend the row, or leave out --strict to skip it")
            self.skipped += 1
            self.tell(f"{where}: {problem}; skipped")
        if self.skipped and not good:
            where = str(self._path or "standard input")
            raise DataError(f"none of the {self.skipped} rows can be used", where=where, fix="mend the rows")


def _as_they_come(stream: Iterator[str]) -> Iterator[list[str]]:
    """Windows of what another thread has read by the time they are asked for."""
    waiting: Queue[str | Exception | None] = Queue(maxsize=WINDOW)

    def read() -> None:
        try:
            for text in stream:
                waiting.put(text)
            waiting.put(None)
        except Exception as error:  # told where the texts are asked for
            waiting.put(error)

    Thread(target=read, daemon=True).start()
    while True:
        window: list[str] = []
        item = waiting.get()
        while isinstance(item, str):
            window.append(item)
            if len(window) == WINDOW or waiting.empty():
                break
            item = waiting.get()
        if window:
            yield window
        if isinstance(item, Exception):
            raise item
        if item is None:
            return


@contextmanager
def sink(path: Path) -> Iterator[Callable[[Said], None]]:
    """A function that writes one prediction; the file takes its place when all are written.

    Raises:
        ConfigError: not a kind of file that can be written.
        RuntimeSetupError: it cannot be written.
    """
    with folder.whole(path) as file:
        if path.suffix == ".jsonl":
            yield lambda said: _write(file, json.dumps(said, ensure_ascii=False) + "\n")
        elif path.suffix == ".csv":
            yield _csv(file)
        else:
            with _parquet(file) as put:
                yield put


def check_sink(path: Path, source: Path | None) -> None:
    """Raises as ``sink``, before any work is done, and ConfigError where the texts themselves would be lost."""
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise ConfigError("the texts would be written over", where=f"--output {path}", fix="choose another file")
    if path.suffix not in KINDS:
        raise ConfigError(
            f"'{path.suffix}' cannot be written", where=f"--output {path}", fix=f"give {', '.join(KINDS)}"
        )
    folder.claim_file(path)


def _write(file: Any, text: str) -> None:
    file.write(text.encode())


def _flat(said: Said) -> Said:
    """One column a value: the probability of each label becomes a column of its own, entities and next words one of
    JSON."""
    for key in ("entities", "next"):
        if key in said:
            return said | {key: json.dumps(said[key], ensure_ascii=False)}
    shares = {f"probability_{label}": share for label, share in said["probabilities"].items()}
    return {key: value for key, value in said.items() if key != "probabilities"} | shares


def _csv(file: Any) -> Callable[[Said], None]:
    line = io.StringIO(newline="")
    writer = csv.writer(line)
    begun = False

    def put(said: Said) -> None:
        nonlocal begun
        row = _flat(said)
        if not begun:
            writer.writerow(row)
            begun = True
        writer.writerow(row.values())
        _write(file, line.getvalue())
        line.seek(0)
        line.truncate()

    return put


@contextmanager
def _parquet(file: Any) -> Iterator[Callable[[Said], None]]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    held: list[Said] = []
    writers: list[Any] = []

    def flush() -> None:
        table = pa.Table.from_pylist(held)
        if not writers:
            writers.append(ParquetWriter(file, table.schema))
        writers[0].write_table(table)
        held.clear()

    def put(said: Said) -> None:
        held.append(_flat(said))
        if len(held) == ROWS:
            flush()

    yield put
    if held or not writers:
        flush()
    writers[0].close()
