"""Rows to predict, one at a time: arguments, files and pipes. They are opened after mistakes are caught.

Every row of the input has one prediction in the same order: a row whose text cannot be used has an empty one with the
reason, and so has a blank line.
"""

import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, starmap
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

from lstmcli.config import Data
from lstmcli.data import rows
from lstmcli.data.text import conll_format as columns
from lstmcli.errors import ConfigError, DataError, did_you_mean, none_of
from lstmcli.storage import data_option

WINDOW = 4096  # rows in memory
HEAD = 1024  # rows among which the columns to keep are looked for
SHOWN = 5  # rows without a prediction that are reported one by one
LINES = ".txt"  # the kind of input that has no columns
ALL = "all"
OF_TABLES = ("text_column", "quote", "header")  # fields of section data that lines and words in columns do not have


@dataclass(frozen=True)
class TextOptions:
    """How to read the rows.

    source: a file, none or ``-``: standard input; kind: the ending, for input that has none; reading: fields of section
    ``data``; keep: columns to copy, ``all`` or their names with commas between; strict: stop at the first row
    that cannot be used; skip_bad: leave such rows out.
    """

    source: Path | None = None
    kind: str = ""
    reading: Mapping[str, Any] = field(default_factory=dict)
    keep: str | None = None
    strict: bool = False
    skip_bad: bool = False

    @property
    def path(self) -> Path | None:
        """The file; None: standard input."""
        return None if self.source is None or str(self.source) == "-" else self.source


@dataclass(frozen=True, slots=True)
class Question:
    """One row. number: of the row, from 1; problem: why its text cannot be used; kept: values to copy; words: where
    the input has words, not text."""

    number: int
    text: str
    problem: str = ""
    kept: Mapping[str, Any] | None = None
    words: tuple[str, ...] = ()


class Texts:
    """The rows to predict. Mistakes that can be found without the model are found when it is made.

    Raises:
        ConfigError: no texts, or two sources of them, or an option that has no effect on them.
        DataError: a text that cannot be used, or a file that cannot be read.
    """

    def __init__(self, texts: Sequence[str], options: TextOptions) -> None:
        self._texts = texts
        self._options = options
        self.live = not texts and _is_pipe(options.path)  # more may come later: predict what has come
        self.columns: list[str] = []  # to copy
        self.further: dict[str, None] = {}  # other columns, which appear only after the first rows
        self.unanswered = 0
        self.report: Callable[[str], object] = lambda _: None
        self.skip_bad = options.skip_bad
        self.typed = options.path is not None and options.path.suffix.lower() == ".parquet"  # values are no text
        self._data = Data().model_copy(update=dict(options.reading))
        self._names: list[str] | None = None  # of the columns, where the file can be looked into
        self._stream: Iterator[rows.Row] = iter(())
        self._expected: tuple[str, ...] = ()  # columns of texts that a table would have
        _check(texts, options)
        self._in_columns = not texts and _in_columns(options)
        if not texts and options.path is not None and not self.live and not self._in_columns:
            self._names = rows.names(options.path, self._data, kind=options.kind)
        piped = options.path is None and options.kind in ("", LINES)
        self._lines = bool(texts) or piped or self._names == []
        _check_use(options, arguments=bool(texts), lines=self._lines, in_columns=self._in_columns)
        if self._names and options.keep is not None:
            self.columns = _kept(options.keep, self._names, self._data.text_column)

    def open(self, trained_on: Data) -> None:
        """Begin to read. trained_on: the data of the model's training, whose column names are tried.

        Raises:
            ConfigError: a column to keep that the rows do not have.
            DataError: the rows cannot be read, or have no column of texts.
        """
        options = self._options
        if self._texts:
            return
        self._expected = (self._data.text_column, trained_on.text_column)
        if not self._lines:
            names = (
                [trained_on.text_column] if self._names is None else self._names
            )  # of a pipe the model's are expected
            update = data_option.remembered(trained_on, names) | dict(options.reading)
            self._data = self._data.model_copy(update=update)
        kind = options.kind or (LINES if options.path is None else "")
        if self._in_columns:
            word_column = self._data.word_column or trained_on.word_column
            self._data = self._data.model_copy(update={"word_column": word_column})
            stream = columns.stream(options.path, self._data)
        else:
            stream = rows.stream(options.path, self._data, kind=kind)
        if self.live and not self._lines:
            stream = self._begun(stream)
        self._stream = stream

    def windows(self) -> Iterator[list[Question]]:
        """Return the rows in order, a few thousand at a time, so that texts of like length can be read together.

        From a pipe: those that have come during the previous prediction.
        """
        stream = iter(starmap(Question, enumerate(self._texts, 1))) if self._texts else self._rows()
        if self.live:
            yield from _as_they_come(stream)
            return
        while window := list(islice(stream, WINDOW)):
            yield window

    def _begun(self, stream: Iterator[rows.Row]) -> Iterator[rows.Row]:
        """Return the rows of a pipe, read ahead until the columns are known: it cannot be opened twice."""
        keep = self._options.keep
        head: list[rows.Row] = []
        found: dict[str, None] = {}
        for row in stream:
            head.append(row)
            found |= dict.fromkeys(row.values)
            if found and (keep in (None, ALL) or set(_split(str(keep), found)) <= found.keys()):
                break
            if len(head) == HEAD:
                break
        if keep is not None:
            self.columns = _kept(keep, list(found) or _split(keep, ()), self._data.text_column)
        return chain(head, stream)

    def _rows(self) -> Iterator[Question]:
        options, good, column = self._options, 0, self._data.text_column
        if self._in_columns:
            self.report(f"{options.path or 'standard input'}: {columns.NOTE}")
        for row in self._stream:
            text, problem = rows.text_of(row, column)
            if row.number == 1 and self._lines and options.path is None and not options.kind:
                self._remark_table(text)
            kept = self._copied(row.values) if options.keep is not None else None
            if problem and self._lines and not row.problem:
                problem = "a blank line"
            if not problem:
                good += 1
                tokens = row.values[columns.WORDS] if self._in_columns else ()
                yield Question(row.number, text, kept=kept, words=tokens)
                continue
            where = f"{options.path or 'standard input'}:{row.line}"
            if options.strict:
                raise DataError(problem, where=where, fix="correct the row, or leave out --strict")
            self.unanswered += 1
            if self.unanswered <= SHOWN:
                self.report(f"{where}: {problem}")
            if not options.skip_bad:
                yield Question(row.number, "", problem, kept)
        if self.unanswered and not good:
            where = str(options.path or "standard input")
            raise DataError(f"{none_of(self.unanswered, 'row')} can be used", where=where, fix="correct the rows")

    def _copied(self, values: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name: values.get(name) for name in self.columns}
        if self._options.keep == ALL:
            more = {name: value for name, value in values.items() if name not in {*kept, self._data.text_column}}
            self.further |= dict.fromkeys(more)
            kept |= more
        return kept

    def _remark_table(self, line: str) -> None:
        """Report where lines of text look like a table."""
        found = "jsonl" if line.startswith("{") and any(f'"{name}"' in line for name in self._expected) else ""
        for delimiter, kind in (("\t", "tsv"), (",", "csv"), (";", "csv"), ("|", "csv")):
            names = [part.strip(" \"'") for part in line.split(delimiter)]
            if len(names) > 1 and set(names) & set(self._expected):
                found = found or kind
        found = "conll" if columns.is_line(line) else found
        if found:
            self.report(f"the first line looks like that of a table, but each line is read as a text: --format {found}")


