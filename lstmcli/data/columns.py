"""Words and tags in columns, as CoNLL's shared tasks have them: a word per line and a blank line after each sentence.

Lines that begin ``-DOCSTART-`` separate documents, lines that begin ``#`` may be comments; neither is a word.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from lstmcli import tags
from lstmcli.config import Data
from lstmcli.data import layout as layouts
from lstmcli.data import survey, words
from lstmcli.data.layout import Layout
from lstmcli.data.rows import broken
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

LONGEST = words.LONGEST
SAMPLE = 20_000  # lines that the layout is found in
ALONE = 50  # words; so many in the only sentence of a file are told
SHOWN = 5  # spellings listed
TEXTS = "each sentence is a text, tags are not read"
NOT_DECODED = "bytes that are not UTF-8; another encoding: --set data.encoding=cp1252"
STEMS = {"train": "train", "valid": "validation", "validation": "validation", "validate": "validation",
         "val": "validation", "dev": "validation", "devel": "validation", "testa": "validation",
         "eval": "test", "evaluation": "test", "test": "test", "testb": "test"}  # fmt: skip
OWN_ENDINGS = (".conll", ".conllu", ".conllup", ".iob", ".iob2", ".bio", ".iobes", ".bilou", ".bmes")  # never tables
ENDINGS = ("", ".txt", ".tsv", *OWN_ENDINGS)
NEVER = (".csv", ".jsonl", ".json", ".ndjson", ".parquet", ".arrow", ".xlsx", ".yaml", ".yml")

Line = tuple[int, str, str]  # number in the file, word, tag as the file spells it

Problem = tuple[int, str]  # number of the line, and what is wrong with it
Sentence = tuple[list[Line], Problem | None]


def candidates(root: Path) -> dict[str, list[Path]]:
    """The files that may be each split by their names, the likeliest first; a file by itself is ``train``.

    A name is that of a split, or ends with it: ``eng.train``, ``de_dev.conll``.
    """
    if not root.is_dir():
        return {"train": [root]}
    found: dict[str, list[tuple[int, int, str, Path]]] = {}
    for path in root.iterdir():
        ending = path.suffix.lower() if path.suffix.lower() in ENDINGS else ""
        stem = path.name.lower().removesuffix(ending) if ending else path.name.lower()
        last = re.split(r"[._-]", stem)[-1]
        if last in STEMS and path.is_file():
            rank = (len(stem) - len(last), ENDINGS.index(ending), path.name, path)
            found.setdefault(STEMS[last], []).append(rank)
    order = ("train", "validation", "test")
    return {split: [path for *_, path in sorted(found[split])] for split in order if split in found}


def files(root: Path) -> dict[str, Path]:
    """The file of each split: of several with its name, the first that is in columns."""
    return {split: next(filter(fits, paths), paths[0]) if len(paths) > 1 else paths[0]
            for split, paths in candidates(root).items()}  # fmt: skip


def fits(path: Path) -> bool:
    """True where the file is in columns, though it may have faults."""
    if path.suffix.lower() in OWN_ENDINGS:
        return True
    seen = _survey(path)
    table = path.suffix.lower() == ".tsv"
    return seen is not None and (seen.plausible or (seen.suspected and not table))


def looks_like(path: Path) -> bool:
    """True where the file is words and tags in columns, by its ending or its first lines."""
    seen = None if path.suffix.lower() in OWN_ENDINGS else _survey(path)
    return path.suffix.lower() in OWN_ENDINGS or (seen is not None and seen.plausible)


def layout_of(path: Path, options: Data, *, tagged: bool = True) -> Layout:
    """Which columns of the file hold what.

    Raises:
        DataError: the file cannot be read, or it cannot be decided.
    """
    with _opened(path, options) as file:
        return layouts.layout(list(islice(file, SAMPLE)), options, str(path), tagged=tagged)


def read(path: Path, options: Data | None = None, like: Layout | None = None) -> Rows:
    """Every sentence of the file, tags in IOBES; a sentence with a line that cannot be used is left out and told.

    like: the layout of the file to train on, which holds where this one has as many columns.

    Raises:
        DataError: the file cannot be read, or its layout cannot be decided.
    """
    options = options or Data()
    with _opened(path, options) as file:
        first = list(islice(file, SAMPLE))
        found = layouts.layout(first, options, str(path))
        if like is not None and (like.width, like.separator) == (found.width, found.separator):
            found = replace(like, header=found.header)
        sentences = list(_sentences(chain(first, file), found))
    rows: list[Example] = []
    bad: list[tuple[str, str]] = []
    for lines, problem in sentences:
        if problem is None:
            rows += _examples(lines, found.notation, path)
        else:
            bad.append((f"{path}:{problem[0]}", problem[1]))
    note = [found.note] if found.note and like is None else []
    return Rows(rows, bad, (*note, *_notes([lines for lines, _ in sentences], found.notation, path)))


def words_of(path: Path, options: Data | None = None) -> Iterator[tuple[int, tuple[str, ...], str]]:
    """The number of the first line, the words, and what is wrong, of each sentence; tags are not read.

    Raises:
        DataError: the file cannot be read, or the column of the words cannot be decided.
    """
    options = options or Data()
    with _opened(path, options) as file:
        first = list(islice(file, SAMPLE))
        found = replace(layouts.layout(first, options, str(path), tagged=False), tag=None)
        for lines, problem in _sentences(chain(first, file), found):
            own = tuple(words.plain(word) for _, word, _ in lines)
            yield (lines[0][0], own, "") if problem is None else (problem[0], own, problem[1])


def texts(path: Path, options: Data | None = None) -> Rows:
    """Each sentence of the file as a text."""
    found, bad = [], []
    for number, own, problem in words_of(path, options):
        if problem:
            bad.append((f"{path}:{number}", problem))
        else:
            found.append(Example(" ".join(own), where=f"{path}:{number}"))
    return Rows(found, bad, (f"{path} looks like words and tags in columns: {TEXTS}",))


def written(tokens: Iterable[str], scheme: Iterable[str]) -> str:
    """A sentence as lines of a word and its tag, and a blank line."""
    return "".join(f"{word}\t{tag}\n" for word, tag in zip(tokens, scheme, strict=True)) + "\n"


@contextmanager
def _opened(path: Path, options: Data) -> Iterator[TextIO]:
    """The file as text; bytes that are not in its encoding come through as surrogates."""
    try:
        with path.open("rb") as raw:
            start = raw.read(SAMPLE)
        encoding = options.encoding or _encoding(start)
        with path.open(encoding=encoding, errors="surrogateescape", newline=None) as file:
            yield file
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=str(path), fix="check the path") from error


def _encoding(start: bytes) -> str:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) > len(start) / 4:
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8-sig"


def _survey(path: Path) -> survey.Survey | None:
    """The file's first lines; none where it is not text."""
    if path.suffix.lower() in NEVER:
        return None
    try:
        with _opened(path, Data()) as file:
            lines = list(islice(file, SAMPLE))
    except (DataError, UnicodeError):
        return None
    return None if any("\0" in line for line in lines) else survey.survey(lines)


