"""The user's texts without labels: plain text with one text per line, or a column of a table.

One file, or a folder with train, validation and test files.
"""

from collections.abc import Sequence
from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import folders, rows
from lstmcli.data.text import conll_format
from lstmcli.types import Example, Rows

HUB = ""
ENDINGS = (*rows.ENDINGS, *conll_format.OWN_ENDINGS)
SPECIMEN = {
    "train.txt": "The kettle sings before it boils.\n\nThe lid rattles after.\n",
    "test.txt": "The kettle rattles.\n",
}


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that the file or folder holds."""
    return tuple(folders.files(root, endings=ENDINGS))


def read(root: Path, split: str, options: Data) -> Rows:
    """Return the texts of the split. Raises DataError where it is not there or cannot be read."""
    found = folders.files(root, endings=ENDINGS)
    return read_files(folders.of_split(found, split, root), options)


def read_files(paths: Sequence[Path], options: Data) -> Rows:
    """Return the texts of the files, without labels; of files in columns the sentences, without tags.

    Blank lines of plain text are skipped and separate nothing.
    """
    found, bad = [], []
    in_columns = [path for path in paths if conll_format.looks_like(path)]
    for path in paths:
        for row in conll_format.stream(path, options) if path in in_columns else rows.stream(path, options):
            text, problem = rows.text_of(row, options.text_column)
            where = f"{path}:{row.line}"
            if not problem:
                found.append(Example(text.strip(), where=where))
            elif row.problem or set(row.values) != {options.text_column}:  # a blank line of plain text
                bad.append((where, problem))
    return Rows(found, bad, tuple(f"{path}: {conll_format.NOTE}" for path in in_columns))
