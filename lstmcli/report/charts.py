"""Charts as SVG images: functions of figures alone. Classes c1 to c5 are the colours of a palette that colour-blind
people distinguish; lines also differ in their dashes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lstmcli.report.svg import Scale, clean, cut, element, image, line, polygon, polyline, text

WIDTH = 460.0  # of every image: texts of 12 pixels stay readable where it is as wide as a phone
LEFT, RIGHT, TOP, BOTTOM = 46.0, 20.0, 12.0, 40.0  # around the plotting area
TITLE = 16.0  # more above it, for the title of the vertical axis
NAMED = 138.0  # room for the names of rows
ROW = 26.0  # height of a row
CHARACTERS = 16  # of a name that fits there
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Point = tuple[float, float]
SHAPES: dict[int, list[Point]] = {  # corners, from the middle
    2: [(0, -6), (6, 0), (0, 6), (-6, 0)],
    3: [(-4, -4), (4, -4), (4, 4), (-4, 4)],
    4: [(0, -6), (5, 4), (-5, 4)],
    5: [(0, 6), (5, -4), (-5, -4)],
}
Format = Callable[[float], str]


def percent(value: float) -> str:
    """Format a fraction without decimals."""
    return f"{value:.0%}"


def power(value: float) -> str:
    """Format a power of ten."""
    exponent = round(math.log10(value))
    return f"10{str(exponent).translate(RAISED)}" if exponent else "1"


@dataclass(frozen=True)
class Axis:
    """The values that an axis shows, its title, and the format of its ticks."""

    low: float
    high: float
    title: str
    format: Format = percent
    logarithmic: bool = False


@dataclass(frozen=True)
class Series:
    """A line through points, with an interval around it where ``low`` and ``high`` are given.

    mark: x of a point that gets a ring.
    """

    name: str
    points: Sequence[Point]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    mark: float | None = None


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval, how many examples it is of, and the text beside it in a chart."""

    name: str
    value: float
    low: float
    high: float
    count: int = 0
    note: str = ""


def lines(series: Sequence[Series], across: Axis, up: Axis, description: str, *, height: float = 280.0) -> str:
    """Draw lines over common axes; the first has class c1."""
    x, y, parts = _frame(across, up, height)
    for index, one in enumerate(series, 1):
        if one.low:
            above = [(x(at), y(high)) for (at, _), high in zip(one.points, one.high, strict=True)]
            below = [(x(at), y(low)) for (at, _), low in zip(one.points, one.low, strict=True)]
            parts.append(polygon([*above, *reversed(below)], f"band c{index}"))
    for index, one in enumerate(series, 1):
        parts.append(polyline([(x(at), y(value)) for at, value in one.points], f"line c{index}"))
        for at, value in one.points:
            if at == one.mark or len(one.points) == 1:
                parts.append(element("circle", {"cx": x(at), "cy": y(value), "r": 4, "class": f"ring c{index}"}))
    return image(WIDTH, height, description, parts)


def reliability(before: Sequence[Point], after: Sequence[Point], counts: Sequence[int], description: str) -> str:
    """Draw the fraction of correct answers over their mean probability, with the diagonal where both agree.

    before, after: points of temperature 1 and of the model's own; counts: answers of each point of ``after``, shown as
    bars at the foot.
    """
    axis = Axis(0, 1, "probability that the model gives")
    height = 340.0
    x, y, parts = _frame(axis, Axis(0, 1, "fraction correct"), height)
    parts.append(line((x(0), y(0)), (x(1), y(1)), "diagonal"))
    most = max(counts, default=1)
    for (at, _), count in zip(after, counts, strict=True):
        tall = 44.0 * count / most
        parts.append(element("rect", {"x": x(at) - 6, "y": y(0) - tall, "width": 12, "height": tall, "class": "count"},
                             element("title", {}, f"{count:,}")))  # fmt: skip
    for index, points in ((2, before), (1, after)):
        places = [(x(at), y(value)) for at, value in points]
        parts.append(polyline(places, f"line c{index}"))
        parts += [element("circle", {"cx": left, "cy": top, "r": 3.5, "class": f"dot c{index}"})
                  for left, top in places]  # fmt: skip
    return image(WIDTH, height, description, parts)


