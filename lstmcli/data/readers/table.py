"""The user's texts and labels: one file, or a folder with train, validation and test files, or with one folder per
class. A file of any name is the split ``train``. Any number of classes; labels are words or numbers; with
``data.label_separator`` each text has a set of labels.
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import folders, rows
from lstmcli.data.spooled import Writer
from lstmcli.types import Example, LabelSet, Rows, Target

HUB = ""
SPECIMEN = {
    "train.csv": 'text,label\n"Warm, and quick to dry.",good\n"The zip broke, twice",bad\n',
    "test.csv": "text,label\nA fine coat.,good\n",
}


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that the file or folder holds."""
    return tuple(folders.files(root)) or tuple(folders.classes(root))


def fits(root: Path) -> bool:
    """Return whether the path is a table, a folder with one for training, or a folder with one folder per class."""
    return rows.is_table(root) if root.is_file() else "train" in splits(root)


def read(root: Path, split: str, options: Data) -> Rows:
    """Every usable row of the split, and what is wrong with each other row.

    Raises:
        DataError: no such split, a file that cannot be read, or a column that is missing.
    """
    found = folders.files(root)
    if not found and split in (labelled := folders.classes(root)):
        return _folders(labelled[split], options)
    examples = Writer()
    bad: list[tuple[str, str]] = []
    for path in folders.of_split(found, split, root):
        for row in rows.stream(path, options, labelled=True):
            text, problem = rows.text_of(row, options.text_column)
            label, label_problem = _target(row, options)
            domain = str(row.values.get("domain") or "")
            if problem or label_problem:
                bad.append((f"{path}:{row.line}", problem or label_problem))
            elif not options.domains or domain in options.domains:
                examples.append(Example(text, label, domain, f"{path}:{row.line}"))
    note = folders.unread(root, found) if split == "train" else ""
    return Rows(examples.examples(), bad, (note,) if note else ())


def _target(row: rows.Row, options: Data) -> tuple[Target, str]:
    """Return the row's label or set of labels, and what is wrong with it (empty: nothing)."""
    if options.label_separator is None:
        return rows.label_of(row, options.label_column)
    return rows.labels_of(row, options.label_column, options.label_separator)


def _folders(labelled: dict[str, list[Path]], options: Data) -> Rows:
    """One text per file, its folder the label."""
    examples = Writer()
    bad: list[tuple[str, str]] = []
    for name, paths in labelled.items():
        label = name if options.label_separator is None else LabelSet(
            part for one in name.split(options.label_separator) if (part := one.strip()))  # fmt: skip
        for path in paths:
            text, problem = rows.whole_text(path, options)
            if problem:
                bad.append((str(path), problem))
            else:
                examples.append(Example(text, label, where=str(path)))
    return Rows(examples.examples(), bad)
