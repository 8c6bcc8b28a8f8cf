"""Find the files of a data set: at a path, under ``$LSTMCLI_DATA``, in the package, or on the Hugging Face hub.

Under ``$LSTMCLI_DATA`` they are in a folder with the name of the data set, directly or one level deeper.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from lstmcli.errors import DataError, near_path

VARIABLE = "LSTMCLI_DATA"
HELP = "or use bundled data, which needs no network: lstmcli train opinions, lstmcli train entities"
HUB_SECONDS = 5.0  # time limit of the first request


def locate(
    name: str,
    *,
    path: Path | None,
    bundled: Path | None,
    hub: str,
    cache: Path,
    fetch: bool = True,
    spans: bool = False,
    needs_path: bool = False,
) -> Path:
    """Return the file or folder that holds the data set.

    path: named by the user; bundled: the folder in the package; hub: the parquet repository on the hub, or "";
    cache: where files from the hub are kept; fetch: download what is not found elsewhere;
    spans: it reads the folders of several data sets; needs_path: it is a format of the user's own data.

    Raises:
        DataError: it is not found, or ambiguous; the message names every place that was searched.
    """
    if path is not None:
        if not path.exists():
            fix = f"{near_path(path) or 'check the path'}, {HELP}"
            raise DataError("there is no such file or folder", where=f"--data {path}", fix=fix)
        return path
    root = os.environ.get(VARIABLE)
    if root and spans and Path(root).is_dir():
        return Path(root)
    if root and (Path(root) / name).exists():
        return Path(root) / name
    if bundled is not None:
        return bundled
    if needs_path:
        fix = f"name it: --data my.csv, {HELP}" if name == "table" else "name it: --data my.txt"
        raise DataError(f"'{name}' needs a file", where="--data is not given", fix=fix)
    if root and (deeper := _one_level_deeper(Path(root), name)) is not None:
        return deeper
    tried = f"${VARIABLE}/{name} ({'there is none in ' + root if root else 'the variable is not set'})"
    folder = cache / "hub" / hub.replace("/", "--")
    if not hub or not folder.is_dir():
        reason = "no repository is known" if not hub else _download(hub, folder) if fetch else "not searched"
        if reason:
            raise DataError(
                f"the data set '{name}' was not found",
                where=f"looked in: --data (not given); {tried}; the hub's {hub or name} ({reason})",
                fix=f"give its folder: --data PATH, or set {VARIABLE} to the folder that holds {name}/,\n{HELP}",
            )
    return folder


def _one_level_deeper(root: Path, name: str) -> Path | None:
    """Return the folder of that name in a folder of the root. Raises DataError where several have one."""
    found = sorted(path for path in root.glob(f"*/{name}") if path.is_dir())
    if len(found) > 1:
        where = ", ".join(map(str, found))
        raise DataError(f"several folders may hold the data set '{name}'", where=where, fix="name one: --data PATH")
    return found[0] if found else None


def _download(hub: str, folder: Path) -> str:
    """Fetch the repository's splits as parquet into the folder; return the reason if it fails."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "not searched: HF_HUB_OFFLINE is set"
    from huggingface_hub import HfApi

    try:
        names = [str(file.rfilename) for file in HfApi().dataset_info(hub, timeout=HUB_SECONDS).siblings or ()]
    except Exception as error:  # the client's errors differ between versions; to the user all mean the same
        return f"cannot be reached: {type(error).__name__}"
    if not _only_parquet(names):
        return "not a repository of parquet files"

    from datasets import load_dataset

    try:
        found = load_dataset(hub)
        partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
        partial.mkdir(parents=True, exist_ok=True)
        for split, data in found.items():
            data.to_parquet(str(partial / f"{split}.parquet"))
        partial.rename(folder)
    except Exception as error:
        return f"failed: {type(error).__name__}: {error}"
    return ""


def _only_parquet(names: Sequence[str]) -> bool:
    """Return True for parquet files without code: nothing remote is ever run."""
    return any(name.endswith(".parquet") for name in names) and not any(name.endswith(".py") for name in names)
