"""Entities on a terminal: marked in their text, and counted by type."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from lstmcli.cli.console import printable

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
SHOWN = 6  # confusions of a kind


def marked(text: str, entities: Sequence[dict[str, Any]]) -> Text:
    """The text with each entity in the colour of its type, and the type after it."""
    parts: list[str | tuple[str, str]] = []
    end = 0
    for entity in entities:
        colour = COLOURS[zlib.crc32(entity["label"].encode()) % len(COLOURS)]
        before, own = printable(text[end : entity["start"]]), printable(entity["text"])
        parts += [before, (own, f"bold {colour}"), (f"[{printable(entity['label'])}]", colour)]
        end = entity["end"]
    return Text.assemble(*parts, printable(text[end:]))


def tables(details: dict[str, Any]) -> Iterator[Table]:
    """Figures of each type of entity, and what went wrong most often."""
    columns = ("type", "entities", "precision", "recall", "F1", "95 % interval")
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for name, own in details["types"].items():
        figures = [f"{own[figure]['value']:.1%}" for figure in ("precision", "recall", "f1")]
        table.add_row(name, f"{own['entities']:,}", *figures, f"{own['f1']['low']:.1%} to {own['f1']['high']:.1%}")
    yield table
    wrong = Table("what went wrong", "how often", box=None, pad_edge=False, header_style="bold")
    for name, counts in details["confusions"].items():
        listed = ", ".join(f"{what} {count}" for what, count in list(counts.items())[:SHOWN])
        wrong.add_row(name.replace("_", " "), f"{sum(counts.values())}: {listed}" if counts else "never")
    yield wrong
