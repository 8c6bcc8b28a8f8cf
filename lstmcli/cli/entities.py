"""Show entities on a terminal: highlighted in their text, and in tables by type."""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from lstmcli.cli.escapes import printable

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")
SHOWN = 6  # confusions per kind


def marked(text: str, entities: Sequence[dict[str, Any]]) -> Text:
    """Highlight each entity in the colour of its type, followed by the type."""
    parts: list[str | tuple[str, str]] = []
    end = 0
    for entity in entities:
        colour = COLOURS[zlib.crc32(entity["label"].encode()) % len(COLOURS)]
        before, words = printable(text[end : entity["start"]]), printable(entity["text"])
        parts += [before, (words, f"bold {colour}"), (f"[{printable(entity['label'])}]", colour)]
        end = entity["end"]
    return Text.assemble(*parts, printable(text[end:]))


def tables(details: dict[str, Any]) -> Iterator[Table]:
    """Yield a table of the figures of each type, and one of the most frequent errors."""
    columns = ("type", "entities", "precision", "recall", "F1", "95 % interval")
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for name, row in details["types"].items():
        figures = [f"{row[figure]['value']:.1%}" for figure in ("precision", "recall", "f1")]
        table.add_row(name, f"{row['entities']:,}", *figures, f"{row['f1']['low']:.1%} to {row['f1']['high']:.1%}")
    yield table
    errors = Table("error", "count", box=None, pad_edge=False, header_style="bold")
    for name, counts in details["confusions"].items():
        listed = ", ".join(f"{what} {count}" for what, count in list(counts.items())[:SHOWN])
        errors.add_row(name.replace("_", " "), f"{sum(counts.values())}: {listed}" if counts else "never")
    yield errors
