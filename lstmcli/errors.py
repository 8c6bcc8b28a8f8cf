"""Errors that the user can fix. Each has what is wrong, where, and how to fix it.

    LstmcliError
    ├── ConfigError      a recipe, an override or an option
    ├── DataError        a file, a row, a label
    ├── CheckpointError  a .pt file
    └── RuntimeSetupError  a device or a folder that is not available

Raised where the context is known; caught once, in ``cli/app.py``, which ends with exit code 2.
Any other exception is a fault of the program and keeps its traceback.
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import islice
from pathlib import Path


class LstmcliError(Exception):
    """Base of all errors that the user can fix."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.where, self.fix) if part)


class ConfigError(LstmcliError):
    """A recipe, an override or an option is wrong."""


class DataError(LstmcliError):
    """A file, a row or a label is wrong."""


class CheckpointError(LstmcliError):
    """A checkpoint cannot be used."""


class RuntimeSetupError(LstmcliError):
    """A device or a folder is not available."""


PERMISSIONS = "check its permissions, and those of the folders above it"
REFUSED = {  # errors of the system: what the user can do
    errno.EACCES: PERMISSIONS,
    errno.EPERM: PERMISSIONS,
    errno.EISDIR: "give a file inside it",
    errno.ENOTDIR: "check the path: one of its folders is a file",
    errno.ELOOP: "check the path: its symbolic links form a loop",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.EIO: "check the disk or the network drive",
    errno.ESTALE: "check the network drive",
    errno.EMFILE: "allow more open files: ulimit -n 4096",
    errno.ENFILE: "close other programs: too many files are open",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room: the quota is used up",
    errno.EROFS: "choose another path: this file system is read-only",
}
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
LONGEST = 200  # characters of a path that are shown


def of_system(error: OSError) -> LstmcliError | None:
    """Return the error as a message, where the system refuses a path; None where it may be a fault of the program."""
    if (
        error.filename is None and error.errno == errno.ENOENT
    ):  # the only path that can be missing without a name is that of this folder
        return RuntimeSetupError("the current folder does not exist any more", fix="go to another: cd")
    if error.filename is None or error.errno not in REFUSED:
        return None
    path = os.fsdecode(error.filename) if isinstance(error.filename, bytes | str) else str(error.filename)
    what = f"cannot be {'written' if error.errno in UNWRITABLE else 'read'}: {error.strerror}"
    return RuntimeSetupError(what, where=path[:LONGEST], fix=REFUSED[error.errno])


SEARCHED = 10_000  # files of a folder, among which a similar name is searched


def near_path(path: Path) -> str:
    """Name the file of the same folder whose name is nearest to that of a missing one; empty where none is near.

    Where the folder is missing too, the nearest to that.
    """
    if path.is_symlink():
        return f"check the symbolic link: it leads to {path.readlink()}"
    try:
        names = [entry.name for entry in islice(path.parent.iterdir(), SEARCHED)]
    except FileNotFoundError:
        return near_path(path.parent)
    except (OSError, ValueError):  # the folder cannot be read, or cannot be
        return ""
    near = get_close_matches(path.name, sorted(names), n=1, cutoff=0.6)
    return f"did you mean '{path.with_name(near[0])}'?" if near else ""


MANY = 20  # more known words are listed only where none is similar


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the nearest of the known words, then all of them unless they are many.

    >>> did_you_mean("nam", ["name", "lr"])
    "did you mean 'name'? known: name, lr"
    """
    known = list(known)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    listed = f"known: {', '.join(known)}"
    if not near:
        return listed
    return f"did you mean '{near[0]}'?" + (f" {listed}" if len(known) <= MANY else "")


@contextmanager
def for_python() -> Iterator[None]:
    """Write the command line's options in errors as arguments: ``--set train.lr=0.1`` as ``train__lr=0.1``."""
    try:
        yield
    except LstmcliError as error:
        error.where, error.fix = _as_arguments(error.where), _as_arguments(error.fix)
        raise


def counted(count: int, noun: str) -> str:
    """Return the number and the noun, which is given in the singular.

    >>> counted(1, "row"), counted(1200, "class")
    ('1 row', '1,200 classes')
    """
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def none_of(count: int, noun: str) -> str:
    """Return how to begin a message that none of so many can be used.

    >>> none_of(1, "row"), none_of(3, "row")
    ('no row', 'none of the 3 rows')
    """
    return f"no {noun}" if count == 1 else f"none of the {counted(count, noun)}"


def verb(count: int, plural: str) -> str:
    """Return the verb that goes with so many things.

    >>> verb(1, "are"), verb(1, "repeat"), verb(2, "have")
    ('is', 'repeats', 'have')
    """
    return {"are": "is", "have": "has"}.get(plural, f"{plural}s") if count == 1 else plural


def _as_arguments(text: str) -> str:
    """Return the text with options as arguments of Python.

    >>> _as_arguments("lower it: --set train.lr=0.1; or --device cpu")
    "lower it: train__lr=0.1; or device='cpu'"
    """
    text = re.sub(r"--set (\w+)\.(\w+)=", r"\1__\2=", text)
    text = re.sub(r"--(device|precision|learner|budget) ([\w:-]+)", r"\1='\2'", text)
    text = re.sub(r"--max-size ([\w.]+)", r"max_size='\1'", text)
    text = re.sub(r"--threshold '?([^']+?)=([\w.+-]+)'?", r"thresholds={'\1': \2}", text)
    text = re.sub(r"--min-confidence (\S+)", r"min_confidence=\1", text)
    text = re.sub(r"--(sets|in-scope) (\S+)", r"coverage=\2", text)
    return text.replace("name another column: --label-column NAME", "give labels that several texts share")
