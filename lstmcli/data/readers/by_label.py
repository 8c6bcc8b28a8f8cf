"""What data sets share of whose texts only those with exactly one label are read."""

from collections.abc import Callable
from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import folders, rows
from lstmcli.errors import DataError, counted
from lstmcli.types import Example, Rows


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that the folder holds; none of a file."""
    return tuple(folders.files(root)) if root.is_dir() else ()


def read(root: Path, split: str, options: Data, *, column: str, label_of: Callable[[object], str]) -> Rows:
    """Return the split's texts with the label that is made of the column; how many are left out, is noted.

    label_of: "" where a text has no one label, and is left out. Texts that stand in a later split are left out too.

    Raises:
        DataError: no such split, a file that cannot be read, or domains are chosen.
    """
    check_no_domains(options)
    found = folders.files(root)
    folders.of_split(found, split, root)
    later = [name for name in found if list(found).index(name) > list(found).index(split)]
    held = {example.text for name in later for example in _labelled(found[name], column, label_of)[0]}
    examples, unclear, bad = _labelled(found[split], column, label_of)
    kept = [example for example in examples if example.text not in held]
    counts = {"have no single label": unclear, f"stand in {' or '.join(later)} too": len(examples) - len(kept)}
    return Rows(
        kept,
        bad,
        tuple(f"{split}: {counted(count, 'text')} left out that {why}" for why, count in counts.items() if count),
    )


def check_no_domains(options: Data) -> None:
    """Raise DataError where domains are chosen of a data set that has none."""
    if options.domains:
        raise DataError("this data set has no domains", where=f"data.domains: {options.domains}", fix="leave them out")


def _labelled(
    paths: tuple[Path, ...], column: str, label_of: Callable[[object], str]
) -> tuple[list[Example], int, list[tuple[str, str]]]:
    """Return the texts with a label, how many have none, and the rows that cannot be used."""
    examples: list[Example] = []
    unclear = 0
    bad: list[tuple[str, str]] = []
    for path in paths:
        for row in rows.stream(path, Data(label_column=column), labelled=True):
            text, problem = rows.text_of(row, "text")
            label = "" if problem else label_of(row.values.get(column))
            if problem:
                bad.append((f"{path}:{row.line}", problem))
            elif label:
                examples.append(Example(text, label, "", f"{path}:{row.line}"))
            else:
                unclear += 1
    return examples, unclear, bad
