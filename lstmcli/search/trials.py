"""The trials of a search, and the file that keeps them. Imports no torch."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from lstmcli.errors import ConfigError
from lstmcli.search.space import FROM_SCRATCH, SPACE, UNEVEN, Settings
from lstmcli.storage import atomic, run_folder

METRICS = {"accuracy", "macro_f1", "loss"}  # of a trial that was judged
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
    try:
        found = [TypeAdapter(Trial).validate_python(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
        for number, trial in enumerate(found):
            _check(trial, number)
    except (ValueError, RecursionError) as error:
        fix = "begin a new search: leave out --resume, and give --force or another --out"
        raise ConfigError("not the trials of a search", where=str(path), fix=fix) from error
    return found


def _check(trial: Trial, number: int) -> None:
    """Raise ValueError where a search does not record such a trial."""
    known = {key for keys in (*SPACE.values(), UNEVEN, FROM_SCRATCH) for key in keys}
    figures = (trial.seconds, trial.elapsed, *trial.metrics.values())
    whole = trial.metrics.keys() >= METRICS or not (trial.best or trial.state == "finished")
    if trial.number != number or trial.start not in ("", *SPACE) or not trial.settings.keys() <= known:
        raise ValueError("another recipe")
    if not whole or not all(math.isfinite(one) for one in figures) or min(figures[:2]) < 0:
        raise ValueError("other figures")
