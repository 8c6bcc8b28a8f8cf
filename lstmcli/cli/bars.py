"""The progress line: what is being done, how much of it, and the time remaining."""

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn

from lstmcli.cli.figures import duration
from lstmcli.errors import counted

if TYPE_CHECKING:
    from lstmcli.events import Searching, Stepped


class Bars:
    """One progress line for a command; nothing unless on a terminal."""

    def __init__(self, console: Console, *, live: bool) -> None:
        self.steps = 0
        self._live = live
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(20),
            TextColumn("{task.fields[pace]}", markup=False),
            TimeRemainingColumn(), console=console, transient=True,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._what = ""
        self._begun = 0.0
        self._tokens = 0

    def show(self, what: str, done: int, total: int, pace: str = "") -> None:
        if not self._live:
            return
        if self._task is None or what != self._what:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._progress.start()
            self._task = self._progress.add_task(what, total=total or None, pace=pace)
            self._what, self._begun, self._tokens = what, time.perf_counter(), 0
        self._progress.update(self._task, completed=done, pace=pace)

    def step(self, event: "Stepped") -> None:
        self._tokens += event.tokens
        speed = self._tokens / max(1e-9, time.perf_counter() - self._begun) if self._what == "training" else 0
        pace = f"{event.step}/{self.steps}  loss {event.loss:.3f}  {speed:,.0f} tokens/s"
        self.show("training", event.step, self.steps, pace)

    def search(self, event: "Searching", best: str) -> None:
        """Show how much of the budget has passed. best: the figure of the best model so far."""
        trials = counted(event.trials, "trial")
        passed = f"{duration(round(event.elapsed))} of {duration(event.budget)}"
        pace = f"{passed}, {trials} done{', best ' + best if best else ''}"
        self.show("searching", min(int(event.elapsed), int(event.budget)), int(event.budget), pace)

    def stop(self) -> None:
        if self._task is not None:
            self._progress.stop()