def _sentences(lines: Iterable[str], layout: Layout) -> Iterator[Sentence]:
    """The sentences between blank lines, comments and documents, each with its first fault."""
    found: list[Line] = []
    problem: Problem | None = None
    width = 0
    for number, line in enumerate(lines, 1):
        cells = survey.cells(line, layout.separator)
        ends = cells == [""] or any(cell.startswith(survey.DOCUMENT) for cell in cells[: layout.word + 1])
        if ends or number == layout.header or layout.comments(line, cells, begins=not found):
            if found:
                yield found, problem
            found, problem = [], None
        elif not layout.stands_for_others(cells):
            width = width or len(cells)
            wrong = NOT_DECODED if broken(line) else layout.wrong(cells, width)
            if wrong and problem is None:
                problem = (number, wrong)
            found.append((number, "", "") if wrong else (number, cells[layout.word], layout.tag_of(cells)))
    if found:
        yield found, problem


def _examples(lines: list[Line], notation: tags.Notation, path: Path) -> Iterator[Example]:
    """One example, or of a very long sentence several, cut where no entity runs."""
    own = tuple(words.plain(word) for _, word, _ in lines)
    scheme = tags.iobes([notation.read(tag) for _, _, tag in lines])
    start = 0
    while start < len(own):
        end = min(start + LONGEST, len(own))
        while start < end < len(own) and scheme[end][0] in "IE":
            end -= 1
        end = end if end > start else min(start + LONGEST, len(own))  # an entity of 400 words is cut like any
        yield Example(own[start:end], tags.iobes(scheme[start:end]), where=f"{path}:{lines[start][0]}")
        start = end


def _notes(sentences: list[list[Line]], notation: tags.Notation, path: Path) -> Iterator[str]:
    """What the user may not expect of how the file was read."""
    first: dict[str, int] = {}  # line of each spelling
    for lines in sentences:
        for number, _, tag in lines:
            first.setdefault(tag, number)
    read = {tag: notation.read(tag) for tag in first if notation.reads(tag)}
    if odd := [tag for tag in read if read[tag] != tag and notation.form != "bare"]:
        listed = ", ".join(f"'{tag}' as {read[tag]} (first in line {first[tag]})" for tag in odd[:SHOWN])
        more = f" and {len(odd) - SHOWN} more" if len(odd) > SHOWN else ""
        yield f"{path}: tags read: {listed}{more}"
    kinds = Counter(kind.casefold() for kind in {tag[2:] for tag in read.values()})
    if alike := sorted({tag[2:] for tag in read.values() if kinds[tag[2:].casefold()] > 1}):
        yield f"{path}: types that differ only by case: {', '.join(alike)}"
    longest = max(sentences, key=len, default=[])
    if len(sentences) == 1 and len(longest) > ALONE:
        yield f"{path}: {len(longest):,} words without a blank line are read as one sentence; put one after each"
    elif len(longest) > LONGEST:
        yield f"{path}:{longest[0][0]}: a sentence of {len(longest):,} words is read in pieces of {LONGEST}"
