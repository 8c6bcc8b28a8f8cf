"""Where all that is shown goes: a terminal, or a pipe or file."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from lstmcli.errors import LstmcliError

UNBROKEN = 1_000_000  # columns


def console(**options: Any) -> Console:
    """A terminal is written on as wide as it is; in a pipe or a file no line is broken."""
    found = Console(**options)
    return found if found.is_terminal else Console(width=UNBROKEN, **options)


def failure(error: LstmcliError) -> None:
    """A panel that says what is wrong, where, and how to mend it."""
    parts = [f"[bold]{escape(error.what)}[/bold]", *([escape(error.where)] if error.where else [])]
    if error.fix:
        parts.append(f"[green]→[/green] {escape(error.fix)}")
    err = console(stderr=True, highlight=False)
    if err.is_terminal:
        err.print(Panel("\n".join(parts), title="cannot go on", title_align="left", border_style="red"))
    else:
        err.print("error: " + "\n".join(parts))
