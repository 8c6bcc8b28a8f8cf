"""Unknown words: their share by counting, what vectors cover, and texts without spaces."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lstmcli import recipes
from lstmcli.config import Classifier, RunConfig, Tokens
from lstmcli.data.batches.encoded import encode
from lstmcli.data.batches.unknown_words import NOTABLE, Tally, counts, tally
from lstmcli.data.text.vocabulary import Vocabulary, count_words
from lstmcli.inference import assemble
from lstmcli.machine import runtime
from lstmcli.training.setup import _covered, _of_words
from lstmcli.types import Example

TEXTS = ["a b a c", "a zebra", "okapi", "b b", "okapi zebra a"]
KNOWN = {"a", "b", "c"}


@pytest.mark.parametrize("stream", [False, True])
def test_unknown_words_are_counted_as_by_hand(stream: bool) -> None:
    vocabulary = Vocabulary.build(["a b c", "c b a"], () if stream else ("x",), Tokens(), stream=stream)
    store = encode(vocabulary, [Example(text) for text in TEXTS], cache=None, labelled=False)
    words = [text.split() for text in TEXTS]
    lost = [sum(word not in KNOWN for word in text) for text in words]
    assert counts(store).tolist() == [[len(text), count] for text, count in zip(words, lost, strict=True)]
    assert tally(counts(store)) == Tally(tokens=12, unknown=4, texts=5, unread=1)
    assert [vocabulary.unknown_in(text) for text in TEXTS] == [
        [word for word in text if word not in KNOWN] for text in words
    ]


def test_a_notable_share_is_remarked_on() -> None:
    assert Tally(tokens=100, unknown=19, texts=9).remarks() == []
    notable = Tally(tokens=100, unknown=round(100 * NOTABLE), texts=9, unread=2)
    assert notable.remark("train", fix="do it") == ["20.0% of the tokens of train are unknown words; do it"]
    assert notable.remarks() == [
        "20.0% of the tokens are unknown words",
        "2 of 9 texts hold no word that the model knows: the prediction is a guess",
    ]
    assert sum([notable, notable], Tally()) == Tally(200, 40, 18, 4)
    assert Tally().remarks() == []


@pytest.mark.parametrize(
    ("rows", "words", "tokens"),
    [("a 1 2\n<unk> 3 4\n", "33.3%", "41.7%"), ("<unk> 3 4\n", "0.0%", "0.0%"), ("c 1 1\nb 2 1\n", "66.7%", "25.0%")],
)
def test_vectors_cover_words_and_no_unknown_ones(tmp_path: Path, rows: str, words: str, tokens: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(rows)
    config = RunConfig(model=Classifier(embedding=2, hidden=2, vectors=str(path)))
    vocabulary = Vocabulary.build(["a b c", "c b a"], ("x", "y"), config.tokens)
    texts = ["a b a c", "a zebra", "okapi", "b", "okapi zebra a a"]  # of 12 words: a 5, b 2, c 1, others 4
    store = encode(vocabulary, [Example(text) for text in texts], cache=None, labelled=False)
    parts = assemble.fresh(config, vocabulary, runtime.Runtime("cpu", torch.float32))
    note = assemble.place_vectors(parts, store.ids)
    assert note == f"vectors ({path}): {words} of the words, {tokens} of the tokens"


def test_a_language_model_that_reads_along_covers_its_words_and_nothing_else() -> None:
    config = RunConfig(model=Classifier(context=Path("lm.pt")))
    read = Vocabulary.build(["a b", "b a"], (), Tokens(kind="whitespace"), stream=True).with_labels(("x", "y"))
    store = encode(read, [Example("a <eos> b"), Example("okapi"), Example("<unk> a")], cache=None, labelled=False)
    assert _covered(store, config) == "context (lm.pt): 60.0% of the tokens are words of the language model"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("很好的 good 椅子2023年。", ["很", "好", "的", "good", "椅", "子", "2023", "年", "。"]),
        ("カフェへ", ["カ", "フ", "ェ", "へ"]),
        ("ดีมาก", ["ดี", "ม", "า", "ก"]),  # a mark stays on its letter
        ("ແຊບ", ["ແ", "ຊ", "ບ"]),
        ("ខ្ញុំ", ["ខ្", "ញុំ"]),
        ("တယ်", ["တ", "ယ်"]),
        ("привет мир", ["привет", "мир"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("안녕 하세요", ["안녕", "하세요"]),
        ("don't, naïve_x2", ["do", "n't", ",", "naïve_x2"]),
    ],
)
def test_scripts_without_spaces_are_read_by_characters(text: str, words: list[str]) -> None:
    vocabulary = Vocabulary.build([text], ("x",), Tokens(min_count=1))
    assert [vocabulary.words[number] for (line,) in [vocabulary.encode([text])] for number in line] == words
    alone = [vocabulary.words[number] for number in vocabulary.unspaced()]
    spaced = text.isascii() or text[0] in "пم안d"
    assert set(alone) == (set() if spaced else {word for word in words if word not in ("good", "2023", "。")})
    assert count_words(text) == sum(word[0].isalnum() for word in words)


def remarks(texts: list[str], *sets: str) -> list[str]:
    """The notes on words at the start of a run that validates on its training texts."""
    config = recipes.load(sets[0], overrides=list(sets[1:]))
    stream = config.task == "model_language"
    vocabulary = Vocabulary.build(texts, () if stream else ("x", "y"), config.tokens, stream=stream)
    store = encode(vocabulary, [Example(text) for text in texts], cache=None, labelled=False)
    return _of_words(vocabulary, {"train": store, "validation": store}, config, own_words=True)


CHINESE = ["很好的椅子", "椅子不好"] * 3


@pytest.mark.parametrize("recipe", ["table", "lm"])
def test_what_is_proposed_for_unknown_words_can_be_set_and_leaves_none(recipe: str) -> None:
    texts = [f"okapi{number} zebra{number} a" for number in range(9)]
    found = remarks(texts, recipe)
    share = f"{2 / 3:.1%} of the tokens of"
    pieces = "--set tokens.kind=bpe" + " --set model.softmax=full" * (recipe == "lm")
    assert found[0] == (
        f"{share} train are unknown words; rare words: --set tokens.min_count=1; "
        f"pieces of words, also of texts without spaces: {pieces}"
    )
    assert found[1] == f"{share} validation are unknown words"
    assert found[2:] == ["perplexity counts unknown words, 66.7% of the words of validation, as one word: "
                         "compare it within one vocabulary alone"] * (recipe == "lm")  # fmt: skip
    for sets in (["tokens.min_count=1"], pieces.replace("--set ", "").split()):
        assert remarks(texts, recipe, *sets) == []
    frequent = [" ".join(f"okapi{number}" for number in range(30))] * 2  # room is what lacks, no word is rare
    assert "min_count" not in remarks(frequent, recipe, "tokens.size=10")[0]


@pytest.mark.parametrize("recipe", ["table", "lm"])
def test_texts_without_spaces_are_said_to_be_read_by_characters(recipe: str) -> None:
    (found,) = remarks(CHINESE, recipe)
    pieces = "--set tokens.kind=bpe" + " --set model.softmax=full" * (recipe == "lm")
    assert found == ("100.0% of the tokens of train are characters of scripts without spaces, each read as a word; "
                     f"to read pieces of several: {pieces}")  # fmt: skip
    assert remarks(CHINESE, recipe, *pieces.replace("--set ", "").split()) == []
    assert remarks(["привет мир", "мир привет", "مرحبا بالعالم"] * 3, recipe) == []


def test_words_of_another_model_are_not_to_be_set() -> None:
    config = recipes.load("table", overrides=["model.vectors=none"])
    vocabulary = Vocabulary.build(["a b", "b a"], ("x", "y"), config.tokens)
    store = encode(vocabulary, [Example("okapi zebra")], cache=None, labelled=False)
    found = _of_words(vocabulary, {"train": store}, config, own_words=False)
    assert found == ["100.0% of the tokens of train are unknown words"]
    assert np.array_equal(counts(store), [[2, 2]])
