"""Raw text to words, split as in news corpora, each with its span in the text; and to sentences.

Words are what a tagger was trained on: ``Britain 's``, ``did n't``, ``U.S.``, ``Jean-Paul``, ``1,000``, ``2-0``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

LONGEST = 400  # words; a longer sentence is read in pieces

Span = tuple[int, int]  # first character, character after the last
_ABBREVIATED = (
    "Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Co|Corp|Inc|Ltd|Bros|Gen|Col|Lt|Capt|Sgt|Sen|Rep|Gov|Rev|Hon|Jan|Feb|Mar|Apr|Jun|Jul|Aug|"
    "Sept?|Oct|Nov|Dec|vs|etc|approx"
)
# Characters of words, with those that combine with the character before: accents, vowel signs, joiners.
_W = (
    r"[\w\u00ad\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    r"\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u0eb1-\u0ecd\u200b-\u200d\u20d0-\u20ff\ufe00-\ufe0f]"
)
_WORD = re.compile(
    rf"""
    (?:https?://|www\.)\S*[^\s.,;:!?)\]}}'"»”]    # an address
  | [\w.+-]{{1,64}}@\w[\w.-]*\w                    # of mail
  | (?:[^\W\d_]\.){{2,}}(?:-\w+)*                 # U.S.  U.S.-led
  | (?-i:[A-HJ-Z])\.(?=\s+[^\W\d_])               # an initial; I is a word
  | (?:{_ABBREVIATED})\.(?!\w) | No\.(?=\s*\d)
  | [-+]?[.]?\d+(?:[.,:/-]\d+)*[^\W_]*(?:-\w+)*   # 1,000  .500  2-0  38:32.149  10th  18-year-old
  | n['’\x92]t\b | ['’\x92](?:s|re|ve|ll|d|m)\b   # what is separated from the word before
  | {_W}+?(?=n['’\x92]t\b)
  | {_W}+(?:[-&]{_W}+|['’\x92](?!(?:s|re|ve|ll|d|m|t)\b){_W}+)*
  | \.\.+ | --+ | [^\w\s]
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ENDS = re.compile(r"\.|[!?]+")
_CLOSES = frozenset("\"'”’)]»")


def sentences(text: str) -> list[list[Span]]:
    """Return the words of each sentence. A line's end ends a sentence only where a blank line follows.

    A sentence of more than 400 words is read in pieces.

    >>> [[text[a:b] for a, b in words] for text in ["He didn't see Dr. No. She did."] for words in sentences(text)]
    [['He', 'did', "n't", 'see', 'Dr.', 'No', '.'], ['She', 'did', '.']]
    """
    found: list[list[Span]] = []
    words: list[Span] = []
    ended = False
    for match in _WORD.finditer(text):
        span = match.span()
        gap = text[words[-1][1] : span[0]] if words else ""
        begins = ended and gap != "" and not match.group()[0].islower()
        if words and (begins or gap.count("\n") > 1 or len(words) == LONGEST):
            found.append(words)
            words = []
            ended = False
        word = match.group()
        ended = bool(_ENDS.fullmatch(word)) or (ended and word in _CLOSES)
        words.append(span)
    return [*found, words] if words else found


def plain(word: str) -> str:
    """Return the word as in corpora: straight apostrophes and quotes, no invisible characters."""
    return word.translate(_STRAIGHT) or word


def laid_out(words: Sequence[str]) -> list[list[Span]]:
    """Return the span of each word in the words joined by blanks; more than 400 are read in pieces.

    >>> laid_out(["Ada", "slept"])
    [[(0, 3), (4, 9)]]
    """
    ends = accumulate(len(word) + 1 for word in words)
    spans = [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)]
    return [spans[first : first + LONGEST] for first in range(0, len(spans), LONGEST)]


def tags(spans: Iterable[Span], entities: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the tag of each word in IOB2. entities: with start, end and label, none in another.

    >>> tags([(0, 3), (4, 9), (10, 15)], [{"start": 0, "end": 9, "label": "PER"}])
    ['B-PER', 'I-PER', 'O']
    """
    begun = {entity["start"]: entity for entity in entities}
    found, last = [], 0
    label = ""
    for begin, end in spans:
        if begin in begun:
            label, last = begun[begin]["label"], begun[begin]["end"]
            found.append(f"B-{label}")
        else:
            found.append(f"I-{label}" if end <= last else "O")
    return found


_STRAIGHT = str.maketrans("’‘“”\x92", "''\"\"'", "\u00ad\u200b\u2060\ufeff")
