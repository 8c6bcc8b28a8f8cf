"""Ctrl-C is reported in one line, wherever it is caught: also while a library is loaded. Imports rich on use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_count = 0  # of those that were reported


def report(err: "Console", what: str = "") -> None:
    """Report that Ctrl-C or SIGTERM stopped the command. what: what is left of it."""
    from rich.text import Text

    from lstmcli.cli.escapes import printable

    global _count
    _count += 1
    err.print(Text.assemble(("• ", "yellow"), printable(f"interrupted; {what}" if what else "interrupted")))


@contextmanager
def reported() -> Iterator[None]:
    """Report Ctrl-C if nothing within the block did."""
    before = _count
    try:
        yield
    except KeyboardInterrupt:
        if _count == before:
            from lstmcli.cli.console import console

            report(console(stderr=True, highlight=False))
        raise