def estimates(
    rows: Sequence[Estimate], axis: Axis, description: str, *, reference: float | None = None, first: bool = False
) -> str:
    """Draw a dot with its interval per row.

    reference: a value that gets a line down all rows; first: the first row is highlighted.
    """
    height = TOP + ROW * len(rows) + BOTTOM
    x = Scale(axis.low, axis.high, NAMED, WIDTH - 62)
    foot = TOP + ROW * len(rows)
    parts = _foot(x, axis, TOP, foot, height)
    if reference is not None:
        parts.append(line((x(reference), TOP), (x(reference), foot), "reference"))
    for index, row in enumerate(rows):
        middle = TOP + ROW * (index + 0.5)
        kind = "c1" if first and index == 0 else "c4" if first else "c1"
        parts.append(_name(row.name, middle))
        parts.append(line((x(row.low), middle), (x(row.high), middle), f"whisker {kind}"))
        parts.append(element("circle", {"cx": x(row.value), "cy": middle, "r": 5, "class": f"dot {kind}"}))
        parts.append(text(WIDTH - 46, middle + 4, row.note, "value"))
    return image(WIDTH, height, description, parts)


def bars(rows: Sequence[tuple[str, float, str]], description: str, *, named: float = NAMED) -> str:
    """Draw a bar per row: its name, length and the text after it. named: room for the names."""
    height = TOP + ROW * len(rows) + 6
    x = Scale(0, max((value for _, value, _ in rows), default=1) or 1, named, WIDTH - 64)
    parts = []
    for index, (name, value, shown) in enumerate(rows):
        middle = TOP + ROW * (index + 0.5)
        parts.append(_name(name, middle, named))
        parts.append(element("rect", {"x": named, "y": middle - 8, "width": x(value) - named, "height": 16,
                                      "class": "bar c1"}))  # fmt: skip
        parts.append(text(x(value) + 6, middle + 4, shown, "value"))
    return image(WIDTH, height, description, parts)


def matrix(labels: Sequence[str], counts: Sequence[Sequence[int]], description: str) -> str:
    """Draw a confusion matrix: a row per true label, shaded by its fractions, with the counts."""
    top, left = 58.0, 112.0  # of the first cell
    side = min((WIDTH - left - 8) / len(labels), 104.0)
    fit = max(3, int(side / 7))  # characters of a label above its column
    parts = [
        text(left + side * len(labels) / 2, 18, "predicted", "title", "middle"),
        text(8, 18, "true", "title"),
    ]
    for index, label in enumerate(labels):
        full, middle = element("title", {}, clean(label)), side * (index + 0.5)
        across = text(left + middle, 46, cut(label, fit), "label", "middle")
        down = text(left - 8, top + middle + 4, cut(label, 13), "label", "end")
        parts += [element("g", {}, full, across), element("g", {}, full, down)]
    for index, row in enumerate(counts):
        total = max(1, sum(row))
        for column, count in enumerate(row):
            share = count / total
            at = (left + side * column, top + side * index)
            box: dict[str, str | float] = {"x": at[0] + 1, "y": at[1] + 1, "width": side - 2, "height": side - 2}
            shade = f"{0.06 + 0.94 * share:.2f}"
            parts.append(element("rect", {**box, "rx": 3, "class": "cell", "fill-opacity": shade}))
            kind = "cell-text on" if share > 0.45 else "cell-text"
            parts.append(text(at[0] + side / 2, at[1] + side / 2 + 4, f"{count:,}", kind, "middle"))
    return image(WIDTH, top + side * len(labels) + 8, description, parts)


def strips(groups: Sequence[tuple[Estimate, Sequence[float]]], axis: Axis, description: str) -> str:
    """Draw a dot per task, one row per method, with the mean and its interval below the dots."""
    tall = 52.0
    foot = TOP + tall * len(groups)
    height = foot + BOTTOM
    x = Scale(axis.low, axis.high, NAMED, WIDTH - 62)
    parts = _foot(x, axis, TOP, foot, height)
    for index, (mean, values) in enumerate(groups):
        middle, kind = TOP + tall * index + 20, "c1" if index == 0 else "c4"
        parts.append(_name(mean.name, middle + 6))
        for left, up in swarm([x(value) for value in values]):
            parts.append(element("circle", {"cx": left, "cy": middle - up, "r": 2.5, "class": f"grain {kind}"}))
        parts.append(line((x(mean.low), middle + 16), (x(mean.high), middle + 16), f"whisker {kind}"))
        parts.append(element("circle", {"cx": x(mean.value), "cy": middle + 16, "r": 5, "class": f"dot {kind}"}))
        parts.append(text(WIDTH - 46, middle + 10, mean.note, "value"))
    return image(WIDTH, height, description, parts)


