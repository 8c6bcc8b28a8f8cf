"""CoNLL-2003 named entities: persons, locations, organisations, other names; and the user's files in columns.

Tjong Kim Sang & De Meulder (2003). Two layouts: column files (``train.txt``, ``valid.txt``, ``test.txt``; any tag
scheme, any types of entity), and the hub's ``lhoestq/conll2003``, parquet with ``tokens`` and numbered ``ner_tags``.
"""

from dataclasses import replace
from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import folders
from lstmcli.data.text import annotated, conll_format
from lstmcli.errors import DataError
from lstmcli.types import Rows

HUB = "lhoestq/conll2003"
SPECIMEN = {
    "train.txt": "-DOCSTART- -X- O O\n\nAda NNP I-NP B-PER\nLovelace NNP I-NP I-PER\nsaw VBD I-VP O\n"
    "Turin NNP I-NP B-LOC\n. . O O\n\nRain NN I-NP O\n. . O O\n",
    "valid.txt": "Turin NNP I-NP B-LOC\nslept VBD I-VP O\n",
    "test.txt": "Ada NNP I-NP B-PER\nslept VBD I-VP O\n",
}
NUMBERED = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")  # the hub's ner_tags


HUBS = (HUB.replace("/", "--"), "conll2003")  # folders whose tag numbers are those of the data set on the hub


def splits(root: Path) -> tuple[str, ...]:
    """Return the available splits."""
    return tuple(_files(root))


def fits(root: Path) -> bool:
    """Return whether the file or folder holds words and tags, or texts with annotated entities."""
    return any(_fits(path) for paths in _files(root).values() for path in paths)


def read(root: Path, split: str, options: Data) -> Rows:
    """All sentences of the split; texts are tuples of words, targets tags in IOBES.

    Raises:
        DataError: the split is not there, or cannot be read.
    """
    found = _files(root)
    if split not in found:
        fix = f"it has: {', '.join(found) or 'none'}; give a folder with train.txt, valid.txt and test.txt"
        raise DataError(f"no split '{split}'", where=str(root), fix=fix)
    if _in_rows(found[split][0]):
        return annotated.read(found[split], options, NUMBERED if root.name in HUBS else ())
    (path,) = found[split]
    train = found.get("train", (path,))[0]  # its columns are those of the other splits too
    like = conll_format.layout_of(train, options) if path != train and not _in_rows(train) else None
    rows = conll_format.read(path, options, like)
    others = [other.name for other in conll_format.candidates(root).get(split, ()) if other != path]
    unread = (f"not read: {', '.join(others)} (read: {path.name})",) if others else ()
    return replace(rows, notes=(*rows.notes, *unread))


def _files(root: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files of each split: those in columns, else those in rows."""
    in_columns = {split: (path,) for split, path in conll_format.files(root).items()}
    if not root.is_dir():
        return dict(in_columns)
    flatten = folders.files(root, endings=annotated.ENDINGS)
    kept = {split: paths for split, paths in flatten.items()
            if split not in in_columns or (not _fits(in_columns[split][0]) and _fits(paths[0]))}  # fmt: skip
    found = in_columns | kept
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _fits(path: Path) -> bool:
    return annotated.fits(path) if _in_rows(path) else conll_format.fits(path)


def _in_rows(path: Path) -> bool:
    return conll_format.ending(path) in annotated.ENDINGS
