"""Which files of a folder hold which split: by their names, in any case, compressed, or in shards."""

import re
from collections.abc import Sequence
from pathlib import Path

from lstmcli.data import rows
from lstmcli.errors import DataError

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "validate": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "devel": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "test": "test",
    "testing": "test",
}  # by the name of the file; of two files for one split the one with the earlier name
SHARD = re.compile(r"-(\d+)-of-(\d+)$")


def files(root: Path, *, endings: Sequence[str] = rows.TABLES, prefix: str = "") -> dict[str, tuple[Path, ...]]:
    """Return the files of each split, one or its shards in order; a file alone is ``train``.

    prefix: what the files' names begin with.

    Raises:
        DataError: a shard is missing.
    """
    if not root.is_dir():
        return {"train": (root,)}
    found = _files(root, endings, prefix)
    inner = root / "data"  # where repositories on the hub keep them
    return found if found or not inner.is_dir() else _files(inner, endings, prefix)


def _files(root: Path, endings: Sequence[str], prefix: str) -> dict[str, tuple[Path, ...]]:
    named: dict[str, list[Path]] = {}
    for path in sorted(root.iterdir()):
        stem = _stem(path, endings)
        if stem is not None and stem.startswith(prefix) and path.is_file():
            named.setdefault(SHARD.sub("", stem.removeprefix(prefix)), []).append(path)
    found: dict[str, tuple[Path, ...]] = {}
    for stem, split in SPLITS.items():
        if stem in named:
            found.setdefault(split, _shards(named[stem], endings))
    return {split: found[split] for split in dict.fromkeys(SPLITS.values()) if split in found}


def _stem(path: Path, endings: Sequence[str]) -> str | None:
    """Return the name in lower case without its ending; None where it has none of these."""
    name = path.name.lower()
    for ending in rows.COMPRESSED:
        name = name.removesuffix(ending)
    found = next((one for one in endings if one and name.endswith(one)), None)
    return None if found is None else name.removesuffix(found)


def _shards(paths: Sequence[Path], endings: Sequence[str]) -> tuple[Path, ...]:
    """All shards of a split, or the first of files that differ in their ending."""
    shards = [path for path in paths if SHARD.search(_stem(path, endings) or "")]
    if not shards:
        return (min(paths, key=lambda path: _rank(path, endings)),)
    whole = SHARD.search(_stem(shards[0], endings) or "")
    if whole and len(shards) != int(whole[2]):
        what = f"{len(shards)} of {int(whole[2])} shards were found"
        raise DataError(what, where=str(shards[0]), fix="download the others, or rename the file to train.csv")
    return tuple(shards)


def _rank(path: Path, endings: Sequence[str]) -> int:
    return next(index for index, ending in enumerate(endings) if ending in path.name.lower())


def unread(root: Path, found: dict[str, tuple[Path, ...]], *, endings: Sequence[str] = rows.TABLES) -> str:
    """Return a note that names the files of the folder that look like data and are not read; "" where there are
    none."""
    if not root.is_dir():
        return ""
    used = {path for paths in found.values() for path in paths}
    folder = next(iter(used)).parent if used else root
    others = [path.name for path in sorted(folder.iterdir()) if path not in used and _stem(path, endings) is not None]
    listed = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    return f"not read: {listed} (read: {', '.join(sorted(path.name for path in used))})" if others else ""


def of_split(found: dict[str, tuple[Path, ...]], split: str, root: Path) -> tuple[Path, ...]:
    """Return the split's files. Raises DataError where there are none."""
    if split not in found:
        fix = f"it has: {', '.join(found) or 'none'}; name the file itself"
        raise DataError(f"no split '{split}'", where=str(root), fix=fix)
    return found[split]


def classes(root: Path) -> dict[str, dict[str, list[Path]]]:
    """By split and label the texts of a folder with one folder per class, each with one text per file.

    The class folders lie in the root, or in a folder for each split.
    """
    if not root.is_dir():
        return {}
    found = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        split = SPLITS.get(folder.name.lower())
        if split is not None and (labels := _labelled(folder)):
            found[split] = labels
    if not found and (labels := _labelled(root)):
        found["train"] = labels
    return found


def _labelled(folder: Path) -> dict[str, list[Path]]:
    """Return the text files of each class, where there are two classes or more."""
    found = {path.name: sorted(path.glob("*.txt")) for path in sorted(folder.iterdir()) if path.is_dir()}
    labels = {name: paths for name, paths in found.items() if paths}
    return labels if len(labels) > 1 else {}
