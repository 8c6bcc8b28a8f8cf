"""Show the trials of a search."""

from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

from lstmcli.cli.figures import duration
from lstmcli.report.names import name_of, shown

if TYPE_CHECKING:
    from lstmcli.events import Searched

Trial = dict[str, Any]  # a line of trials.jsonl


def described(trial: Trial) -> str:
    """Return what the trial changes in the recipe."""
    changed = " ".join(f"{key.partition('.')[2]}={_plain(value)}" for key, value in trial["settings"].items())
    start = {"scratch": "from scratch "}.get(trial["start"], "")
    return (start + changed).strip() or "the recipe"


def line(trial: Trial) -> str:
    """Describe a trial that has ended."""
    figures = ", ".join(f"{name_of(name)} {_figure(name, value)}" for name, value in trial["metrics"].items())
    ended = trial["state"] if trial["state"] != "finished" else "best so far" if trial["best"] else ""
    parts = (figures, duration(trial["seconds"]), ended, trial["reason"])
    return f"trial {trial['number']}: {described(trial)}: {', '.join(part for part in parts if part)}"


def table(event: "Searched") -> Table:
    """Return the trials as a table, the one that is kept marked."""
    names = list(dict.fromkeys(("accuracy", event.headline, "loss")))
    figures = [Column(name_of(name), justify="right") for name in names]
    columns: list[Column | str] = [Column("trial", justify="right"), *figures, Column("p", justify="right"),
               Column("time", justify="right"), "state", Column("what it changes", ratio=1)]  # fmt: skip
    found = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for trial in event.trials:
        values = [_figure(name, trial["metrics"][name]) if name in trial["metrics"] else "" for name in names]
        p_value = "" if trial["p_value"] is None else f"{trial['p_value']:.2g}"
        kept = trial["number"] == event.chosen
        state = "kept" if kept else "" if trial["state"] == "finished" else trial["state"]
        found.add_row(
            str(trial["number"]), *values, p_value, duration(trial["seconds"]), state, described(trial),
            style="bold" if kept else "",
        )  # fmt: skip
    return found


def verdict(event: "Searched") -> str:
    """Say which model is kept, and by which rule."""
    chosen = next(trial for trial in event.trials if trial["number"] == event.chosen)
    if chosen["p_value"] is None:
        return f"kept: {described(chosen)}; no other trial is better than it by more than noise"
    return f"kept: trial {event.chosen}, better than the recipe by more than noise; the recipe's own model: default.pt"


def _figure(name: str, value: float) -> str:
    return f"{value:.3f}" if name == "loss" else shown(name, value)


def _plain(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
