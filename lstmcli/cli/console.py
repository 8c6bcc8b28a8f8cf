"""Consoles for terminals, pipes and files."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.segment import Segment

from lstmcli.cli.escapes import printable
from lstmcli.errors import LstmcliError

NO_WRAP = 1_000_000  # columns


class PrintableConsole(Console):
    """Whatever is printed, whoever named it: control characters in texts are escaped, those of styles are not."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def console(**options: Any) -> Console:
    """Build a console of the terminal's width; in a pipe or a file lines are not wrapped."""
    terminal = PrintableConsole(**options)
    return terminal if terminal.is_terminal else PrintableConsole(width=NO_WRAP, **options)


def failure(error: LstmcliError) -> None:
    """Print what is wrong, where, and how to fix it."""
    what, where, fix = (escape(printable(text)) for text in (error.what, error.where, error.fix))
    parts = [f"[bold]{what}[/bold]", *([where] if where else []), *([f"[green]→[/green] {fix}"] if fix else [])]
    err = console(stderr=True, highlight=False)
    if err.is_terminal:
        err.print(Panel("\n".join(parts), title="error", title_align="left", border_style="red"))
    else:
        err.print("error: " + "\n".join(parts))
