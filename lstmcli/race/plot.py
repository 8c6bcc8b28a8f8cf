"""Loss curves as an SVG image, the loss on a logarithmic scale over the steps."""

import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, EDGE, LEGEND = 640, 400, 50, 110
COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#7f7f7f")


def of(curves: Mapping[str, Sequence[float]]) -> str:
    """Draw one line per name; values that are not finite or not positive are left out."""
    logs = {name: [math.log10(value) if 0 < value < math.inf else math.nan for value in values]
            for name, values in curves.items()}  # fmt: skip
    known = [value for values in logs.values() for value in values if not math.isnan(value)]
    low, high = math.floor(min(known, default=0)), math.ceil(max(known, default=1))
    steps = max(len(values) for values in logs.values()) - 1

    def point(step: int, value: float) -> str:
        across = EDGE + (WIDTH - EDGE - LEGEND) * step / max(1, steps)
        return f"{across:.1f},{EDGE / 2 + (HEIGHT - 2 * EDGE) * (high - value) / max(1, high - low):.1f}"

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             'font-size="12"><rect width="100%" height="100%" fill="white"/>']  # fmt: skip
    for power in range(low, high + 1):
        line = f"{point(0, power)} {point(steps, power)}"
        left, up = point(0, power).split(",")
        parts.append(f'<polyline points="{line}" stroke="#ddd" fill="none"/>')
        parts.append(f'<text x="{float(left) - 6}" y="{float(up) + 4}" text-anchor="end">1e{power}</text>')
    middle, foot = point(steps, low).split(",")
    parts.append(f'<text x="{middle}" y="{float(foot) + 18}" text-anchor="end">{steps} steps</text>')
    for index, (name, values) in enumerate(logs.items()):
        colour = COLOURS[index % len(COLOURS)]
        line = " ".join(point(step, value) for step, value in enumerate(values) if not math.isnan(value))
        parts.append(f'<polyline points="{line}" stroke="{colour}" stroke-width="2" fill="none"/>')
        parts.append(f'<text x="{WIDTH - LEGEND + 8}" y="{EDGE + 18 * index}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])
