"""Words and tags in columns, as CoNLL's shared tasks have them: a word a line, its entity tag last, a blank line after
each sentence. ``-DOCSTART-`` lines part documents and are no sentences."""

import re
from collections.abc import Iterator
from pathlib import Path

from lstmcli import tags
from lstmcli.data.rows import broken
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

DOCUMENT = "-DOCSTART-"
LONGEST = 400  # words; a longer sentence is a file without blank lines, and is read in pieces
STEMS = {"train": "train", "eng.train": "train", "valid": "validation", "validation": "validation",
         "val": "validation", "dev": "validation", "testa": "validation", "eng.testa": "validation", "test": "test",
         "testb": "test", "eng.testb": "test"}  # fmt: skip
OWN_ENDINGS = (".conll", ".iob", ".iob2", ".bio", ".iobes")  # files with these are taken at their word
ENDINGS = ("", ".txt", *OWN_ENDINGS)

SPACES = re.compile(r"[ \t]+")

Line = tuple[int, str, str]  # number in the file, word, tag


def files(root: Path) -> dict[str, Path]:
    """The file of each split; a file by itself is ``train``."""
    if not root.is_dir():
        return {"train": root}
    found: dict[str, Path] = {}
    for stem, split in STEMS.items():
        for ending in ENDINGS:
            if (root / f"{stem}{ending}").is_file():
                found.setdefault(split, root / f"{stem}{ending}")
    return found


def read(path: Path) -> Rows:
    """Every sentence of the file, tags in IOBES; a sentence with a line that cannot be used is left out and told.

    Raises:
        DataError: the file cannot be read.
    """
    found: list[Example] = []
    bad: list[tuple[str, str]] = []
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=None) as file:
            for lines, problem in _sentences(file):
                if problem is not None:
                    bad.append((f"{path}:{problem[0]}", problem[1]))
                else:
                    found += _examples(lines, path)
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=str(path), fix="check the path") from error
    return Rows(found, bad)


def looks_like(path: Path) -> bool:
    """True where the file is words and tags in columns: its first sentence can be read, and some tag is not O."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            for number, (lines, problem) in enumerate(_sentences(file)):
                if problem is not None and number == 0:
                    return False
                if problem is None and any(tag != tags.OUTSIDE for _, _, tag in lines):
                    return True
    except OSError:
        return False
    return False


def _sentences(file: Iterator[str]) -> Iterator[tuple[list[Line], tuple[int, str] | None]]:
    """The lines of each sentence, and the number of its first bad line with what is wrong."""
    lines: list[Line] = []
    problem: tuple[int, str] | None = None
    width = 0
    for number, line in enumerate(file, 1):
        columns = SPACES.split(line.strip(" \t\r\n"))  # other white space may be part of a word
        if columns[0] in ("", DOCUMENT):
            if lines or problem:
                yield lines, problem
            lines, problem = [], None
            continue
        width = width or len(columns)
        wrong = _wrong(columns, width, line)
        if wrong and problem is None:
            problem = (number, wrong)
        lines.append((number, columns[0], columns[-1]))
    if lines or problem:
        yield lines, problem


def _wrong(columns: list[str], width: int, line: str) -> str:
    if broken(line):
        return "bytes that are not UTF-8"
    if len(columns) != width:
        return f"{len(columns)} columns where the file began with {width}"
    if width < 2:
        return "one column: a word and its tag are needed"
    try:
        tags.split(columns[-1])
    except ValueError as error:
        return str(error)
    return ""


def _examples(lines: list[Line], path: Path) -> Iterator[Example]:
    """One example, or of a very long sentence several, cut where no entity runs."""
    words = tuple(word for _, word, _ in lines)
    scheme = tags.iobes([tag for _, _, tag in lines])
    start = 0
    while start < len(words):
        end = min(start + LONGEST, len(words))
        while start < end < len(words) and scheme[end][0] in "IE":
            end -= 1
        end = end if end > start else min(start + LONGEST, len(words))  # an entity of 400 words is cut like any
        yield Example(words[start:end], tags.iobes(scheme[start:end]), where=f"{path}:{lines[start][0]}")
        start = end
