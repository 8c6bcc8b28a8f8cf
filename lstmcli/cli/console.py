"""Consoles for terminals, pipes and files."""

import re
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from lstmcli.errors import LstmcliError

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
NO_WRAP = 1_000_000  # columns


def console(**options: Any) -> Console:
    """Build a console of the terminal's width; in a pipe or a file lines are not wrapped."""
    terminal = Console(**options)
    return terminal if terminal.is_terminal else Console(width=NO_WRAP, **options)


def printable(text: str) -> str:
    """Escape control characters, which could control a terminal, except tabs and line feeds."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def failure(error: LstmcliError) -> None:
    """Print what is wrong, where, and how to fix it."""
    what, where, fix = (escape(printable(text)) for text in (error.what, error.where, error.fix))
    parts = [f"[bold]{what}[/bold]", *([where] if where else []), *([f"[green]→[/green] {fix}"] if fix else [])]
    err = console(stderr=True, highlight=False)
    if err.is_terminal:
        err.print(Panel("\n".join(parts), title="error", title_align="left", border_style="red"))
    else:
        err.print("error: " + "\n".join(parts))
