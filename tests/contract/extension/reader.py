"""Reviews with stars: a line per review, the number of stars, a tab, the text. Three stars say neither: no example.

``train.stars`` and ``test.stars``; 1 and 2 stars are negative, 4 and 5 positive.
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

HUB = ""
SPECIMEN = {
    "train.stars": "5\tA kettle that sings.\n1\tIt leaks.\n3\tA kettle.\n4\tQuick and quiet.\n",
    "test.stars": "2\tThe lid rattles.\n",
}
LABELS = {"1": "negative", "2": "negative", "4": "positive", "5": "positive"}
SPLITS = ("train", "validation", "test")


def splits(root: Path) -> tuple[str, ...]:
    """The splits that the folder holds."""
    return tuple(split for split in SPLITS if (root / f"{split}.stars").is_file())


def read(root: Path, split: str, options: Data) -> Rows:
    """The reviews of the split. Raises DataError where it is not there, or is no text in UTF-8."""
    if split not in splits(root):
        raise DataError(f"no split '{split}'", where=str(root), fix=f"it has: {', '.join(splits(root)) or 'none'}")
    path = root / f"{split}.stars"
    try:
        lines = path.read_text("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DataError("the file is not UTF-8", where=str(path), fix="save it as UTF-8") from error
    examples, bad = [], []
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        stars, _, text = line.partition("\t")
        if stars in LABELS and text.strip():
            examples.append(Example(text.strip(), LABELS[stars], where=where))
        elif line.strip() and stars != "3":
            bad.append((where, "not a number of stars from 1 to 5, a tab and a text"))
    return Rows(examples, bad)
