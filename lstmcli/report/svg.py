"""Elements, scales and ticks of SVG images, as text.

An image is inline in a page: it has no namespace, and its colours are classes of the page's style sheet. Coordinates
are in pixels of the view box, from the upper left corner.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Attributes = Mapping[str, str | float]


def clean(text: object) -> str:
    """Escape a text for HTML and XML; characters that neither can hold become U+FFFD."""
    return escape(_NOT_XML.sub("\ufffd", str(text)))


def shortened(text: str, limit: int) -> str:
    """Return the text on one line, at most ``limit`` characters."""
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def cut(name: str, limit: int) -> str:
    """Return the name, at most ``limit`` characters: of a longer one its beginning and its end."""
    return name if len(name) <= limit else f"{name[: limit // 2]}…{name[len(name) - (limit - 1) // 2 :]}"


def number(value: float) -> str:
    """Format a coordinate with at most one decimal."""
    return f"{round(value, 1) + 0.0:g}"  # no -0


def element(name: str, attributes: Attributes, *children: str) -> str:
    """Return an element. children: elements, or texts that are clean already."""
    listed = "".join(
        f' {key}="{clean(value) if isinstance(value, str) else number(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{listed}>{''.join(children)}</{name}>" if children else f"<{name}{listed}/>"


def text(x: float, y: float, content: str, kind: str = "label", anchor: str = "start") -> str:
    """Return a text. kind: its class; anchor: start, middle or end."""
    return element("text", {"x": x, "y": y, "class": kind, "text-anchor": anchor}, clean(content))


def line(begin: tuple[float, float], end: tuple[float, float], kind: str) -> str:
    """Return a straight line of a class."""
    return element("line", {"x1": begin[0], "y1": begin[1], "x2": end[0], "y2": end[1], "class": kind})


def polyline(points: Sequence[tuple[float, float]], kind: str) -> str:
    """Return a line through the points."""
    joined = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return element("polyline", {"points": joined, "class": kind})


def polygon(points: Sequence[tuple[float, float]], kind: str) -> str:
    """Return the area between the points."""
    joined = " ".join(f"{number(x)},{number(y)}" for x, y in points)
    return element("polygon", {"points": joined, "class": kind})


def image(width: float, height: float, description: str, parts: Sequence[str]) -> str:
    """Return an image. description: what it shows, for people who do not see it."""
    attributes = {"viewBox": f"0 0 {number(width)} {number(height)}", "role": "img", "aria-label": description}
    return element("svg", attributes, *parts)


@dataclass(frozen=True)
class Scale:
    """Map values between ``low`` and ``high`` to pixels between ``begin`` and ``end``; values outside are clipped."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self._unit(self.low), self._unit(self.high)
        share = 0.0 if high == low else (self._unit(value) - low) / (high - low)
        return self.begin + (self.end - self.begin) * min(max(share, 0.0), 1.0)

    def _unit(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.logarithmic else value

    def ticks(self, count: int = 5) -> list[float]:
        """Return about so many round values within the scale; of a logarithmic one, powers of ten."""
        if self.logarithmic:
            exponents = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            every = -(-len(exponents) // count) or 1
            return [10.0**exponent for exponent in exponents if (exponent - exponents[-1]) % every == 0]
        span = self.high - self.low
        if span <= 0:
            return [self.low]
        rough = span / count
        power = 10.0 ** math.floor(math.log10(rough))
        stride = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
        first = math.ceil(self.low / stride - 1e-9)
        return [index * stride for index in range(first, math.floor(self.high / stride + 1e-9) + 1)]
