"""Texts and labels of a user's own: one file, or a folder with train, validation and test files.

A file of any name is the split ``train``. Any number of classes; labels are words or numbers.
"""

from collections.abc import Sequence
from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import rows
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

HUB = ""
SPECIMEN = {
    "train.csv": 'text,label\n"Warm, and quick to dry.",good\n"The zip broke, twice",bad\n',
    "test.csv": "text,label\nA fine coat.,good\n",
}
NAMES = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
         "test": "test"}  # fmt: skip


def splits(root: Path) -> tuple[str, ...]:
    """The splits that the file or folder holds."""
    return tuple(files(root))


def read(root: Path, split: str, options: Data) -> Rows:
    """Every usable row of the split, and what is wrong with each other row.

    Raises:
        DataError: no such split, a file that cannot be read, or a column that is missing.
    """
    path = file_of(files(root), split, root)
    found, bad = [], []
    columns: list[str] = []
    for row in rows.stream(path, options):
        columns = columns if options.label_column in columns else list(row.values)
        text, problem = rows.text_of(row, options.text_column)
        label, label_problem = ("", "") if problem else rows.label_of(row, options.label_column)
        domain = str(row.values.get("domain") or "")
        if problem or label_problem:
            bad.append((f"{path}:{row.line}", problem or label_problem))
        elif not options.domains or domain in options.domains:
            found.append(Example(text, label, domain, f"{path}:{row.line}"))
    if columns and options.label_column not in columns:
        raise rows.missing_column(options.label_column, columns, str(path), option="--label-column")
    return Rows(found, bad)


def files(root: Path, *, endings: Sequence[str] = rows.TABLES, prefix: str = "") -> dict[str, Path]:
    """The file of each split; a file alone is ``train``. prefix: what the files' names begin with."""
    if not root.is_dir():
        return {"train": root}
    found: dict[str, Path] = {}
    for stem, split in NAMES.items():
        for ending in endings:
            if (root / f"{prefix}{stem}{ending}").is_file():
                found.setdefault(split, root / f"{prefix}{stem}{ending}")
    return found


def file_of(found: dict[str, Path], split: str, root: Path) -> Path:
    """The split's file. Raises DataError where there is none."""
    if split not in found:
        fix = f"it has: {', '.join(found) or 'none'}; name the file itself"
        raise DataError(f"no split '{split}'", where=str(root), fix=fix)
    return found[split]
