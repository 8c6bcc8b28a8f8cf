"""List the shipped recipes by what they are for.

A recipe begins with comment lines; the first describes it, and ``# time: ...`` has its duration.
"""

import os
from dataclasses import dataclass
from typing import Any

from lstmcli import registry
from lstmcli.contracts import TaskHooks, hooks
from lstmcli.recipes.files import CONFIGS, listed, read, task_of

TIME = "# time: "
GROUPS = {  # headings of the list beside those of the tasks, by what a recipe is for
    "own": "your own data",
    "episodes": "few-shot",
    "benchmark": "optimiser benchmark",
}


@dataclass(frozen=True)
class Shipped:
    """A shipped recipe as the list shows it. time: without the machine; empty where none is stated."""

    name: str
    line: str
    time: str


def groups() -> dict[str, list[Shipped]]:
    """Every shipped recipe by the heading under which it is listed."""
    of_tasks = [hooks(TaskHooks, registry.task(name)).HEADING for name in registry.TASKS]
    found: dict[str, list[Shipped]] = {heading: [] for heading in (GROUPS["own"], *of_tasks, *GROUPS.values())}
    for name, line in listed().items():
        path = CONFIGS / f"{name}.yaml"
        times = [row for row in path.read_text("utf-8").splitlines() if row.startswith(TIME)]
        time = times[0].removeprefix(TIME).partition(" on ")[0] if times else ""
        found[_heading(read(path))].append(Shipped(name, line, time))
    return {heading: group for heading, group in found.items() if group}


def _heading(values: dict[str, Any]) -> str:
    data = values["data"]["name"]
    if data in registry.LAYOUTS:
        return GROUPS["own"]
    if data in registry.PROBLEMS:
        return GROUPS["benchmark"]
    if "episodes" in values:
        return GROUPS["episodes"]
    return hooks(TaskHooks, registry.task(task_of(values))).HEADING


def same_name(text: str, option: str) -> str:
    """Return a note where a file or folder here has the name of the recipe, or of the data set, that is meant; else
    empty.

    option: where the text was typed, train or --data.
    """
    named = listed() if option == "train" else registry.DATASETS.keys() - set(registry.LAYOUTS)
    if registry.ALIASES.get(text, text) not in named or not os.path.lexists(text):
        return ""
    kind = "recipe" if option == "train" else "data set"
    path = f"lstmcli train ./{text}" if option == "train" else f"{option} ./{text}"
    return f"'{text}' is the {kind} of that name; for the file or folder here: {path}"
