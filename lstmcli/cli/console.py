"""Where all that is shown goes: a terminal, or a pipe or file."""

import re
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from lstmcli.errors import LstmcliError

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNBROKEN = 1_000_000  # columns


def console(**options: Any) -> Console:
    """A terminal is written on as wide as it is; in a pipe or a file no line is broken."""
    found = Console(**options)
    return found if found.is_terminal else Console(width=UNBROKEN, **options)


def printable(text: str) -> str:
    """The text with control characters, which could steer a terminal, escaped; tabs and ends of lines stay."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def failure(error: LstmcliError) -> None:
    """A panel that says what is wrong, where, and how to fix it."""
    what, where, fix = (escape(printable(text)) for text in (error.what, error.where, error.fix))
    parts = [f"[bold]{what}[/bold]", *([where] if where else []), *([f"[green]→[/green] {fix}"] if fix else [])]
    err = console(stderr=True, highlight=False)
    if err.is_terminal:
        err.print(Panel("\n".join(parts), title="error", title_align="left", border_style="red"))
    else:
        err.print("error: " + "\n".join(parts))
