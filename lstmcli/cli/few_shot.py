"""Show the reports of few-shot evaluation and of the optimiser benchmark."""

from typing import TYPE_CHECKING

from rich.table import Table

from lstmcli import registry
from lstmcli.cli.render import Screen
from lstmcli.errors import counted
from lstmcli.report.names import name_of

if TYPE_CHECKING:
    from lstmcli.inference.evaluate import Report
    from lstmcli.inference.few_shot_report import FewShot
    from lstmcli.race.race import Race

BASELINES = {"before": "the same before adaptation", "finetune": "fine-tuning of the head"}
SHOWN = ("balanced_accuracy", "auc")  # of each task, beside the primary figure


def show(screen: Screen, report: "Report | FewShot") -> None:
    """Print the report, of few-shot tasks or of a model as it is."""
    from lstmcli.inference.evaluate import Report

    if isinstance(report, Report):
        screen.report(report)
        return
    if screen.json:
        screen.print_json(report.plain())
        return
    shape = f"{counted(report.episodes, 'task')} of {counted(report.ways, 'class')}, "
    shape += f"{counted(report.shots, 'text')} per class to learn from"
    shape += "" if report.steps is None else f" in {counted(report.steps, 'step')}"
    screen.out.print(f"{report.data} ({report.split}): {shape}")
    screen.out.print(f"{report.examples:,} scored, class prior: {report.prior}, {report.seconds:.1f} s")
    primary = registry.task(report.task).PRIMARY
    metrics = (primary, *SHOWN)
    table = Table("", *(name_of(name) for name in metrics), box=None, pad_edge=False, header_style="bold")
    for name, figures in {"model": report.metrics, **report.baselines}.items():
        table.add_row(name, *(_with_interval(figures[metric]) if metric in figures else "" for metric in metrics))
    screen.out.print(table)
    _tasks(screen, report, primary)
    for name, gains in report.gains.items():
        _gain(screen, primary, name, gains[primary])
    for name in report.below:
        baseline = BASELINES.get(name, f"the {name} baseline")
        screen.note(f"the model is not better than {baseline} here: use the baseline, or give more texts per class")


def show_race(screen: Screen, race: "Race") -> None:
    """Print a table of the optimisers."""
    if screen.json:
        screen.print_json(race.plain())
        return
    screen.out.print(
        f"loss after {counted(race.steps, 'step')} on {race.problems:,} test problems, {race.seconds:.0f} s in all"
    )
    table = Table("optimiser", "rate", "median loss", "ratio to the learned one", box=None, pad_edge=False,
                  header_style="bold")  # fmt: skip
    for name, loss in race.medians.items():
        factor, rate = race.factors.get(name), race.rates.get(name)
        ratio = "" if factor is None else f"{factor['value']:.2f} ({factor['low']:.2f} to {factor['high']:.2f})"
        table.add_row(name, "" if rate is None else f"{rate:.4f}", f"{loss:.3g}", ratio)
    screen.out.print(table)
    screen.out.print(f"{race.folder}/race.svg", style="bold", soft_wrap=True)


def _tasks(screen: Screen, report: "FewShot", primary: str) -> None:
    if not report.tasks:
        return
    names = (primary, *SHOWN)
    before = f"{name_of(primary)} before"
    table = Table("task", "scored", *(name_of(name) for name in names), before, "majority",
                  box=None, pad_edge=False, header_style="bold")  # fmt: skip
    for task in report.tasks:
        others = [task["baselines"].get(name, {}).get(primary) for name in ("before", "majority")]
        figures = [task["metrics"].get(name) for name in names] + others
        shown = ["" if figure is None else f"{figure:.1%}" for figure in figures]
        table.add_row(task["name"] or "all", f"{task['examples']:,}", *shown)
    screen.out.print(table)


def _gain(screen: Screen, primary: str, name: str, figure: dict[str, float]) -> None:
    significant = figure["low"] > 0 or figure["high"] < 0
    verdict = "" if significant else ": not significant"
    screen.out.print(
        f"{name_of(primary)} against {BASELINES[name]}, paired: {100 * figure['value']:+.1f} points "
        f"({100 * figure['low']:+.1f} to {100 * figure['high']:+.1f}){verdict}"
    )


def _with_interval(figure: dict[str, float]) -> str:
    return f"{figure['value']:.1%} ({100 * figure['low']:.1f} to {100 * figure['high']:.1f})"
