"""Large Movie Review Dataset v1.0: 25,000 film reviews to train on, 25,000 to test, two classes.

Maas et al. (2011), "Learning Word Vectors for Sentiment Analysis". Three layouts: the original ``aclImdb`` folder
(``train/pos/0_9.txt``), parquet with columns ``text`` and ``label`` (0 negative, 1 positive), and the hub's
``stanfordnlp/imdb``, which is such parquet. File names and the ``id`` column contain the stars: neither is read.
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import rows
from lstmcli.data.readers import plain_text
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

HUB = "stanfordnlp/imdb"
SPECIMEN = {
    "train/pos/0_9.txt": "A quiet film that stays with you.<br /><br />See it.",
    "train/neg/0_2.txt": "Two hours that I want back.",
    "test/pos/0_8.txt": "Not bad at all.",
    "test/neg/0_1.txt": "Loud, long and empty.",
}
LABELS = {"neg": "negative", "pos": "positive"}
SPLITS = ("train", "test")
TOGETHER = True  # reviews of one film are neighbours, in each class
UNLABELLED = "unlabelled"  # 50,000 further reviews


def splits(root: Path) -> tuple[str, ...]:
    """Return the available labelled splits."""
    return tuple(split for split in SPLITS if (root / split).is_dir() or (root / f"{split}.parquet").is_file())


def read(root: Path, split: str, options: Data) -> Rows:
    """All reviews of the split; of the unlabelled ones, if present, their texts.

    Raises:
        DataError: the split is not there.
    """
    if split == UNLABELLED:
        whole = root / "unsupervised.parquet"
        return plain_text.read_files([whole], options) if whole.is_file() else _texts(root / "train" / "unsup", None)
    if (root / split).is_dir():
        return _folder(root / split)
    path = root / f"{split}.parquet"
    if split not in SPLITS or not path.is_file():
        fix = "give the aclImdb folder, or a folder with train.parquet and test.parquet"
        raise DataError(f"no split '{split}' of IMDB", where=str(root), fix=fix)
    found, bad = [], []
    for row in rows.stream(path, Data()):
        text, problem = rows.text_of(row, "text")
        label = {0: "negative", 1: "positive"}.get(row.values.get("label", -1))
        if problem or label is None:
            bad.append((f"{path}:{row.line}", problem or f"label {row.values.get('label')!r} is neither 0 nor 1"))
        else:
            found.append(Example(text, label, "films", f"{path}:{row.line}"))
    return Rows(found, bad)


def _folder(folder: Path) -> Rows:
    parts = [_texts(folder / short, label) for short, label in LABELS.items()]
    found, bad = ([one for part in parts for one in getattr(part, name)] for name in ("examples", "bad"))
    if not found:
        raise DataError("no reviews under neg/ and pos/", where=str(folder), fix="unpack aclImdb_v1.tar.gz whole")
    return Rows(found, bad)


def _number(path: Path) -> tuple[int, str]:
    """Return the sort key of a review, in the order of films: ``1000_4.txt`` comes after ``999_7.txt``."""
    number = path.stem.partition("_")[0]
    return (int(number) if number.isdecimal() else 0, path.name)


def _texts(folder: Path, label: str | None) -> Rows:
    """One text per file."""
    found, bad = [], []
    for path in sorted(folder.glob("*.txt"), key=_number):
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            bad.append((str(path), "bytes that are not UTF-8"))
            continue
        if text.strip():
            found.append(Example(text, label, "films", str(path)))
        else:
            bad.append((str(path), "empty text"))
    return Rows(found, bad)
