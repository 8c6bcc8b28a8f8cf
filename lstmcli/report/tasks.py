"""The panels of few-shot evaluation: the figure of each task, and what the model gains."""

from collections.abc import Mapping, Sequence
from typing import Any

from lstmcli.errors import counted
from lstmcli.report import charts, html
from lstmcli.report.charts import Axis, Estimate
from lstmcli.report.names import DIGITS, name_of, shown
from lstmcli.report.panels import Panel, limits, ticks

METHODS = {
    "model": "this model",
    "before": "before adapting",
    "finetune": "fine-tuned head",
    "support linear": "linear, support",
    "centroid": "centroid",
    "linear": "linear, training",
}
NAMED_TASKS = 40  # drawn one by one
COLOURS = 5  # of methods of one task


def episodes(report: Mapping[str, Any], primary: str, by_episode: Mapping[str, Sequence[float]]) -> Panel:
    """Show a dot per task, of the model and of each baseline."""
    figures = {"model": report["metrics"], **report["baselines"]}
    groups = []
    for name, values in by_episode.items():
        mean = figures[name][primary]
        shown_as = METHODS.get(name, name)
        note = shown(primary, mean["value"])
        groups.append((Estimate(shown_as, mean["value"], mean["low"], mean["high"], note=note), values))
    groups.sort(key=lambda group: (group[0].name != METHODS["model"], -group[0].value))
    axis = _axis(primary, [value for _, values in groups for value in values])
    described = "; ".join(f"{mean.name}: mean {shown(primary, mean.value)}" for mean, _ in groups)
    chart = charts.strips(groups, axis, f"{name_of(primary)} of each task. {described}")
    caption = (
        f"A small dot per task, {report['episodes']:,} in all; the large dot is the mean, with its 95 % interval over "
        "tasks."
    )
    rows = [[mean.name, shown(primary, mean.value), f"{shown(primary, mean.low)} to {shown(primary, mean.high)}",
             shown(primary, min(values)), shown(primary, max(values))] for mean, values in groups]  # fmt: skip
    columns = ["method", "mean", "95 % interval", "worst task", "best task"]
    body = [html.figure(chart, caption), html.data("Over the tasks", columns, rows)]
    for name, gains in report["gains"].items():
        gain = gains[primary]
        certain = "" if gain["low"] > 0 or gain["high"] < 0 else "; not significant"
        body.append(
            html.paragraph(
                f"Against {METHODS.get(name, name)}, paired over tasks: {100 * gain['value']:+.1f} points "
                f"({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}){certain}."
            )
        )
    return "episodes", "Each task", html.section("episodes", "A dot per task", *body)


def by_name(report: Mapping[str, Any], primary: str) -> Panel | None:
    """Show the tasks by their names, each with the methods side by side; None where tasks have no names."""
    tasks = report["tasks"]
    if len(tasks) < 2:
        return None
    methods = [name for name in METHODS if name == "model" or any(name in task["baselines"] for task in tasks)]
    methods = [*methods, *(name for name in tasks[0]["baselines"] if name not in METHODS)][:COLOURS]
    values = [
        [task["metrics"].get(primary) if name == "model" else task["baselines"].get(name, {}).get(primary)
         for name in methods]
        for task in tasks
    ]  # fmt: skip
    drawn = [(task["name"] or "all", row) for task, row in zip(tasks, values, strict=True)][:NAMED_TASKS]
    axis = _axis(primary, [value for row in values for value in row if value is not None])
    names = [METHODS.get(name, name) for name in methods]
    chart = charts.dumbbells(drawn, axis, f"{name_of(primary)} of {counted(len(drawn), 'task')}: {', '.join(names)}")
    rows = [[task["name"] or "all", f"{task['examples']:,}",
             *("" if value is None else shown(primary, value) for value in row)]
            for task, row in zip(tasks, values, strict=True)]  # fmt: skip
    more = f"The first {len(drawn)} of {counted(len(tasks), 'task')}." if len(tasks) > len(drawn) else ""
    body = (
        html.figure(chart, more, html.legend(names, marks=True)),
        html.data("The tasks", ["task", "texts scored", *names], rows),
    )
    return "tasks", "Tasks by name", html.section("tasks", "The tasks by name", *body)


def _axis(name: str, values: Sequence[float]) -> Axis:
    low, high = (0.0, max(values)) if name in DIGITS else limits(values)
    return Axis(low, high, name_of(name), ticks(name))
