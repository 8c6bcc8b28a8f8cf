"""Show on a terminal how much each word contributes to the label of its text."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from lstmcli.cli.escapes import printable

if TYPE_CHECKING:
    from lstmcli.storage.sinks import Answer

# Black on a coloured background is legible in light and dark; words against the label are underlined too, for those who
# do not distinguish red and green. From weak to strong.
FOR = ("black on #d4f4dd", "black on #92dfa8", "bold black on #4fc373")
AGAINST = ("underline black on #fde0e0", "underline black on #f9a8a8", "bold underline black on #ee6a6a")
LEVELS = (0.1, 0.3, 0.6)  # absolute weight from which on each style is used, as a fraction of the largest in the text
LISTED = 5  # words for and words against the label


def marked(answer: "Answer", heading: Text) -> Text:
    """Format the heading and the text with its words marked; in a second line the strongest words."""
    text, weights = answer["text"], answer["contributions"]
    largest = max((abs(weight) for *_, weight in weights), default=0.0)
    parts: list[str | Text | tuple[str, str]] = [heading, "  "]
    cut, end = answer["cut"], 0
    for start, stop, weight in weights:
        if cut and cut[0] <= start < cut[1]:
            if start == cut[0]:
                parts += [_flat(text[end:start]), ("[… not read …]", "dim")]
                end = cut[1]
            continue
        parts += [_flat(text[end:start]), (_flat(text[start:stop]), _style(weight, largest))]
        end = stop
    parts.append(_flat(text[end:]))
    lines = (f"\n    {name}: {', '.join(words)}" for name, words in _strongest(text, weights) if words)
    return Text.assemble(*parts, *((line, "dim") for line in lines))


def _flat(text: str) -> str:
    return printable(re.sub(r"\s+", " ", text))


def _style(weight: float, largest: float) -> str:
    level = sum(abs(weight) >= fraction * largest for fraction in LEVELS) if largest > 0 else 0
    return (FOR if weight > 0 else AGAINST)[level - 1] if level else ""


def _strongest(text: str, weights: Sequence[tuple[int, int, float]]) -> Iterator[tuple[str, list[str]]]:
    """Yield the words with the largest weights and those with the smallest, with their weights."""
    ordered = sorted(weights, key=lambda one: -abs(one[2]))
    for name, sign in (("for", 1), ("against", -1)):
        found = [one for one in ordered if sign * one[2] >= 0.005][:LISTED]
        yield name, [f"{_flat(text[start:stop])} {weight:+.2f}" for start, stop, weight in found]
