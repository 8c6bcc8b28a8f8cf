"""Show what thresholds, those of single labels too, and prediction sets give on labelled texts."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from lstmcli.cli.escapes import printable

FIGURES = ("coverage", "precision", "recall", "error")
LABELS_SHOWN = 2  # with more labels, those of each are in the JSON
ROWS_SHOWN = 40
STYLE: dict[str, Any] = {"box": None, "pad_edge": False, "header_style": "bold"}
Row = dict[str, Any]


def tables(points: Row) -> Iterator[tuple[str, Table]]:
    """Yield each table with its heading: by confidence, by the threshold of each label, and of prediction sets."""
    answered = "texts with a label from this probability on; precision is of these, all else of all texts"
    yield f"--min-confidence: {answered}", _of_thresholds(_distinct(points["min_confidence"]))
    if len(points["labels"]) <= LABELS_SHOWN:
        for label, rows in points["labels"].items():
            yield f"--threshold {printable(label)}=P: texts with this label", _of_thresholds(rows)
    if points["sets"]:
        table = Table("promised", "covered", "95 % interval", "labels per set", "empty", **STYLE)
        for row in points["sets"]:
            cells = f"{row['promised']:.0%}", *_figure(row["coverage"]), f"{row['labels']:.2f}", f"{row['empty']:.1%}"
            table.add_row(*cells)
        yield "--sets: the true label is in the set", table


def by_label(rows: dict[str, Row]) -> Table:
    """Return a table of the figures of each label, where a text can have several; of many, the most frequent ones."""
    columns = "label", "texts", "precision", "recall", "F1", "95 % interval", "threshold"
    table = Table(*columns, **STYLE)
    for label, row in sorted(rows.items(), key=lambda item: -item[1]["texts"])[:ROWS_SHOWN]:
        figures = [f"{row[name]['value']:.1%}" for name in ("precision", "recall", "f1")]
        interval = f"{row['f1']['low']:.1%} to {row['f1']['high']:.1%}"
        table.add_row(printable(label), f"{row['texts']:,}", *figures, interval, f"{row['threshold']:.3f}")
    return table


def decision(row: Row) -> str:
    """Describe what the threshold chosen in training gives."""
    targets = ", ".join(f"target {name} {value:.1%}" for name, value in row["target"].items())
    figures = ", ".join(f"{name} {' '.join(_figure(row[name]))}" for name in ("coverage", "precision"))
    return f"labels from a probability of {row['threshold']:.3f} on ({targets}): {figures}"


def missed(row: Row) -> Iterator[str]:
    """Yield the targets that were not reached."""
    for name, value in row["target"].items():
        if row[name] is not None and row[name]["value"] < value:
            yield f"the {name} is below the target of {value:.1%} here: the threshold was chosen on other texts"


def _distinct(rows: list[Row]) -> list[Row]:
    """Leave out thresholds that let the same texts pass as the one before."""
    before: list[Row | None] = [None, *rows]
    return [row for row, last in zip(rows, before, strict=False) if last is None or row["coverage"] != last["coverage"]]


def _of_thresholds(rows: list[Row]) -> Table:
    table = Table("P", *(part for name in FIGURES for part in (name, "")), **STYLE)
    for row in rows:
        table.add_row(f"{row['threshold']:.3g}", *(part for name in FIGURES for part in _figure(row[name])))
    return table


def _figure(figure: Row | None) -> tuple[str, str]:
    """Format a figure, and its interval."""
    if figure is None:
        return "–", ""
    return f"{figure['value']:.1%}", f"({100 * figure['low']:.1f} to {100 * figure['high']:.1f})"
