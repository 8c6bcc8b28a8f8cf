"""Running text in windows, perplexity, and what is counted beside it."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmcli.config import LanguageModel, RunConfig, Tokens, Train
from lstmcli.data.batches import bptt
from lstmcli.data.batches.encoded import Store, built, encode
from lstmcli.data.text.vocabulary import END, UNKNOWN
from lstmcli.inference import assemble
from lstmcli.machine import runtime
from lstmcli.tasks import model_language, ngrams
from lstmcli.training.language import LanguageObjective
from lstmcli.types import Example


def stream(texts: list[str]) -> Store:
    examples = list(map(Example, texts))
    vocabulary = built(examples, Tokens(min_count=1, size=50), cache=None, stream=True)
    return encode(vocabulary, examples, cache=None)


def test_texts_stand_end_to_end_with_a_mark_between() -> None:
    store = stream(["b a", "a", "?? a b"])
    a, b, query = (int(store.ids[index]) for index in (2, 1, 6))
    assert store.ids.tolist() == [END, b, a, END, a, END, query, query, a, b]
    assert store.known_targets.tolist() == [b, a, END, a, END, query, query, a, b, END]
    assert store.lengths.tolist() == [3, 2, 5]
    assert UNKNOWN not in store.ids
    assert store.truncated(Tokens(max_tokens=2)) is store


@given(st.integers(2, 120), st.integers(1, 12), st.integers(1, 30), st.integers(0, 500))
@settings(max_examples=200, deadline=None)
def test_every_word_is_read_once_and_columns_go_on(total: int, columns: int, window: int, offset: int) -> None:
    store = Store(np.arange(total), np.array([0, total]), np.arange(total) + 1, is_stream=True)
    cut = bptt.windows(store, columns=columns, window=window, offset=offset % total)
    read: list[list[int]] = [[] for _ in cut.begins]
    for number in range(len(cut)):
        batch = cut.batch(number)
        assert batch.tokens.shape[1] <= window + 1
        for row, length in enumerate(batch.lengths.tolist()):
            assert length > 0
            read[row] += batch.tokens[row, :length].tolist()
            assert (batch.targets[row, :length] == batch.tokens[row, :length] + 1).all()
            assert not batch.tokens[row, length:].any()
    flat = [word for row in read for word in row]
    assert sorted(flat) == list(range(total))
    assert flat == [(offset + index) % total for index in range(total)]


def test_training_reads_on_from_window_to_window() -> None:
    store = stream(["a b a b c", "b a c", "a b", "c c a b"])
    config = RunConfig(
        model=LanguageModel(embedding=6, hidden=5, dropout=0.0),
        train=Train(batch_tokens=6, bptt=3),
        precision="float32",
    )
    vocabulary = built([Example("a b a b c")], Tokens(min_count=1), cache=None, stream=True)
    parts = assemble.fresh(config, vocabulary, runtime.prepare(config))
    work = LanguageObjective(parts, {"train": store, "validation": store})
    for epoch in range(2):
        items = work.items(epoch)
        assert len(items) > 2
        found = [work.loss(item)[0] for item in items]
        cut = bptt.drawn(store, batch_tokens=6, window=3, seed=(config.seed, epoch))
        whole = bptt.windows(store, columns=2, window=100, offset=cut.offset).batch(0)
        expected = -parts.model(whole).log_probs.sum()
        torch.testing.assert_close(sum(mean.value * mean.count for mean in found), expected)
        assert sum(int(mean.count) for mean in found) == work.tokens(epoch) == len(store.ids)


def test_perplexity_is_of_all_words_and_their_ends() -> None:
    outputs = model_language.kept(np.array([[3.0, 5.0]]), np.array([2, 4]))
    assert model_language.summary(outputs, outputs)["perplexity"] == pytest.approx(math.exp(8 / 6))
    assert model_language.measure(outputs, outputs)["perplexity"].value == pytest.approx(math.exp(8 / 6))
    both = model_language.kept(np.array([[3.0, 5.0], [4.0, 6.0]]), np.array([2, 4]))
    assert model_language.summary(both, both)["loss"] == pytest.approx(9 / 6)
    alone = model_language.measure(both[:1], both[:1])["perplexity"]
    assert alone.low == alone.high == alone.value == pytest.approx(math.exp(3.5 / 2))
    result = model_language.describe(both, (), 1.0)
    assert result[1] == {"perplexity": round(math.exp(5.5 / 4), 4), "words": 4}


def test_pairs_are_scored_as_kneser_and_ney_would() -> None:
    store = stream(["a b a b c", "b a c", "a b", "c c a b"])
    fitted = ngrams.fit_baselines(store.codes, store.offsets, store.known_targets, labels=0)
    found = ngrams.baseline_log_probs(fitted, store.codes, store.offsets)
    size = int(store.ids.max()) + 1
    pairs = Counter(zip(store.ids.tolist(), store.known_targets.tolist(), strict=True))
    once, twice = (sum(count == times for count in pairs.values()) for times in (1, 2))
    discount = min(max(once / (once + 2 * twice), 0.1), 0.9)
    words = Counter(store.known_targets.tolist())
    total = sum(words.values()) + size
    for index, (first, second) in enumerate(zip(store.ids.tolist(), store.known_targets.tolist(), strict=True)):
        singly = (words[second] + 1) / total
        lower = 0.99 * sum(pair[1] == second for pair in pairs) / len(pairs) + 0.01 * singly
        after = {pair: count for pair, count in pairs.items() if pair[0] == first}
        share = max(pairs[first, second] - discount, 0) / sum(after.values())
        probability = share + discount * len(after) / sum(after.values()) * lower
        assert found["bigram"][index] == pytest.approx(math.log(probability))
        assert found["unigram"][index] == pytest.approx(math.log(singly))


def test_the_probabilities_of_all_words_sum_to_one() -> None:
    store = stream(["a b a b c", "b a c", "a b", "c c a b"])
    fitted = ngrams.fit_baselines(store.codes, store.offsets, store.known_targets, labels=0)
    size = len(fitted["words"])
    for first in range(size):
        probabilities = ngrams._bigram_probabilities(fitted, np.full(size, first), np.arange(size))
        assert probabilities.sum() == pytest.approx(1)
        assert probabilities.min() > 0


def test_words_beyond_those_counted_count_as_a_rare_one() -> None:
    store = stream(["a b a b c", "b a c"])
    fitted = ngrams.fit_baselines(store.codes, store.offsets, store.known_targets, labels=0)
    foreign = replace(store, ids=np.where(store.ids == store.ids.max(), 99, store.ids))
    logs = ngrams.baseline_log_probs(fitted, foreign.codes, foreign.offsets)
    assert np.isfinite(logs["bigram"]).all()
