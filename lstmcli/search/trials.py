"""The trials of a search, and the file that keeps them. Imports no torch."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from lstmcli.errors import ConfigError
from lstmcli.search.space import Settings
from lstmcli.storage import atomic, run_folder

State = Literal["finished", "stopped", "too large", "failed"]


@dataclass(frozen=True)
class Trial:
    """One recipe that was tried.

    start, settings: what it changes in the default recipe; nothing in trial 0, which is the default. state: "stopped"
    by the end of the budget or an interruption. metrics: on validation texts, calibrated. advantage, p_value: over the
    default, as of ``search/rule.py``. best: it was the best when it ended. baselines: of the best. seconds: it took;
    elapsed: of the search when it ended. bytes: of its model.pt, where that is known.
    """

    number: int
    start: str
    settings: Settings
    state: State
    seconds: float
    elapsed: float
    metrics: dict[str, float] = field(default_factory=dict)
    advantage: float | None = None
    p_value: float | None = None
    best: bool = False
    baselines: dict[str, float] = field(default_factory=dict)
    bytes: int | None = None
    reason: str = ""

    def plain(self) -> dict[str, Any]:
        """Return the trial as a dictionary for JSON."""
        return asdict(self)


def chosen(trials: Iterable[Trial]) -> Trial | None:
    """Return the trial whose model is kept."""
    return next((trial for trial in reversed(list(trials)) if trial.best), None)


def write(trials: Iterable[Trial], out: Path) -> None:
    """Write the file, one line per trial."""
    with atomic.whole(out / run_folder.TRIALS) as file:
        file.write("".join(json.dumps(trial.plain()) + "\n" for trial in trials).encode())


def read(out: Path) -> list[Trial]:
    """Read the file of a search that is resumed.

    Raises:
        ConfigError: It is not one that ``write`` wrote.
    """
    path = out / run_folder.TRIALS
    known = {one.name for one in fields(Trial)}
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        found = [Trial(**{key: value for key, value in line.items() if key in known}) for line in lines]
        numbers = [float(trial.elapsed) for trial in found]
    except (ValueError, TypeError, AttributeError) as error:
        fix = "begin a new search: leave out --resume, and give --force or another --out"
        raise ConfigError("not the trials of a search", where=str(path), fix=fix) from error
    return found if numbers else []
