"""BANKING77: 13,083 questions to a bank in 77 intents, for episodes over classes never seen in training.

Casanueva et al. (2020), "Efficient Intent Detection with Dual Sentence Encoders". Files ``train.csv`` and ``test.csv``
with columns ``text`` and ``category``, as the authors have them; CC BY 4.0. Both are read together and split again by
class: 42 to train on, 10 to validate, 25 to test. For all 77 intents at once read it as a table:
``lstmcli train banking77/ --label-column category``.
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.data.readers import intents, table
from lstmcli.types import Rows

HUB = ""
SPECIMEN = {
    "train.csv": "text,category\nwhere is my card,card_arrival\nis it on its way,card_arrival\n"
    "what is the rate,exchange_rate\nhow much for a euro,exchange_rate\nmy card is gone,lost_card\n",
    "test.csv": 'text,category\n"i lost it, help",lost_card\n',
}
CLASSES = {"train": 42, "validation": 10, "test": 25}


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that the folder holds."""
    return tuple(CLASSES) if (root / "train.csv").is_file() and (root / "test.csv").is_file() else ()


def read(root: Path, split: str, options: Data) -> Rows:
    """All questions of the split's classes.

    Raises:
        DataError: no such split, or a file that cannot be read.
    """
    columns = Data(text_column="text", label_column="category")
    both = [table.read(root, name, columns) for name in ("train", "test")]
    found = Rows([example for rows in both for example in rows.examples], [bad for rows in both for bad in rows.bad])
    return intents.chosen(found, split, options, sizes=CLASSES, root=root)
