"""Raw text to words and sentences, and words to what is read off their letters."""

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmcli.config import Tokens
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import built, encode
from lstmcli.data.text import word_features
from lstmcli.data.text.conll_format import LONGEST
from lstmcli.data.text.sentences import plain, sentences
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.types import CASINGS, Example


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("EU rejects German call.", ["EU rejects German call ."]),
        ("Britain's didn't, they'll", ["Britain 's did n't , they 'll"]),
        ("The U.S. and Mr. J. O'Brien won 2-0 in 1:38.149.", ["The U.S. and Mr. J. O'Brien won 2-0 in 1:38.149 ."]),
        ("1,000 men, .500 and 18-year-old Jean-Paul (AT&T)", ["1,000 men , .500 and 18-year-old Jean-Paul ( AT&T )"]),
        ('He said "No." She left.', ['He said " No . "', "She left ."]),
        ("One. Two! Three? four", ["One .", "Two !", "Three ? four"]),
        ("See https://a.b/c?d=e, or mail x.y@z.org.", ["See https://a.b/c?d=e , or mail x.y@z.org ."]),
        ("HEADLINE\n\nA line\nbroken in two", ["HEADLINE", "A line broken in two"]),
        ("Wait... 3.5% -- no", ["Wait ... 3.5 % -- no"]),
        ("東京 and Ærø", ["東京 and Ærø"]),
        ("Jose\u0301 Garci\u0301a हिन्दी बोलता है", ["Jose\u0301 Garci\u0301a हिन्दी बोलता है"]),
        ("He said I. This is section a. The next", ["He said I .", "This is section a .", "The next"]),
        ("don\x92t", ["do n\x92t"]),
    ],
)
def test_words_and_sentences(text: str, expected: list[str]) -> None:
    assert [" ".join(text[begin:end] for begin, end in words) for words in sentences(text)] == expected


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_character_but_white_space_is_lost(text: str) -> None:
    spans = [span for words in sentences(text) for span in words]
    ends = [0, *(end for _, end in spans)]
    for end, (begin, _) in zip(ends, spans, strict=False):
        assert end <= begin
        assert not text[end:begin].strip()
    assert not text[ends[-1] :].strip()


def test_time_grows_with_the_text_alone() -> None:
    def seconds(text: str) -> float:
        """Of the processor, at best: neither its speed nor its other work counts."""
        taken = []
        for _ in range(3):
            begun = time.process_time()
            sentences(text)
            taken.append(time.process_time() - begun)
        return min(taken)

    assert seconds("a+" * 16_000) < 32 * seconds("a+" * 2_000)  # about 8 times; 64 times with its square


def test_a_text_without_an_end_is_read_in_pieces() -> None:
    found = sentences("word " * (2 * LONGEST + 5))
    assert [len(words) for words in found] == [LONGEST, LONGEST, 5]


def test_words_become_plain() -> None:
    assert plain("’s") == "'s"


def test_a_batch_spells_each_word_as_it_is_written() -> None:
    examples = [Example(("Ada", "saw", "Ærø", "saw"), ("S-P", "O", "S-L", "O")), Example(("x" * 50,), ("O",))]
    vocabulary = built(examples, Tokens(kind="pretokenized", min_count=1), cache=None)
    assert vocabulary.labels == ("O", "B-L", "I-L", "E-L", "S-L", "B-P", "I-P", "E-P", "S-P")
    store = encode(vocabulary, examples, cache=None)
    batch = batching.collate(store, np.array([1, 0]))
    assert batch.word_features is not None
    assert batch.targets is not None
    assert batch.targets.tolist() == [[0, 0, 0, 0], [8, 0, 4, 0]]
    for row, example in zip((1, 0), examples, strict=True):
        for index, word in enumerate(example.text):
            form = batch.word_features.forms[row, index]
            spelled = bytes(letter - 1 for letter in batch.word_features.characters[form].tolist() if letter)
            assert spelled == word.encode()[: word_features.LONGEST]
            assert batch.word_features.casing[form] == word_features.casing(word)
            assert vocabulary.words[batch.tokens[row, index]] == word.lower()
    assert len(batch.word_features.characters) == 4  # each form once


def test_frozen_words_come_after_the_others_and_are_remembered() -> None:
    vocabulary = built([Example(("a", "b"), ("O", "O"))], Tokens(kind="pretokenized", min_count=1), cache=None)
    more = vocabulary.with_words(["b", "New", "york"], frozen=True)
    assert (len(vocabulary), len(more), more.frozen_words) == (4, 6, 2)
    assert more.words == ["<pad>", "<unk>", "a", "b", "New", "york"]
    again = type(more).from_json(more.to_json())
    assert (again.frozen_words, again.words, again.pretokenized) == (2, more.words, True)
    assert again.with_labels(["O"]).frozen_words == 2


def test_baselines_count_a_word_with_its_capitals() -> None:
    examples = [Example(("The", "the", "THE", "cat"), ("O",) * 4)]
    vocabulary = built(examples, Tokens(kind="pretokenized", min_count=1), cache=None)
    store = encode(vocabulary, examples, cache=None)
    assert len(set(store.ids.tolist())) == 2
    assert len(set(store.codes.tolist())) == 4
    assert (store.codes // CASINGS == store.ids).all()


def test_words_are_as_alike_as_their_pieces() -> None:
    words = ["transfer", "transfers", "transferring", "fee", "fees", "a", "東京", "東京都", "x1"]
    vectors = word_features.likeness(words, 3_000)
    pieces = [Counter(f" {word} "[at : at + size] for size in (2, 3, 4) for at in range(len(word) + 3 - size))
              for word in words]  # fmt: skip
    lengths = [sum(count**2 for count in counts.values()) ** 0.5 for counts in pieces]
    for one, (left, first) in enumerate(zip(pieces, lengths, strict=True)):
        for other, (right, second) in enumerate(zip(pieces, lengths, strict=True)):
            expected = sum(count * right[piece] for piece, count in left.items()) / first / second
            assert vectors[one] @ vectors[other] == pytest.approx(expected, abs=0.06)


def test_unknown_words_are_those_that_would_be_read_as_such() -> None:
    config = Tokens(min_count=1)
    vocabulary = Vocabulary.build(["A fine film, isn't it?"], ["a", "b"], config)
    assert vocabulary.unknown(["A fine FILM", "dull and dull, isn't it", "Émile's"]) == ["dull", "and", "émile", "'s"]
    more = vocabulary.with_words(vocabulary.unknown(["dull and"]), frozen=False)
    assert more.frozen_words == 0
    assert more.encode(["dull and fine"]) == [[len(vocabulary), len(vocabulary) + 1, *vocabulary.encode(["fine"])[0]]]
    pieces = Vocabulary.build(["a fine film"] * 5, ["a", "b"], Tokens(kind="bpe", size=20, min_count=1))
    assert pieces.unknown(["zwieback"]) == []
