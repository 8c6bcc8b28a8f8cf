"""CoNLL-2003 named entities: persons, locations, organisations, other names; and a user's own files in columns.

Tjong Kim Sang & De Meulder (2003). Two layouts: column files (``train.txt``, ``valid.txt``, ``test.txt``; any tag
scheme, any types of entity), and the hub's ``lhoestq/conll2003``, parquet with ``tokens`` and numbered ``ner_tags``.
"""

from pathlib import Path

from lstmcli import tags
from lstmcli.config import Data
from lstmcli.data import columns, rows
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

HUB = "lhoestq/conll2003"
SPECIMEN = {
    "train.txt": "-DOCSTART- -X- O O\n\nAda NNP I-NP B-PER\nLovelace NNP I-NP I-PER\nsaw VBD I-VP O\n"
    "Turin NNP I-NP B-LOC\n. . O O\n\nRain NN I-NP O\n. . O O\n",
    "valid.txt": "Turin NNP I-NP B-LOC\nslept VBD I-VP O\n",
    "test.txt": "Ada NNP I-NP B-PER\nslept VBD I-VP O\n",
}
NUMBERED = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")  # the hub's ner_tags


def splits(root: Path) -> tuple[str, ...]:
    """The splits at hand."""
    return tuple(_files(root))


def fits(root: Path) -> bool:
    """True where the file or folder holds words and tags in columns."""
    return root.suffix in columns.OWN_ENDINGS or any(map(columns.looks_like, columns.files(root).values()))


def read(root: Path, split: str, options: Data) -> Rows:  # noqa: ARG001 (readers share one signature)
    """All sentences of the split; texts are tuples of words, targets tags in IOBES.

    Raises:
        DataError: the split is not there, or cannot be read.
    """
    found = _files(root)
    if split not in found:
        fix = f"it has: {', '.join(found) or 'none'}; give a folder with train.txt, valid.txt and test.txt"
        raise DataError(f"no split '{split}'", where=str(root), fix=fix)
    path = found[split]
    return _parquet(path) if path.suffix == ".parquet" else columns.read(path)


def _files(root: Path) -> dict[str, Path]:
    hub = {path.stem: path for path in sorted(root.glob("*.parquet"))} if root.is_dir() else {}
    return columns.files(root) or hub


def _parquet(path: Path) -> Rows:
    found, bad = [], []
    for row in rows.stream(path, Data(text_column="tokens")):
        words, numbers = row.values["tokens"], row.values.get("ner_tags") or ()
        if any(number not in range(len(NUMBERED)) for number in numbers):
            bad.append((f"{path}:{row.line}", "'ner_tags' are not numbers from 0 to 8"))
            continue
        if not words or not all(isinstance(word, str) and word.strip() for word in words):
            bad.append((f"{path}:{row.line}", "'tokens' are not words"))
            continue
        scheme = tags.iobes([NUMBERED[number] for number in numbers])
        if len(words) != len(scheme):
            bad.append((f"{path}:{row.line}", f"{len(words)} words and {len(scheme)} tags"))
        elif words[0] != columns.DOCUMENT:
            found.append(Example(tuple(words), scheme, where=f"{path}:{row.line}"))
    return Rows(found, bad)
