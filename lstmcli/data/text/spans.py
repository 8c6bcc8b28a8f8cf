"""Where the words that a vocabulary reads stand in a text, in characters of the text as it was given.

Texts are read in Unicode's composed form (NFC), with ``n't`` separated from its verb and with some characters replaced;
spans are those of the characters that the text had before.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import partial

from lstmcli.data.text.vocabulary import Vocabulary

Span = tuple[int, int]  # first character, character after the last
_NOT = re.compile(r"n['’\x92]$", re.IGNORECASE)  # what the tokenizer leaves out of the span of n't


def token_spans(vocabulary: Vocabulary, texts: Sequence[str]) -> list[list[Span]]:
    """Return the span of the word of each token; the pieces of one word have the same span.

    A text without any token, which is read as one unknown word, has the span of the whole text.
    """
    composed = [unicodedata.normalize("NFC", text) for text in texts]
    found = []
    for text, normal, tokens in zip(texts, composed, vocabulary.word_offsets(composed), strict=True):
        spans = [_with_not(normal, span) for span in tokens] or [(0, len(normal))]
        if normal != text:
            starts, ends = _origins(text)
            spans = [(starts[begin], ends[end - 1]) for begin, end in spans]
        found.append(spans)
    return found


def _with_not(text: str, span: Span) -> Span:
    """Extend the span of the t of ``n't`` to all of it."""
    begin, end = span
    contracted = _NOT.search(text, max(0, begin - 2), begin) if text[begin:end] in ("t", "T") else None
    return (contracted.start(), end) if contracted else span


def _origins(text: str) -> tuple[list[int], list[int]]:
    """Return the first character of the text, and that after the last, that each character of its NFC comes from."""
    nfc = partial(unicodedata.normalize, "NFC")
    starts: list[int] = []
    ends: list[int] = []
    begin = 0
    for end in range(1, len(text) + 1):
        part = nfc(text[begin:end])
        if nfc(text[begin : end + 1]) == part + nfc(text[end : end + 1]):  # nothing composes across
            starts += [begin] * len(part)
            ends += [end] * len(part)
            begin = end
    return starts, ends
