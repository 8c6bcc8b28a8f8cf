"""Raw text to words, as news corpora part them, each with its place in the text; and to sentences.

Words are what a tagger was trained on: ``Britain 's``, ``did n't``, ``U.S.``, ``Jean-Paul``, ``1,000``, ``2-0``.
"""

import re
from collections.abc import Sequence

LONGEST = 400  # words; a longer sentence is read in pieces

Span = tuple[int, int]  # first character, character after the last
_ABBREVIATED = (
    "Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|Co|Corp|Inc|Ltd|Bros|Gen|Col|Lt|Capt|Sgt|Sen|Rep|Gov|Rev|Hon|Jan|Feb|Mar|Apr|Jun|Jul|Aug|"
    "Sept?|Oct|Nov|Dec|vs|etc|approx"
)
# Letters, digits, and marks that belong to the letter before: accents, vowel signs, joiners.
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
  | n['’\x92]t\b | ['’\x92](?:s|re|ve|ll|d|m)\b   # what is parted from the word before
  | {_W}+?(?=n['’\x92]t\b)
  | {_W}+(?:[-&]{_W}+|['’\x92](?!(?:s|re|ve|ll|d|m|t)\b){_W}+)*
  | \.\.+ | --+ | [^\w\s]
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ENDS = re.compile(r"\.|[!?]+")
_CLOSES = frozenset("\"'”’)]»")


def sentences(text: str) -> list[list[Span]]:
    """The words of each sentence. A line's end ends a sentence only where a blank line follows.

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
    """The word as corpora write it: straight apostrophes and quotes, no invisible characters."""
    return word.translate(_STRAIGHT) or word


def joined(words: Sequence[str]) -> tuple[str, list[Span]]:
    """The words as one text with a blank between them, and the place of each.

    >>> joined(["Ada", "slept"])
    ('Ada slept', [(0, 3), (4, 9)])
    """
    spans: list[Span] = []
    begin = 0
    for word in words:
        spans.append((begin, begin + len(word)))
        begin += len(word) + 1
    return " ".join(words), spans


_STRAIGHT = str.maketrans("’‘“”\x92", "''\"\"'", "\u00ad\u200b\u2060\ufeff")
