"""The limits of a search: a duration such as 10m, a file size such as 3MB. Imports no torch."""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from lstmcli.errors import ConfigError, RuntimeSetupError

SECONDS = {"s": 1, "m": 60, "h": 3600}
BYTES = {"kb": 10**3, "mb": 10**6, "gb": 10**9}
BUDGET, MAX_SIZE = "--budget", "--max-size"


@dataclass
class Clock:
    """Seconds of a budget. spent: by the searches that this one resumes; now: the time in seconds."""

    budget: float
    spent: float = 0.0
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._begun = self.now()

    @property
    def elapsed(self) -> float:
        """Seconds since the search began, without the time between an interruption and its resumption."""
        return self.spent + self.now() - self._begun

    @property
    def remaining(self) -> float:
        return self.budget - self.elapsed


def seconds(text: str | float) -> float:
    """Return the seconds of a duration such as 90s, 10m or 1h30m, or of a number of seconds.

    >>> seconds("1h30m")
    5400.0

    Raises:
        ConfigError: it is none, or 0.
    """
    text = text if isinstance(text, str) else f"{text}s"
    parts = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip().lower())
    found = 0.0 if parts is None else sum(
        float(number or 0) * SECONDS[unit] for number, unit in zip(parts.groups(), "hms", strict=True)
    )  # fmt: skip
    if not found or not math.isfinite(found):
        fix = f"give hours, minutes or seconds, for example {BUDGET} 10m, {BUDGET} 90s or {BUDGET} 1h30m"
        raise ConfigError(f"'{text}' is not a duration", where=f"{BUDGET} {text}", fix=fix)
    return found


def duration(value: float) -> str:
    """Return seconds as they are given, rounded up.

    >>> duration(5400), duration(90), duration(8.2)
    ('90m', '90s', '9s')
    """
    whole = math.ceil(value)
    return f"{whole // 60}m" if whole % 60 == 0 and whole else f"{whole}s"


def size(text: str | float) -> int:
    """Return the bytes of a file size such as 3MB, or of a number of bytes.

    >>> size("3MB")
    3000000

    Raises:
        ConfigError: it is none, or 0.
    """
    text = text if isinstance(text, str) else f"{text / BYTES['kb']}kb"
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg]b)", text.strip().lower())
    found = 0.0 if parts is None else float(parts[1]) * BYTES[parts[2]]
    if not 0.5 < found < math.inf:
        fix = f"give a number with its unit, for example {MAX_SIZE} 3MB or {MAX_SIZE} 800KB"
        raise ConfigError(f"'{text}' is not a size", where=f"{MAX_SIZE} {text}", fix=fix)
    return round(found)


def check_installed() -> None:
    """Raise RuntimeSetupError where Optuna is not installed."""
    if find_spec("optuna") is None:
        fix = f"install it: pip install 'lstmcli[budget]'; or train the recipe alone, without {BUDGET}"
        raise RuntimeSetupError("a search needs the package optuna", where=BUDGET, fix=fix)