def swarm(places: Sequence[float], *, apart: float = 5.0, most: float = 16.0) -> list[Point]:
    """Move dots that would cover each other off the line, up and down in turn: their places and offsets.

    apart: pixels between dots; most: the largest offset, where dots may cover each other.
    """
    steps = int(most // apart)
    offsets = [0.0, *(sign * apart * step for step in range(1, steps + 1) for sign in (1, -1))]
    taken: list[Point] = []
    for place in sorted(places):
        near = [up for left, up in taken[-len(offsets) * 2 :] if place - left < apart]
        free = [up for up in offsets if up not in near]
        taken.append((place, free[0] if free else offsets[len(taken) % len(offsets)]))
    return taken


def dumbbells(rows: Sequence[tuple[str, Sequence[float | None]]], axis: Axis, description: str) -> str:
    """Draw one row per task with a dot per method, joined by a line; the first method has class c1."""
    foot = TOP + ROW * len(rows)
    height = foot + BOTTOM
    x = Scale(axis.low, axis.high, NAMED, WIDTH - RIGHT)
    parts = _foot(x, axis, TOP, foot, height)
    for index, (name, values) in enumerate(rows):
        middle = TOP + ROW * (index + 0.5)
        known = [x(value) for value in values if value is not None]
        parts.append(_name(name, middle))
        parts.append(line((min(known), middle), (max(known), middle), "join"))
        parts += [marker(kind, (x(value), middle)) for kind, value in reversed(list(enumerate(values, 1)))
                  if value is not None]  # fmt: skip
    return image(WIDTH, height, description, parts)


def marker(kind: int, at: Point) -> str:
    """Return a mark of class c1, c2, ...: circle, diamond, square, triangle, and triangle on its head."""
    if kind not in SHAPES:
        return element("circle", {"cx": at[0], "cy": at[1], "r": 5, "class": f"dot c{kind}"})
    return polygon([(at[0] + x, at[1] + y) for x, y in SHAPES[kind]], f"dot c{kind}")


def _name(name: str, middle: float, room: float = NAMED) -> str:
    """Return the name of a row, left of the plotting area; the whole of it on hovering."""
    limit = int(CHARACTERS * room / NAMED)
    content = text(room - 10, middle + 4, cut(name, limit), "label", "end")
    return f"<g>{element('title', {}, clean(name))}{content}</g>"


def _frame(across: Axis, up: Axis, height: float) -> tuple[Scale, Scale, list[str]]:
    """Return the scales of a plot, and its grid with ticks and titles."""
    x = Scale(across.low, across.high, LEFT, WIDTH - RIGHT, across.logarithmic)
    y = Scale(up.low, up.high, height - BOTTOM, TOP + TITLE, up.logarithmic)
    parts = [*_foot(x, across, TOP + TITLE, height - BOTTOM, height), text(0, TOP, up.title, "title")]
    for tick in y.ticks():
        parts.append(line((LEFT, y(tick)), (WIDTH - RIGHT, y(tick)), "grid"))
        parts.append(text(LEFT - 6, y(tick) + 4, up.format(tick), "tick", "end"))
    return x, y, parts


def _foot(x: Scale, axis: Axis, top: float, foot: float, height: float) -> list[str]:
    """Return the grid lines of the horizontal axis, its ticks and its title."""
    parts = []
    for tick in x.ticks():
        parts.append(line((x(tick), top), (x(tick), foot), "grid"))
        parts.append(text(x(tick), foot + 15, axis.format(tick), "tick", "middle"))
    parts.append(text((x.begin + x.end) / 2, height - 6, axis.title, "title", "middle"))
    return parts
