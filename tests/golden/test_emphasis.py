"""Texts with the contributions of their words: nothing is lost or marked twice, and the best part is quoted."""

from hypothesis import given
from hypothesis import strategies as st

from lstmcli.inference import emphasis
from lstmcli.inference.emphasis import Piece

WEIGHTS = st.integers(-8, 8).map(lambda eighths: eighths / 8)  # sums are exact
Words = list[tuple[int, int, float]]


@st.composite
def explained(draw: st.DrawFn) -> tuple[str, Words]:
    """A text, and its words with their weights; some words touch, as pieces of punctuation do."""
    text, words = "", []
    for length in draw(st.lists(st.integers(1, 6), max_size=14)):
        text += " " * draw(st.integers(0, 2))
        words.append((len(text), len(text) + length, draw(WEIGHTS)))
        text += "abcdef"[:length]
    return text + " " * draw(st.integers(0, 1)), words


@given(explained(), st.integers(1, 40))
def test_the_quoted_part_has_the_largest_total_of_all(drawn: tuple[str, Words], limit: int) -> None:
    text, words = drawn
    begin, end = emphasis.excerpt(text, words, limit)
    assert 0 <= begin <= end <= len(text)
    assert end - begin <= limit

    def total(first: int, last: int) -> float:
        return sum(abs(weight) for start, stop, weight in words if first <= start and stop <= last)

    assert total(begin, end) == max((total(start, start + limit) for start, *_ in words), default=0)
    assert (begin, end) == (0, len(text)) or len(text) > limit


@given(explained(), st.data())
def test_the_pieces_are_the_text(drawn: tuple[str, Words], data: st.DataObject) -> None:
    text, words = drawn
    within = emphasis.excerpt(text, words, data.draw(st.integers(1, 60)))
    pieces = list(emphasis.pieces(text, words, None, within))
    assert "".join(piece.text for piece in pieces) == text[slice(*within)]
    inside = [weight for start, stop, weight in words if within[0] <= start and stop <= within[1]]
    assert [piece.weight for piece in pieces if piece.level] == [
        weight for weight in inside if abs(weight) >= 0.1 * max(abs(one) for *_, one in words) and weight
    ]


def test_the_levels_are_fractions_of_the_largest_weight() -> None:
    weights = [2.0, -1.3, 0.6, -0.2, 0.19]
    text = "a b c d e"
    words = [(2 * index, 2 * index + 1, weight) for index, weight in enumerate(weights)]
    found = [piece for piece in emphasis.pieces(text, words, None, (0, len(text))) if piece.text.strip()]
    assert [(piece.text, piece.level) for piece in found] == [("a", 3), ("b", -3), ("c", 2), ("d", -1), ("e", 0)]
    assert dict(emphasis.strongest(text, words)) == {
        "for": [("a", 2.0), ("c", 0.6), ("e", 0.19)],
        "against": [("b", -1.3), ("d", -0.2)],
    }


def test_what_was_not_read_is_one_piece() -> None:
    text = "one two three four"
    words = [(0, 3, 1.0), (4, 7, 0.0), (8, 13, 0.0), (14, 18, -1.0)]
    found = list(emphasis.pieces(text, words, [4, 13], (0, len(text))))
    assert [piece for piece in found if piece.text.strip()] == [
        Piece("one", 1.0, 3),
        Piece("two three", read=False),
        Piece("four", -1.0, -3),
    ]
    cut = list(emphasis.pieces(text, words, [4, 13], (0, 7)))
    assert "".join(piece.text for piece in cut) == "one two"
    assert not cut[-2].read
