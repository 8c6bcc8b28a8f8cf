"""Words as they are written: numbers for the vocabulary, letters and capitals for the model, each form once.

A text of 400 words has perhaps 150 forms; a file of 200,000 words 25,000. What is read off the letters is worked out
once a form. Letters are UTF-8 bytes: every script is covered, and none is unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from lstmcli.data.batches.ragged import Ints, runs
from lstmcli.types import Example

Floats = np.ndarray[Any, np.dtype[np.float32]]
LONGEST = 40  # bytes of a word that are read
PIECES = 2**14  # kinds of pieces that are told apart
LOWER, CAPITAL, CAPITALS, MIXED, NUMBER, DIGITS, MARKS, CASELESS = range(8)  # types.CASINGS of them


@dataclass(frozen=True)
class Forms:
    """ids ``[form]`` in the vocabulary; context ``[form]`` in that of a language model that reads along; casing
    ``[form]``; bytes of form i: ``letters[offsets[i]:offsets[i + 1]]``."""

    ids: Ints
    context: Ints
    casing: Ints
    letters: Ints
    offsets: Ints

    def spelling(self, written: Ints, place: Ints) -> tuple[Ints, Ints, Ints, Ints]:
        """The arrays of a ``types.Spelling``.

        written: ``[token]``, the form of each token of a batch; place: ``[batch, time]``, true where these stand.
        """
        distinct, rows = np.unique(written, return_inverse=True)
        forms = np.zeros(place.shape, np.int64)
        forms[place] = rows
        lengths = np.diff(self.offsets)[distinct]
        characters = np.zeros((len(distinct), int(lengths.max())), np.int64)  # [form, longest]
        inside = np.arange(characters.shape[1]) < lengths[:, None]
        characters[inside] = self.letters[runs(self.offsets[:-1][distinct], lengths)].astype(np.int64) + 1
        return forms, characters, self.casing[distinct].astype(np.int64), self.context[distinct].astype(np.int64)


def distinct(examples: Sequence[Example]) -> tuple[list[str], Ints]:
    """The forms in the order in which they first occur, and the form of each word of the texts, end to end."""
    words = list(chain.from_iterable(example.text for example in examples))
    forms = list(dict.fromkeys(words))
    numbers = dict(zip(forms, range(len(forms)), strict=True))
    return forms, np.fromiter(map(numbers.__getitem__, words), np.int32, len(words))


def forms_of(words: Sequence[str], ids: Sequence[int], context: Sequence[int]) -> Forms:
    """ids, context: those of the words in the vocabulary and in a language model's."""
    encoded = [word.encode("utf-8", "replace")[:LONGEST] for word in words]
    return Forms(
        ids=np.array(ids, np.int32),
        context=np.array(context, np.int32),
        casing=np.array([casing(word) for word in words], np.int8),
        letters=np.frombuffer(b"".join(encoded), np.uint8),
        offsets=np.concatenate(([0], np.cumsum([len(word) for word in encoded]))),
    )


def likeness(words: Sequence[str], dimensions: int) -> Floats:
    """A vector a word, ``[word, dimension]``, of about length one; those of words that are spelled alike lie near.

    The sum of a random vector for each piece of two to four letters (after Bojanowski et al. 2017, "Enriching Word
    Vectors with Subword Information", with vectors that are not learned).
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    cut = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=PIECES, dtype=np.float32)
    random = np.random.default_rng(0).standard_normal((PIECES, dimensions), dtype=np.float32)
    vectors: Floats = cut.transform(words) @ random / np.sqrt(dimensions, dtype=np.float32)
    return vectors


def casing(word: str) -> int:
    """How a word is written (after Collobert et al. 2011, section 3.2.2).

    >>> [casing(word) for word in ("lamb", "Turin", "EU", "McGee", "1996", "4x4", "--", "東京")] == list(range(8))
    True
    """
    if any(letter.isdigit() for letter in word):
        return DIGITS if any(letter.isalpha() for letter in word) else NUMBER
    if word.islower():
        return LOWER
    if word.isupper():
        return CAPITALS if len(word) > 1 else CAPITAL
    if word.istitle() and "-" not in word:
        return CAPITAL
    if word.upper() != word.lower():
        return MIXED
    return CASELESS if any(letter.isalpha() for letter in word) else MARKS
