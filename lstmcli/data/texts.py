"""Running text of a user's own, without labels: a line of plain text a text, or a column of a table.

One file, or a folder with train, validation and test files.
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import rows
from lstmcli.data.table import NAMES
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

HUB = ""
SPECIMEN = {
    "train.txt": "The kettle sings before it boils.\n\nThe lid rattles after.\n",
    "test.txt": "The kettle rattles.\n",
}


def splits(root: Path) -> tuple[str, ...]:
    """The splits that the file or folder holds."""
    return tuple(files(root))


def read(root: Path, split: str, options: Data) -> Rows:
    """The texts of the split. Raises DataError where it is not there or cannot be read."""
    return read_file(named(files(root), split, root), options)


def files(root: Path, *, prefix: str = "") -> dict[str, Path]:
    """The file of each split."""
    if not root.is_dir():
        return {"train": root}
    found: dict[str, Path] = {}
    for stem, split in NAMES.items():
        for ending in rows.ENDINGS:
            path = root / f"{prefix}{stem}{ending}"
            if path.is_file():
                found.setdefault(split, path)
    return found


def named(found: dict[str, Path], split: str, root: Path) -> Path:
    """The split's file. Raises DataError where there is none."""
    if split not in found:
        fix = f"it has: {', '.join(found) or 'none'}; name the file itself"
        raise DataError(f"no split '{split}'", where=str(root), fix=fix)
    return found[split]


def read_file(path: Path, options: Data) -> Rows:
    """The texts of the file, its labels unread. Blank lines of plain text part nothing and are passed over."""
    found, bad = [], []
    for row in rows.stream(path, need=options.text_column):
        text, problem = rows.text_of(row, options.text_column)
        where = f"{path}:{row.line}"
        if not problem:
            found.append(Example(text.strip(), where=where))
        elif row.problem or path.suffix != ".txt":
            bad.append((where, problem))
    return Rows(found, bad)
