"""How a text is shown with the contributions of its words: what to mark, how strongly, and what to quote.

Contributions are those of ``lstmcli.inference.explain``: ``[[start, end, weight], ...]`` in the order of the text.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

LEVELS = (0.1, 0.3, 0.6)  # absolute weight from which on each level is used, as a fraction of the largest in the text
LISTED = 5  # words for and words against the label
SMALLEST = 0.005  # weight of a word that is listed

Contributions = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Piece:
    """A part of a text.

    weight: of a word, in nats; level: from -3, strongly against the label, to 3, strongly for it; read: by the model.
    """

    text: str
    weight: float = 0.0
    level: int = 0
    read: bool = True


def pieces(text: str, weights: Contributions, cut: Sequence[int] | None, within: tuple[int, int]) -> Iterator[Piece]:
    """Yield the words of the part ``within`` and what is between them; what the model did not read as one piece.

    cut: first and last character of what it did not read.
    """
    largest = max((abs(weight) for *_, weight in weights), default=0.0)
    end, last = within
    for start, stop, weight in weights:
        first, after = int(start), int(stop)
        if first < end or after > last:
            continue
        if cut and cut[0] <= first < cut[1]:
            yield Piece(text[end:first])
            end = min(cut[1], last)
            yield Piece(text[first:end], read=False)
            continue
        yield Piece(text[end:first])
        yield Piece(text[first:after], weight, _level(weight, largest))
        end = after
    yield Piece(text[end:last])


def _level(weight: float, largest: float) -> int:
    level = sum(abs(weight) >= fraction * largest for fraction in LEVELS) if largest > 0 else 0
    return level if weight > 0 else -level


def strongest(text: str, weights: Contributions) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Yield "for" with the words of the largest weights, and "against" with those of the smallest."""
    ordered = sorted(weights, key=lambda one: -abs(one[2]))
    for name, sign in (("for", 1), ("against", -1)):
        found = [one for one in ordered if sign * one[2] >= SMALLEST][:LISTED]
        yield name, [(text[int(start) : int(stop)], weight) for start, stop, weight in found]


def excerpt(text: str, weights: Contributions, limit: int) -> tuple[int, int]:
    """Return the first and last character of the part with the largest total of absolute weights, at most ``limit``
    characters of whole words; of a short text all of it."""
    if len(text) <= limit:
        return 0, len(text)
    totals = [0.0, *accumulate(abs(weight) for *_, weight in weights)]
    ends = [int(stop) for _, stop, _ in weights]
    best, chosen = -1.0, (0, limit)
    for first, (start, *_) in enumerate(weights):
        after = bisect_right(ends, start + limit)
        if after > first and totals[after] - totals[first] > best:
            best, chosen = totals[after] - totals[first], (int(start), ends[after - 1])
    return chosen
