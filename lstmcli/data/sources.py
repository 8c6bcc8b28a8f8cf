"""Where a data set's files lie: a path, ``$LSTMCLI_DATA/<name>/``, the program itself, or the Hugging Face hub."""

import os
from collections.abc import Sequence
from pathlib import Path

from lstmcli.errors import DataError, near_path

VARIABLE = "LSTMCLI_DATA"
HELP = "or take bundled data, which needs no network: lstmcli train reviews, lstmcli train entities"
GROUPS = ("", "fewshot_intents")  # folders under $LSTMCLI_DATA in which a data set's own may lie
HUB_SECONDS = 5.0  # to find out whether the hub answers


def locate(name: str, *, path: Path | None, bundled: Path | None, hub: str, cache: Path, fetch: bool = True) -> Path:
    """The file or folder that holds the data set.

    path: what the user named; bundled: the folder that ships; hub: the parquet repository on the hub, or "";
    cache: where files from the hub are kept; fetch: ask the hub for what is not there.

    Raises:
        DataError: none of the places has it; all are named.
    """
    if path is not None:
        if not path.exists():
            fix = f"{near_path(path) or 'check the path'}, {HELP}"
            raise DataError("there is no such file or folder", where=f"--data {path}", fix=fix)
        return path
    root = os.environ.get(VARIABLE)
    for group in GROUPS if root else ():
        if (Path(str(root)) / group / name).exists():
            return Path(str(root)) / group / name
    if bundled is not None:
        return bundled
    tried = [f"${VARIABLE}/{name} ({'there is none in ' + root if root else 'the variable is not set'})"]
    if name == "table":
        raise DataError(f"'{name}' needs a file", where="--data is not given", fix=f"name it: --data my.csv, {HELP}")
    folder = cache / "hub" / hub.replace("/", "--")
    if not hub or not folder.is_dir():
        reason = "it is on none that is known" if not hub else _download(hub, folder) if fetch else "not asked"
        if reason:
            raise DataError(
                f"the data set '{name}' was not found",
                where=f"looked in: --data (not given); {'; '.join(tried)}; the hub's {hub or name} ({reason})",
                fix=f"give its folder: --data PATH, or set {VARIABLE} to the folder that holds {name}/,\n{HELP}",
            )
    return folder


def _download(hub: str, folder: Path) -> str:
    """Fetch the repository's splits as parquet into the folder; says why where it cannot."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "not asked: HF_HUB_OFFLINE is set"
    from huggingface_hub import HfApi

    try:
        names = [str(file.rfilename) for file in HfApi().dataset_info(hub, timeout=HUB_SECONDS).siblings or ()]
    except Exception as error:  # the client's errors differ from version to version; all mean the same to the user
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
    """True where there is parquet and no code: nothing remote is ever run."""
    return any(name.endswith(".parquet") for name in names) and not any(name.endswith(".py") for name in names)
