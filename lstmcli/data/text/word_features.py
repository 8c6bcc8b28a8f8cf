"""Features of words: the id in the vocabulary, characters and casing, of each surface form once.

A text of 400 words has perhaps 150 surface forms; a file of 200,000 words 25,000. What depends on the characters alone
is computed once per form. Characters are UTF-8 bytes: every script is covered, and none is unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from lstmcli.data.batches.ragged import Ints, runs
from lstmcli.types import Casing, Example

Floats = np.ndarray[Any, np.dtype[np.float32]]
LONGEST = 40  # bytes of a word that are read
PIECES = 2**14  # distinct character n-grams, by their hash


@dataclass(frozen=True)
class Forms:
    """Surface forms. ids ``[form]`` in the vocabulary; context ``[form]`` in that of a language model that reads along;
    casing ``[form]``; bytes of form i: ``characters[offsets[i]:offsets[i + 1]]``."""

    ids: Ints
    context: Ints
    casing: Ints
    characters: Ints
    offsets: Ints

    def features_of(self, form_ids: Ints, inside: Ints) -> dict[str, Ints]:
        """Return the arrays of a ``types.WordFeatures``, by name.

        form_ids: ``[token]``, the surface form of each token of a batch; inside: ``[batch, time]``, true at tokens,
        false at padding.
        """
        distinct, rows = np.unique(form_ids, return_inverse=True)
        forms = np.zeros(inside.shape, np.int64)
        forms[inside] = rows
        lengths = np.diff(self.offsets)[distinct]
        characters = np.zeros((len(distinct), int(lengths.max())), np.int64)  # [form, longest]
        filled = np.arange(characters.shape[1]) < lengths[:, None]
        characters[filled] = self.characters[runs(self.offsets[:-1][distinct], lengths)].astype(np.int64) + 1
        of_forms = {"casing": self.casing, "context": self.context}
        found = {name: values[distinct].astype(np.int64) for name, values in of_forms.items()}
        return found | {"forms": forms, "characters": characters}


def distinct(examples: Sequence[Example]) -> tuple[list[str], Ints]:
    """Return the surface forms in the order in which they first occur, and the form of each word of all texts,
    ``[word]``."""
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
        characters=np.frombuffer(b"".join(encoded), np.uint8),
        offsets=np.concatenate(([0], np.cumsum([len(word) for word in encoded]))),
    )


def likeness(words: Sequence[str], dimensions: int) -> Floats:
    """One vector per word, ``[word, dimension]``, of length about one; words of similar spelling have similar vectors.

    The sum of a random vector for each character n-gram, n from two to four (after Bojanowski et al. 2017, "Enriching
    Word Vectors with Subword Information", with vectors that are not learned).
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    cut = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=PIECES, dtype=np.float32)
    random = np.random.default_rng(0).standard_normal((PIECES, dimensions), dtype=np.float32)
    vectors: Floats = cut.transform(words) @ random / np.sqrt(dimensions, dtype=np.float32)
    return vectors


def casing(word: str) -> Casing:
    """Return the casing of a word.

    >>> [casing(word) for word in ("lamb", "Turin", "EU", "McGee", "1996", "4x4", "--", "東京")] == list(Casing)
    True
    """
    if any(character.isdigit() for character in word):
        return Casing.DIGITS if any(character.isalpha() for character in word) else Casing.NUMBER
    if word.islower():
        return Casing.LOWER
    if word.isupper():
        return Casing.CAPITALS if len(word) > 1 else Casing.CAPITAL
    if word.istitle() and "-" not in word:
        return Casing.CAPITAL
    if word.upper() != word.lower():
        return Casing.MIXED
    return Casing.CASELESS if any(character.isalpha() for character in word) else Casing.PUNCTUATION
