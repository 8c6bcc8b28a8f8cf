"""Words and tags in columns, as CoNLL's shared tasks have them: a word per line and a blank line after each sentence.

Lines that begin ``-DOCSTART-`` separate documents, lines that begin ``#`` may be comments; neither is a word.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from lstmcli import tags
from lstmcli.config import Data
from lstmcli.data import folders
from lstmcli.data.rows import COMPRESSED, TABLES, Row
from lstmcli.data.rows.opening import SAMPLE as PEEKED
from lstmcli.data.rows.opening import broken, decoded, not_decoded, opened
from lstmcli.data.text import column_layout as layouts
from lstmcli.data.text import column_survey
from lstmcli.data.text import sentences as words
from lstmcli.data.text.column_layout import Layout
from lstmcli.errors import DataError, counted
from lstmcli.types import Example, Rows

LONGEST = words.LONGEST
SAMPLE = 5_000  # lines that the layout is found in
ALONE = 50  # words; so many in the only sentence of a file are reported
KIND = ".conll"
WORDS = "tokens"  # the column of a row that has its words
NOTE = "words and tags in columns: each sentence is read as one text, its tags are not read"
STEMS = {**folders.SPLITS, "testa": "validation", "testb": "test"}  # the last two: of CoNLL-2002 and 2003
OWN_ENDINGS = (KIND, ".conllu", ".conllup", ".iob", ".iob2", ".bio", ".iobes", ".bilou", ".bmes")  # never tables
ENDINGS = ("", ".txt", ".tsv", *OWN_ENDINGS)
OTHERS = tuple(one for one in (*TABLES, ".yaml", ".yml") if one != ".tsv")  # endings of what is never in columns

Line = tuple[int, str, str]  # number in the file, word, tag as the file spells it
Problem = tuple[int, str]  # number of the line, and what is wrong with it
Sentence = tuple[list[Line], Problem | None]


def ending(path: Path) -> str:
    """Return the ending of the file's name in lower case, without that of a compression."""
    endings = [one.lower() for one in path.suffixes]
    return next((one for one in reversed(endings) if one not in COMPRESSED), "")


def candidates(root: Path) -> dict[str, list[Path]]:
    """Return the candidate files of each split by name, the likeliest first; a single file is ``train``.

    A name is that of a split, or ends with it: ``eng.train``, ``de_dev.conll``.
    """
    if not root.is_dir():
        return {"train": [root]}
    ranked: dict[str, list[tuple[int, int, int, Path]]] = {}
    for path in root.iterdir():
        known = ending(path) if ending(path) in ENDINGS else ""
        stem = next(
            (path.name.lower()[: -len(one)] for one in COMPRESSED if path.name.lower().endswith(one)), path.name
        )
        stem = stem.lower().removesuffix(known)
        last = re.split(r"[._-]", stem)[-1]
        if last in STEMS and path.is_file():
            rank = (len(stem) - len(last), list(STEMS).index(last), ENDINGS.index(known), path)
            ranked.setdefault(STEMS[last], []).append(rank)
    splits = [split for split in dict.fromkeys(STEMS.values()) if split in ranked]
    return {split: [path for *_, path in sorted(ranked[split])] for split in splits}


def files(root: Path) -> dict[str, Path]:
    """Return the file of each split: of several with such names, the first that is in columns."""
    return {
        split: next(filter(fits, paths), paths[0]) if len(paths) > 1 else paths[0]
        for split, paths in candidates(root).items()
    }


def fits(path: Path) -> bool:
    """Return whether the file is in columns, though it may have faults."""
    seen = None if ending(path) in OWN_ENDINGS else _survey(path)
    if seen is None:
        return ending(path) in OWN_ENDINGS
    return seen.plausible or (seen.suspected and ending(path) != ".tsv")


def looks_like(path: Path) -> bool:
    """Return whether the file is words and tags in columns, by its ending or its first lines."""
    seen = None if ending(path) in OWN_ENDINGS else _survey(path)
    return ending(path) in OWN_ENDINGS if seen is None else seen.plausible


def is_line(line: str) -> bool:
    """Return whether a line by itself looks like a word and its tag."""
    return (
        line.startswith(column_survey.DOCUMENT)
        or re.fullmatch(r"\S+[ \t](\S+[ \t]){,8}(O|[BIES]-\S+)", line) is not None
    )


def layout_of(path: Path, options: Data, *, tagged: bool = True) -> Layout:
    """Which columns of the file hold what.

    Raises:
        DataError: the file cannot be read, or it cannot be decided.
    """
    with _opened(path, options) as file:
        return layouts.layout(list(islice(file, SAMPLE)), options, str(path), tagged=tagged)