def _is_pipe(path: Path | None) -> bool:
    """Return true where the rows can be read once only."""
    try:
        return path is None or path.is_fifo() or path.is_char_device()
    except OSError:  # it may not be looked at: reported where it is opened
        return False


def _check(texts: Sequence[str], options: TextOptions) -> None:
    if texts and options.source is not None:
        raise ConfigError("texts and --input were both given", fix="give one of them")
    if not texts and options.source is None and sys.stdin.isatty():
        raise ConfigError("no text", fix="lstmcli predict 'a fine film', or --input FILE, or pipe texts in")
    if options.strict and options.skip_bad:
        raise ConfigError("--strict and --skip-bad contradict each other", fix="give one of them")
    for number, text in enumerate(texts, 1):
        if not text.strip() or rows.broken(text):
            what = "the text is empty" if not text.strip() else "the text has bytes that are not UTF-8"
            raise DataError(what, where=f"text {number}", fix="give at least one word")


def _in_columns(options: TextOptions) -> bool:
    """Return true where the input is words in columns, by ``--format``, its ending or its first lines."""
    looked = options.path is not None and not _is_pipe(options.path) and columns.looks_like(options.path)
    return options.kind == columns.KIND or (not options.kind and looked)


def _check_use(options: TextOptions, *, arguments: bool, lines: bool, in_columns: bool) -> None:
    """Raise ConfigError where an option has no effect on the input."""
    if "word_column" in options.reading and not in_columns:
        where = f"{options.path or 'standard input'}: no words in columns"
        raise ConfigError(
            "data.word_column is for words in columns", where=where, fix="--format conll, or leave it out"
        )
    of_tables = OF_TABLES if in_columns else (*OF_TABLES, "delimiter")
    unused = [data_option.flag(key) for key in options.reading if arguments or key in of_tables]
    unused += ["--keep"] if options.keep is not None else []
    unused += ["--format"] if options.kind and arguments else []
    if (lines or in_columns) and unused:
        what = f"{' and '.join(unused)} {'are' if len(unused) > 1 else 'is'} for tables"
        kind = "words in columns" if in_columns else "a text per line"
        where = "texts given as arguments" if arguments else f"{options.path or 'standard input'}: {kind}"
        fix = "give a table: --input FILE" + ("" if arguments else ", or name its format: --format csv")
        raise ConfigError(what, where=where, fix=fix)


def _split(keep: str, names: Container[str]) -> list[str]:
    """Return the columns that are named, with commas between; a name may hold one itself."""
    return [keep] if keep in names else list(dict.fromkeys(part.strip() for part in keep.split(",")))


def _kept(keep: str, names: Sequence[str], text_column: str) -> list[str]:
    """Return the columns to keep, all but that of the text, or those named. Raises ConfigError where there is no such
    one."""
    if keep == ALL:
        return [name for name in names if name != text_column]
    columns = _split(keep, names)
    for name in columns:
        if name not in names:
            raise ConfigError(f"no column '{name}' to keep", where=f"--keep {keep}", fix=did_you_mean(name, names))
    return columns


def _as_they_come(stream: Iterator[Question]) -> Iterator[list[Question]]:
    """Windows of the questions that another thread has read so far."""
    waiting: Queue[Question | Exception | None] = Queue(maxsize=WINDOW)

    def read() -> None:
        try:
            for question in stream:
                waiting.put(question)
            waiting.put(None)
        except Exception as error:  # raised where the rows are consumed
            waiting.put(error)

    Thread(target=read, daemon=True).start()
    while True:
        window: list[Question] = []
        item = waiting.get()
        while isinstance(item, Question):
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
