"""The language model, its softmaxes, its windows and its baselines, held against other ways to the same numbers."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from lstmcli.config import LanguageModel, RunConfig, Tokens, Train
from lstmcli.data import stream
from lstmcli.data.store import Store, built, encode
from lstmcli.data.tokens import END, UNKNOWN
from lstmcli.engine import assemble, runtime
from lstmcli.engine.listening import Listening
from lstmcli.models.context import Context
from lstmcli.models.language_model import build
from lstmcli.models.softmax import AdaptiveSoftmax, TiedSoftmax
from lstmcli.tasks import model_language, ngrams
from lstmcli.types import Batch, Example, finish

WORDS = 11


def running(texts: list[str]) -> Store:
    examples = list(map(Example, texts))
    vocabulary = finish(built(examples, Tokens(min_count=1, size=50), cache=None, running=True))
    return finish(encode(vocabulary, examples, cache=None))


def batch_of(rows: list[list[int]]) -> Batch:
    """Rows of words, each to be foretold from those before it."""
    time = max(map(len, rows)) - 1
    tokens, targets = (
        torch.tensor([row[begin : len(row) - 1 + begin] + [0] * (time - len(row) + 1) for row in rows])
        for begin in (0, 1)
    )
    return Batch(tokens, torch.tensor([len(row) - 1 for row in rows]), targets)


def model_of(**settings: object) -> nn.Module:
    torch.manual_seed(0)
    config = LanguageModel(**{"embedding": 6, "hidden": 5, "dropout": 0.0, **settings})
    return build(config, words=WORDS, labels=0).double().eval()


# ---- the model


def test_each_word_is_scored_from_those_before_it_by_an_lstm_and_a_softmax() -> None:
    model = model_of(layers=2)
    reference = nn.LSTM(6, 5, num_layers=2, batch_first=True).double()
    for layer in range(2):
        for name, value in model.readers[0][layer].named_parameters():
            getattr(reference, name.replace("_l0", f"_l{layer}")).data.copy_(value)
    batch = batch_of([[2, 5, 6, 7, 2], [2, 9, 10]])
    hidden, _ = reference(model.embedding(batch.tokens))
    logits = model.maps[0](hidden) @ model.embedding.weight.T + model.softmax.bias
    wanted = -F.cross_entropy(logits.transpose(1, 2), batch.targets, reduction="none") * batch.mask
    torch.testing.assert_close(model(batch).logs[0], wanted)


def test_backwards_it_reads_what_follows_from_its_end() -> None:
    model = model_of(bidirectional=True)
    one_way = model_of()
    one_way.load_state_dict({name: dict(model.state_dict())[name.replace(".0.", ".1.", 1) if name.startswith(
        ("readers", "maps")) else name] for name in one_way.state_dict()})  # fmt: skip
    rows = [[2, 5, 6, 7, 2], [2, 9, 10]]
    backwards = one_way(batch_of([row[::-1] for row in rows])).logs[0]
    logs = model(batch_of(rows)).logs
    for row, words in enumerate(rows):
        count = len(words) - 1
        torch.testing.assert_close(logs[1, row, :count].flip(0), backwards[row, :count])
        assert not logs[:, row, count:].any()


def test_a_text_cut_in_two_scores_as_it_does_whole() -> None:
    model = model_of(layers=2)
    rows = torch.randint(3, WORDS, (3, 9)).tolist()
    whole = model(batch_of(rows)).logs[0]
    first = model(batch_of([row[:5] for row in rows]), model.begin(3))
    second = model(batch_of([row[4:] for row in rows]), first.state)
    torch.testing.assert_close(torch.cat((first.logs[0], second.logs[0]), dim=1), whole)


def test_contexts_are_the_hidden_states_of_both_directions_between_two_ends() -> None:
    model = model_of(bidirectional=True, layers=2)
    tokens, lengths = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([4, 2])
    found = model.contexts(Batch(tokens, lengths))
    assert found.shape == (3, 2, 4, 12)
    for row, length in enumerate(lengths.tolist()):
        embedded = model.embedding(torch.tensor([END, *tokens[row, :length], END]))
        for direction in range(2):
            inputs = embedded.flip(0) if direction else embedded
            for layer in range(3):
                width = inputs.shape[-1]
                own = found[layer, row, :length, 6 * direction : 6 * direction + width]
                torch.testing.assert_close(own.flip(0) if direction else own, inputs[1:-1])
                if layer < 2:
                    reader = nn.LSTM(width, 5).double()
                    reader.load_state_dict(model.readers[direction][layer].state_dict())
                    inputs = reader(inputs)[0]
        assert not found[:, row, length:].any()


def test_contexts_are_mixed_as_the_equation_says_and_the_language_model_stays_as_it_is() -> None:
    model = model_of(bidirectional=True, layers=2)
    batch = Batch(torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([4, 2]))
    layers = model.contexts(batch).detach()
    context = Context(model).double()
    with torch.no_grad():
        context.mix.copy_(torch.tensor([0.3, -1.0, 2.0]))
        context.gain.fill_(1.7)
    powers = [math.exp(power) for power in (0.3, -1.0, 2.0)]
    expected = 1.7 * sum(power / sum(powers) * layer for power, layer in zip(powers, layers, strict=True))
    for training in (False, True):
        torch.testing.assert_close(context.train(training)(batch), expected)
    before = {name: value.clone() for name, value in context.model.state_dict().items()}
    optimizer = torch.optim.AdamW(context.parameters(), lr=0.1, weight_decay=0.5)
    context(batch).square().sum().backward()
    optimizer.step()
    assert [name for name, _ in context.named_parameters()] == ["mix", "gain"]
    assert not context.model.training
    assert before
    for name, value in context.model.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.grad is None


def test_large_and_changing_states_cost_what_the_paper_says() -> None:
    batch = batch_of([[2, 5, 6, 7, 2], [2, 9, 10]])
    plain = model_of(bidirectional=True)
    costly = model_of(bidirectional=True, activation=2.0, slowness=3.0)
    costly.load_state_dict(plain.state_dict())
    assert not costly(batch).penalty
    states = []
    for direction in range(2):
        plain.readers[direction][0].register_forward_hook(lambda _, __, out: states.append(out[0]))
    plain(batch)
    expected = []
    for hidden in states:
        kept = torch.cat((hidden[0, :4], hidden[1, :2]))
        changes = torch.cat((hidden[0, :4].diff(dim=0), hidden[1, :2].diff(dim=0)))
        expected.append(2 * kept.square().mean() + 3 * changes.square().mean())
    torch.testing.assert_close(costly.train()(batch).penalty, torch.stack(expected).mean())


def test_dropped_words_are_dropped_wherever_they_stand_and_only_as_inputs() -> None:
    model = model_of(embedding_dropout=0.5).train()
    seen = []
    model.readers[0][0].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    batch = batch_of([[5, 6, 5, 6, 5], [6, 5, 6, 5, 6]])
    for _ in range(20):
        model(batch)
    zero = torch.stack([(inputs == 0).all(dim=-1) for inputs in seen])  # [draw, batch, time]
    for word in (5, 6):
        own = zero[:, batch.tokens == word]
        assert torch.equal(own.all(dim=1), own.any(dim=1))
        assert 0 < own.any(dim=1).sum() < 20


# ---- the softmaxes


def test_a_drawn_softmax_tends_to_the_full_one() -> None:
    torch.manual_seed(0)
    words, rows = 60, 8
    vectors, features = torch.randn(words, 5), torch.randn(rows, 5, requires_grad=True)
    targets = torch.randint(3, words, (rows,))
    full = TiedSoftmax(words, 0)
    full.bias.data.normal_()
    likely = (features @ vectors.T + full.bias).argmax(dim=1)  # what is both drawn and the target counts once
    targets = torch.where(torch.arange(rows) < rows // 2, likely, targets)
    exact = full(features, targets, vectors)
    (wanted,) = torch.autograd.grad(exact.sum(), features)
    drawn = TiedSoftmax(10_000, 5000)
    drawn.words = words  # more draws than words: a test alone asks for that
    drawn.bias = full.bias
    values, gradients = [], []
    for _ in range(40):
        found = drawn(features, targets, vectors)
        values.append(found.detach())
        gradients.append(torch.autograd.grad(found.sum(), features)[0])
    torch.testing.assert_close(torch.stack(values).mean(0), exact.detach(), atol=0.02, rtol=0.02)
    torch.testing.assert_close(torch.stack(gradients).mean(0), wanted, atol=0.02, rtol=0.05)


def test_drawn_words_are_as_frequent_as_their_correction_expects() -> None:
    softmax = TiedSoftmax(20, 10)
    expected = softmax._expected(torch.arange(20)).exp() / 10
    assert float(expected.sum()) == pytest.approx(1, abs=1e-6)
    torch.manual_seed(0)
    draw = (torch.rand(200_000) * math.log(21)).exp().long() - 1
    torch.testing.assert_close(draw.bincount(minlength=20) / 200_000, expected, atol=5e-3, rtol=0)


def test_out_of_training_all_words_are_scored_whatever_the_softmax() -> None:
    torch.manual_seed(0)
    vectors, features = torch.randn(60, 5), torch.randn(2100, 5)
    targets = torch.randint(0, 60, (2100,))
    drawn = TiedSoftmax(60, 7).eval()
    with torch.no_grad():
        wanted = -F.cross_entropy(features @ vectors.T, targets, reduction="none")
        torch.testing.assert_close(drawn(features, targets, vectors), wanted)
    adaptive = AdaptiveSoftmax(60, 5)
    chances = adaptive.groups.log_prob(features[:3]).exp()
    torch.testing.assert_close(chances.sum(dim=1), torch.ones(3))
    everything = torch.stack([adaptive(features[:3], torch.full((3,), word), vectors) for word in range(60)], dim=1)
    torch.testing.assert_close(everything.exp(), chances)


# ---- running text


def test_texts_stand_end_to_end_with_a_mark_between() -> None:
    store = running(["b a", "a", "?? a b"])
    a, b, query = (int(store.ids[place]) for place in (2, 1, 6))
    assert store.ids.tolist() == [END, b, a, END, a, END, query, query, a, b]
    assert store.known_targets.tolist() == [b, a, END, a, END, query, query, a, b, END]
    assert store.lengths.tolist() == [3, 2, 5]
    assert UNKNOWN not in store.ids
    assert store.truncated(Tokens(max_tokens=2)) is store


@given(st.integers(2, 120), st.integers(1, 12), st.integers(1, 30), st.integers(0, 500))
@settings(max_examples=200, deadline=None)
def test_every_word_is_read_once_and_columns_go_on(total: int, columns: int, window: int, offset: int) -> None:
    store = Store(np.arange(total), np.array([0, total]), np.arange(total) + 1, running=True)
    cut = stream.windows(store, columns=columns, window=window, offset=offset % total)
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
    assert flat == [(offset + place) % total for place in range(total)]


def test_training_reads_on_from_window_to_window() -> None:
    store = running(["a b a b c", "b a c", "a b", "c c a b"])
    config = RunConfig(
        task="model_language",
        model=LanguageModel(embedding=6, hidden=5, dropout=0.0),
        train=Train(batch_tokens=6, window=3),
        precision="float32",
    )
    vocabulary = finish(built([Example("a b a b c")], Tokens(min_count=1), cache=None, running=True))
    parts = assemble.fresh(config, vocabulary, runtime.prepare(config))
    work = Listening(parts, {"train": store})
    for epoch in range(2):
        items = work.items(epoch)
        assert len(items) > 2
        found = [work.loss(item)[0] for item in items]
        cut = stream.drawn(store, batch_tokens=6, window=3, seed=(config.seed, epoch))
        whole = stream.windows(store, columns=2, window=100, offset=cut.offset).batch(0)
        wanted = -parts.model(whole).logs.sum()
        torch.testing.assert_close(sum(mean.value * mean.count for mean in found), wanted)
        assert sum(int(mean.count) for mean in found) == work.tokens(epoch) == len(store.ids)


# ---- figures


def test_perplexity_is_of_all_words_and_their_ends() -> None:
    outputs = model_language.kept(np.array([[3.0, 5.0]]), np.array([2, 4]))
    assert model_language.summary(outputs, outputs)["perplexity"] == pytest.approx(math.exp(8 / 6))
    assert model_language.measure(outputs, outputs)["perplexity"].value == pytest.approx(math.exp(8 / 6))
    both = model_language.kept(np.array([[3.0, 5.0], [4.0, 6.0]]), np.array([2, 4]))
    assert model_language.summary(both, both)["loss"] == pytest.approx(9 / 6)
    alone = model_language.measure(both[:1], both[:1])["perplexity"]
    assert alone.low == alone.high == alone.value == pytest.approx(math.exp(3.5 / 2))
    said = model_language.describe(both, (), 1.0)
    assert said[1] == {"perplexity": round(math.exp(5.5 / 4), 4), "words": 4}


def test_pairs_are_scored_as_kneser_and_ney_would() -> None:
    store = running(["a b a b c", "b a c", "a b", "c c a b"])
    fitted = ngrams.fit_baselines(store.codes, store.offsets, store.known_targets, labels=0)
    found = ngrams.baseline_logs(fitted, store.codes, store.offsets)
    size = int(store.ids.max()) + 1
    pairs = Counter(zip(store.ids.tolist(), store.known_targets.tolist(), strict=True))
    once, twice = (sum(count == times for count in pairs.values()) for times in (1, 2))
    discount = min(max(once / (once + 2 * twice), 0.1), 0.9)
    words = Counter(store.known_targets.tolist())
    total = sum(words.values()) + size
    for place, (first, second) in enumerate(zip(store.ids.tolist(), store.known_targets.tolist(), strict=True)):
        singly = (words[second] + 1) / total
        lower = 0.99 * sum(pair[1] == second for pair in pairs) / len(pairs) + 0.01 * singly
        after = {pair: count for pair, count in pairs.items() if pair[0] == first}
        share = max(pairs[first, second] - discount, 0) / sum(after.values())
        chance = share + discount * len(after) / sum(after.values()) * lower
        assert found["bigram"][place] == pytest.approx(math.log(chance))
        assert found["unigram"][place] == pytest.approx(math.log(singly))


def test_the_chances_of_all_words_sum_to_one() -> None:
    store = running(["a b a b c", "b a c", "a b", "c c a b"])
    fitted = ngrams.fit_baselines(store.codes, store.offsets, store.known_targets, labels=0)
    size = len(fitted["words"])
    for first in range(size):
        chances = ngrams._pairs(fitted, np.full(size, first), np.arange(size))
        assert chances.sum() == pytest.approx(1)
        assert chances.min() > 0


def test_words_beyond_those_counted_count_as_a_rare_one() -> None:
    store = running(["a b a b c", "b a c"])
    fitted = ngrams.fit_baselines(store.codes, store.offsets, store.known_targets, labels=0)
    foreign = replace(store, ids=np.where(store.ids == store.ids.max(), 99, store.ids))
    logs = ngrams.baseline_logs(fitted, foreign.codes, foreign.offsets)
    assert np.isfinite(logs["bigram"]).all()
