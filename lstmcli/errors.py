"""What the user can mend. Each error says what is wrong, where, and how to mend it.

    LstmcliError
    ├── ConfigError      a recipe, an override or an option
    ├── DataError        a file, a row, a label
    ├── CheckpointError  a .pt file
    └── RuntimeSetupError  a device or a folder that is not to be had

Raised where the context is known; caught once, in ``cli/app.py``, which ends with exit code 2.
Any other exception is a fault of the program and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class LstmcliError(Exception):
    """Base of all errors that the user can mend."""

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
    """A device or a folder is not to be had."""


MANY = 20  # known words that are more are listed only where none is near


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