def read(path: Path, options: Data | None = None, like: Layout | None = None) -> Rows:
    """Every sentence of the file, tags in IOBES; a sentence with a line that cannot be used is left out and reported.

    like: the layout of the file to train on, which applies if this one has as many columns.

    Raises:
        DataError: the file cannot be read, or its layout cannot be decided.
    """
    options = options or Data()
    with _opened(path, options) as file:
        first = list(islice(file, SAMPLE))
        found = layouts.layout(first, options, str(path))
        if like is not None and (like.width, like.separator) == (found.width, found.separator):
            found = replace(like, header=found.header)
        sentences = list(_sentences(chain(first, file), found, not_decoded(file)))
    rows: list[Example] = []
    bad: list[tuple[str, str]] = []
    for lines, problem in sentences:
        if problem is None:
            rows += _examples(lines, found.notation, path)
        else:
            bad.append((f"{path}:{problem[0]}", problem[1]))
    note = [found.note] if found.note and like is None else []
    return Rows(rows, bad, (*note, *_notes([lines for lines, _ in sentences], found.notation, path)))


def stream(path: Path | None, options: Data) -> Iterator[Row]:
    """Each sentence as a row with its words, and a text of them; tags are not read. No path: standard input.

    Raises:
        DataError: the file cannot be read, or the column of the words cannot be decided.
    """
    with _opened(path, options) as file:
        first = list(islice(file, SAMPLE))
        found = replace(layouts.layout(first, options, str(path or "standard input"), tagged=False), tag=None)
        sentences = _sentences(chain(first, file), found, not_decoded(file))
        for number, (lines, problem) in enumerate(sentences, 1):
            tokens = tuple(word for _, word, _ in lines)
            values = {options.text_column: " ".join(tokens), WORDS: tokens}
            yield Row(lines[0][0], number, values) if problem is None else Row(problem[0], number, problem=problem[1])


def lines_of(tokens: Iterable[str], scheme: Iterable[str]) -> str:
    """Return a sentence as lines of a word and its tag, and a blank line."""
    return "".join(f"{word}\t{tag}\n" for word, tag in zip(tokens, scheme, strict=True)) + "\n"


@contextmanager
def _opened(path: Path | None, options: Data) -> Iterator[TextIO]:
    """Return the file as text; bytes that are not in its encoding come through as surrogates. Raises DataError."""
    where = str(path or "standard input")
    try:
        with opened(path) as (raw, _), decoded(raw, raw.peek(PEEKED), options, where) as file:
            yield file
    except UnicodeError as error:  # half a character of UTF-16
        fix = "save the file as UTF-8, or name its encoding: --set data.encoding=..."
        raise DataError(f"the file cannot be decoded: {error}", where=where, fix=fix) from error


def _survey(path: Path) -> column_survey.Survey | None:
    """Return the file's first lines; None where it is not text."""
    if ending(path) in OTHERS:
        return None
    try:
        with _opened(path, Data()) as file:
            lines = list(islice(file, SAMPLE))
    except DataError:
        return None
    return None if any("\0" in line for line in lines) else column_survey.survey(lines)


def _sentences(lines: Iterable[str], layout: Layout, undecoded: str) -> Iterator[Sentence]:
    """Return the sentences between blank lines, comments and documents, each with its first fault.

    undecoded: the fault of a line with bytes that the encoding lacks.
    """
    found: list[Line] = []
    problem: Problem | None = None
    width = 0
    for number, line in enumerate(lines, 1):
        cells = column_survey.cells(line, layout.separator)
        ends = cells == [""] or any(cell.startswith(column_survey.DOCUMENT) for cell in cells[: layout.word + 1])
        if ends or number == layout.header or layout.comments(line, cells, begins=not found):
            if found:
                yield found, problem
            found, problem = [], None
        elif not layout.stands_for_others(cells):
            width = width or len(cells)
            wrong = undecoded if broken(line) else layout.wrong(cells, width)
            if wrong and problem is None:
                problem = (number, wrong)
            found.append((number, "", "") if wrong else (number, cells[layout.word], layout.tag_of(cells)))
    if found:
        yield found, problem


def _examples(lines: list[Line], notation: tags.Notation, path: Path) -> Iterator[Example]:
    """One example, or of a very long sentence several, cut where no entity runs."""
    tokens = tuple(words.plain(word) for _, word, _ in lines)
    scheme = tags.iobes([notation.read(tag) for _, _, tag in lines])
    if len(tokens) <= LONGEST:
        yield Example(tokens, scheme, where=f"{path}:{lines[0][0]}")
        return
    start = 0
    while start < len(tokens):
        end = min(start + LONGEST, len(tokens))
        while start < end < len(tokens) and scheme[end][0] in "IE":
            end -= 1
        end = end if end > start else min(start + LONGEST, len(tokens))  # an entity of 400 words is cut like any
        yield Example(tokens[start:end], tags.iobes(scheme[start:end]), where=f"{path}:{lines[start][0]}")
        start = end


def _notes(sentences: list[list[Line]], notation: tags.Notation, path: Path) -> Iterator[str]:
    """Return what the user may not expect of how the file was read."""
    first: dict[str, str] = {}
    for lines in sentences:
        for number, _, tag in lines:
            if tag not in first:
                first[tag] = f"{path}:{number}"
    yield from tags.remarks(first, notation)
    longest = max(sentences, key=len, default=[])
    words = counted(len(longest), "word")
    if len(sentences) == 1 and len(longest) > ALONE:
        yield f"{path}: {words} without a blank line are read as one sentence; put one after each"
    elif len(longest) > LONGEST:
        yield f"{path}:{longest[0][0]}: a sentence of {words} is read in pieces of {LONGEST}"
