"""Show on a terminal how much each word contributes to the label of its text."""

import re
from typing import TYPE_CHECKING

from rich.text import Text

from lstmcli.cli.escapes import printable
from lstmcli.inference import emphasis

if TYPE_CHECKING:
    from lstmcli.storage.sinks import Answer

# Black on a coloured background is legible in light and dark; words against the label are underlined too, for those who
# do not distinguish red and green. From weak to strong.
FOR = ("black on #d4f4dd", "black on #92dfa8", "bold black on #4fc373")
AGAINST = ("underline black on #fde0e0", "underline black on #f9a8a8", "bold underline black on #ee6a6a")
STYLES = ("", *FOR, *reversed(AGAINST))  # by level, of which the negative ones count from the end
NOT_READ = ("[… not read …]", "dim")


def marked(answer: "Answer", heading: Text) -> Text:
    """Format the heading and the text with its words marked; in a second line the strongest words."""
    text, weights = answer["text"], answer["contributions"]
    found = emphasis.pieces(text, weights, answer["cut"], (0, len(text)))
    parts = [(_flat(piece.text), STYLES[piece.level]) if piece.read else NOT_READ for piece in found]
    lines = [
        f"\n    {name}: {', '.join(f'{_flat(word)} {weight:+.2f}' for word, weight in words)}"
        for name, words in emphasis.strongest(text, weights)
        if words
    ]
    return Text.assemble(heading, "  ", *parts, *((line, "dim") for line in lines))


def _flat(text: str) -> str:
    return printable(re.sub(r"\s+", " ", text))
