"""The course of a training run as two lines of text, one character per evaluation."""

from collections.abc import Sequence

from lstmcli.report import history
from lstmcli.report.names import headed, name_of, shown

BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-=+*%#"  # from low to high
COLUMNS = 60


def of(lines: Sequence[history.Line], *, unicode: bool = True) -> list[str]:
    """Return the validation loss and the metric by which the best model is chosen; none for less than two evaluations.

    unicode: the terminal shows block elements.
    """
    if len(lines) < 2:
        return []
    name, best = headed(lines[0]), history.best(list(lines))
    levels = BLOCKS if unicode else ASCII
    width = max(len("loss"), len(name_of(name)))
    losses, values = ([line[key] for line in lines] for key in ("loss", name))
    return [
        f"{'loss':{width}}  {drawn(losses, levels)}  {losses[0]:.3f} to {losses[-1]:.3f}",
        f"{name_of(name):{width}}  {drawn(values, levels)}  {shown(name, values[0])} to {shown(name, values[-1])}, "
        f"best {shown(name, best[name])} in epoch {best['epoch']}",
    ]


def drawn(values: Sequence[float], levels: str) -> str:
    """Return one character per value, the lowest level for the smallest; of many values, evenly chosen ones."""
    columns = min(len(values), COLUMNS)
    chosen = [values[round(index * (len(values) - 1) / max(1, columns - 1))] for index in range(columns)]
    low, high = min(chosen), max(chosen)
    step = (high - low) / (len(levels) - 1)
    return "".join(levels[round((value - low) / step) if step > 0 else 0] for value in chosen)
