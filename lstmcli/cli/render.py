"""Show tables, notes and JSON. Results go to stdout, everything else to stderr."""

import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import yaml
from rich.table import Column, Table
from rich.text import Text

from lstmcli import events
from lstmcli.cli import curve, entities, interruptions, searches, thresholds
from lstmcli.cli.bars import Bars
from lstmcli.cli.console import console
from lstmcli.cli.escapes import as_json, printable
from lstmcli.cli.figures import duration, headline, with_counts, with_interval
from lstmcli.config import RunConfig
from lstmcli.errors import counted
from lstmcli.report import history
from lstmcli.report.names import headed, name_of, shown
from lstmcli.storage import sinks
from lstmcli.storage.run_folder import RUNS, within

if TYPE_CHECKING:
    from lstmcli.config.fields import Row
    from lstmcli.events import Evaluated, Event, Finished, Listener, Planned, Searched
    from lstmcli.inference.adapt import Adaptation
    from lstmcli.inference.evaluate import Figures, Report
    from lstmcli.recipes import Shipped
    from lstmcli.types import SplitCheck


class Screen:
    """The output of a command."""

    def __init__(self, *, json: bool, quiet: bool) -> None:
        self.json = json
        self.quiet = quiet
        # Brackets in labels, texts and paths are not markup.
        self.out = console(highlight=False, markup=False, emoji=False)
        self.err = console(stderr=True, highlight=False, markup=False, emoji=False, quiet=quiet)
        self._plan: Planned | None = None
        self._interrupted = False
        self._searched: Searched | None = None

    # ---- what every command uses

    def note(self, text: str) -> None:
        self.err.print(Text.assemble(("• ", "yellow"), printable(text)))

    def interrupted(self, what: str = "") -> None:
        """Report that Ctrl-C or SIGTERM stopped the command, once. what: what is left of it."""
        if not self._interrupted:
            interruptions.report(self.err, what)
        self._interrupted = True

    @contextmanager
    def listening(self) -> "Iterator[Listener]":
        """Yield a listener that shows each event as it comes; progress on a terminal, while the block lasts."""
        bars = Bars(self.err, live=self.err.is_terminal and not self.quiet)
        try:
            yield partial(self._event, bars=bars)
        except KeyboardInterrupt:
            self.interrupted()
            raise
        finally:
            bars.stop()

    def print_json(self, value: Any) -> None:
        unicode = sys.stdout.encoding.lower() == "utf-8"  # else escape in JSON: the stream's escapes are not JSON
        sys.stdout.write(as_json(sinks.as_json(value, ascii_only=not unicode)) + "\n")

    # ---- train

    def recipes(self, groups: "dict[str, list[Shipped]]") -> None:
        """List the shipped recipes by group; with JSON, their descriptions by name."""
        if self.json:
            self.print_json({one.name: one.line for group in groups.values() for one in group})
            return
        columns = Column("recipe"), Column("time", justify="right"), Column("what it trains")
        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for heading, group in groups.items():
            table.add_row(Text(heading, "italic"))
            for one in group:
                table.add_row(f" {one.name}", one.time, one.line)
        self.out.print(table)
        self.err.print("\ntimes: on one or two processors; each recipe names its machine")
        self.err.print("start one: lstmcli train opinions    look first: lstmcli train opinions --dry-run")

    def fields(self, rows: "list[Row]") -> None:
        """List keys of recipes."""
        if self.json:
            self.print_json([asdict(row) for row in rows])
            return
        table = Table("key", "type", "default", "limits", "meaning", box=None, pad_edge=False, header_style="bold")
        before = None
        for row in rows:
            if (row.section, row.kind) != before:
                table.add_row(Text(f"{row.section}: {row.kind}" if row.kind else row.section, "italic"))
            before = (row.section, row.kind)
            table.add_row(f" {row.key}", row.type, row.default, row.limits, row.meaning)
        self.out.print(table)

    @contextmanager
    def rehearsal(self, config: RunConfig) -> "Iterator[Listener]":
        """Show the recipe, then what a run of it would do, as events arrive; with JSON both as one object."""
        recipe = config.model_dump(mode="json")
        with self.listening() as listener:
            yield listener
        if self._plan is not None and self._plan.train is not None:
            recipe["train"] = self._plan.train
        if not self.json:
            self.out.print(yaml.safe_dump(recipe, sort_keys=False), end="")
        elif self._plan is not None:
            plan = {"steps": self._plan.steps, "tokens": self._plan.tokens, "seconds": self._plan.seconds}
            self.print_json({"recipe": recipe} | plan)

    def _planned(self, event: "Planned") -> None:
        minutes = "" if event.seconds is None else f", about {duration(event.seconds)}"
        tokens = f" ({counted(event.tokens, 'token')})" if event.tokens else ""
        self.err.print(
            f"training {event.parameters:,} weights for {counted(event.steps, 'step')}{tokens} "
            f"on {event.device} in {event.precision}{minutes}"
        )
        self._plan = event

    def _finished(self, event: "Finished") -> None:
        if self.json:
            kept = {"metrics": event.metrics, "baselines": event.baselines, "seconds": round(event.seconds, 1)}
            found = {} if self._searched is None else {"chosen": self._searched.chosen, "trials": self._searched.trials}
            self.print_json({"folder": str(event.folder), **kept, **found})
            return
        if self._searched is not None:
            self._trials(self._searched)
        baselines = (
            ", ".join(f"{name} {shown(headed(event.metrics), value)}" for name, value in event.baselines.items())
            or "no baseline"
        )
        out = self.out if self._searched is None or self.out.is_terminal else self.err  # in a pipe: trials alone
        out.print(f"{event.folder}/model.pt", style="bold", soft_wrap=True)
        calibration = ""
        if "ece_before" in event.metrics:
            calibration = f"calibration error {event.metrics['ece_before']:.1%} → {event.metrics['ece_after']:.1%}, "
        out.print(f"validation {headline(event.metrics)}  ({baselines})\n{calibration}{duration(event.seconds)} in all")
        if self.err.is_terminal:
            for line in curve.of(history.read(event.folder), unicode=self.err.encoding.startswith("utf")):
                self.err.print(line, style="dim", soft_wrap=True)
        is_default = within(event.folder, RUNS)  # commands use the newest run there
        chosen = "" if is_default else f" -c {shlex.quote(str(event.folder))}"
        commands = ("evaluate", "predict") if event.headed else ("evaluate --shots 5", "adapt --shots 5")
        arguments = {"predict": " 'a text of yours'", "adapt --shots 5": " --data FILE"}
        parts = (f"lstmcli {command}{chosen}{arguments.get(command, '')}" for command in commands)
        self.err.print("next: " + "    ".join(parts), soft_wrap=True)

    def _trials(self, event: "Searched") -> None:
        """Show what was tried: a table on a terminal, JSON lines in a pipe."""
        if not self.out.is_terminal:
            for trial in event.trials:
                self.print_json(trial)
            return
        self.out.print(searches.table(event))
        self.out.print(searches.verdict(event), soft_wrap=True)

    def _checked(self, splits: "dict[str, SplitCheck]") -> None:
        columns = ["data", "texts", "labels", "median", "longest"]
        if not any(split.labels for split in splits.values()):
            columns.remove("labels")
        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for name, split in splits.items():
            labels = [printable(with_counts(split.labels))] if "labels" in columns else []
            table.add_row(name, f"{split.examples:,}", *labels, counted(split.median, "token"), str(split.longest))
        self.err.print(table)

    def _evaluated(self, event: "Evaluated") -> None:
        loss = "before training  " if event.loss is None else f"train loss {event.loss:.3f}"
        line = f"epoch {event.epoch:2d}  {loss}  validation loss {event.metrics['loss']:.3f}  {headline(event.metrics)}"
        self.err.print(Text.assemble(line, ("  best so far" if event.is_best else "", "green")))

    # ---- evaluate, adapt

    def report(self, report: "Report") -> None:
        if self.json:
            self.print_json(report.plain())
            return
        table = Table(
            "metric", "model", "95 % interval", *report.baselines, box=None, pad_edge=False, header_style="bold"
        )
        for name, figure in report.metrics.items():
            beside = [
                shown(name, figures[name]["value"]) if name in figures else "" for figures in report.baselines.values()
            ]
            interval = f"{shown(name, figure['low'])} to {shown(name, figure['high'])}"
            table.add_row(name_of(name), shown(name, figure["value"]), interval, *beside)
        self.out.print(f"{report.data} ({report.split}), {counted(report.examples, 'text')}, {report.seconds:.1f} s")
        self.out.print(table)
        if "types" in report.details:
            for details in entities.tables(report.details):
                self.out.print()
                self.out.print(details)
        if "by_label" in report.details:
            self.out.print()
            self.out.print(thresholds.by_label(report.details["by_label"]))
        if "thresholds" in report.details:
            for heading, points in thresholds.tables(report.details["thresholds"]):
                self.out.print(f"\n{heading}", style="bold", soft_wrap=True)
                self.out.print(points)
        if "decision" in report.details:
            self.out.print(thresholds.decision(report.details["decision"]), soft_wrap=True)
            for remark in thresholds.missed(report.details["decision"]):
                self.note(remark)
        self._below(report.below)

    def adaptation(self, result: "Adaptation") -> None:
        if self.json:
            self.print_json(result.plain())
            return
        support = printable(with_counts(result.support))
        steps = f"{counted(result.steps, 'step')}, " if result.steps else ""  # none with a head in closed form
        self.out.print(f"learned from {support} of {result.data} in {steps}{result.seconds:.2f} s")
        if result.query:
            self._compare(f"{result.query:,} others of {result.data}", result.before, result.after, result.baselines)
        if result.old:
            self._compare("the old data", result.old["before"], result.old["after"], {})
        self._below(result.below)
        self.err.print(f"next: lstmcli predict -c {shlex.quote(result.checkpoint)} 'a text of yours'", soft_wrap=True)

    def _compare(self, heading: str, before: "Figures", after: "Figures", baselines: dict[str, "Figures"]) -> None:
        self.out.print(heading, style="bold", soft_wrap=True)
        table = Table("metric", "before", "after", *baselines, box=None, pad_edge=False, header_style="bold")
        for name, figure in after.items():
            beside = (shown(name, figures[name]["value"]) if name in figures else "" for figures in baselines.values())
            old = shown(name, before[name]["value"]) if name in before else ""
            table.add_row(name_of(name), old, with_interval(figure), *beside)
        self.out.print(table)

    def _below(self, baselines: "Iterable[str]") -> None:
        for name in baselines:
            self.note(
                f"the model is not better than the {name} baseline here: use the baseline, or train on more texts"
            )

    # ---- events

    def _event(self, event: "Event", bars: Bars) -> None:
        if isinstance(event, events.Progress):
            bars.show(event.what, event.done, event.total)
        elif isinstance(event, events.Stepped):
            bars.step(event)
        elif isinstance(event, events.Noted):
            self.note(event.text)
        elif isinstance(event, events.Checked):
            self._checked(event.splits)
        elif isinstance(event, events.Planned):
            bars.steps = event.steps
            self._planned(event)
        elif isinstance(event, events.Evaluated):
            self._evaluated(event)
        elif isinstance(event, events.Finished):
            bars.stop()
            self._finished(event)
        elif isinstance(event, events.Searching):
            bars.search(event, headline(event.best) if event.best else "")
        elif isinstance(event, events.Tried):
            self.note(searches.line(event.trial))
        elif isinstance(event, events.Searched):
            self._searched = event
        elif isinstance(event, events.Interrupted):
            further = "go on: the same command with --resume" if event.resumable else "start again: --force"
            self.interrupted(f"saved in {event.saved}; {further}")
