"""Contributions of words against a closed form, the theorem that they sum to the change, and the spans of the words."""

import unicodedata
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lstmcli.config import Classifier, Data, LanguageModel, RunConfig, Tokens
from lstmcli.data.batches.encoded import encode
from lstmcli.data.text.spans import token_spans
from lstmcli.data.text.vocabulary import UNKNOWN, Vocabulary
from lstmcli.inference import assemble
from lstmcli.inference.explain import Explainer, completed, log_odds
from lstmcli.inference.predict import Predictions
from lstmcli.machine.runtime import Runtime
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.storage.text_io import Question
from lstmcli.types import Batch, ClassScores, Example

WORDS = "a warm and quiet film that made me smile twice didn't cold"
TEXTS = ["a warm film", "made me smile twice and twice and twice", "cold", "a film nobody knows", "that warm warm film"]
SMALL = Classifier(embedding=6, hidden=5, dropout=0.0, bidirectional=True)
VARIANTS = {
    "last": SMALL.model_copy(update={"pooling": "last"}),
    "attention": SMALL.model_copy(update={"pooling": "attention"}),
    "max-mean": SMALL.model_copy(update={"pooling": "max-mean", "film": True, "sentence_embedding": 4}),
    "bag": SMALL.model_copy(update={"bag_of_words": 7, "sentence_embedding": 4}),
    "context": SMALL,
}


def made(section: Classifier, *, tokens: Tokens | None = None, labels: int = 3, context: bool = False) -> Checkpoint:
    """A checkpoint with random weights, large enough to matter."""
    tokens = tokens or Tokens(min_count=1)
    config = RunConfig(data=Data(), tokens=tokens, model=section, precision="float32", threads=1)
    vocabulary = Vocabulary.build([WORDS], [f"label {i}" for i in range(labels)], tokens)
    inner = LanguageModel(embedding=4, hidden=5, bidirectional=True) if context else None
    torch.manual_seed(0)
    parts = assemble.fresh(config, vocabulary, Runtime("cpu", torch.float32), inner)
    with torch.no_grad():
        for parameter in parts.model.parameters():
            parameter.mul_(2)
    return Checkpoint(config, vocabulary, grouped("model", parts.model.state_dict()), 0.7, context=inner)


def explainer_of(checkpoint: Checkpoint) -> tuple[Predictions, Explainer]:
    predictions = Predictions(checkpoint)
    return predictions, predictions._explainer


class Linear(nn.Module):
    """The mean of the word vectors and a linear layer: its log odds of two labels are linear in the vectors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.embedding = model.embedding
        self.head = nn.Linear(self.embedding.embedding_dim, 2)

    def forward(self, batch: Batch) -> ClassScores:
        pooled: Tensor = (self.embedding(batch.tokens) * batch.mask[:, :, None]).sum(1) / batch.lengths[:, None]
        return ClassScores(self.head(pooled), pooled)


def test_of_a_linear_model_they_are_its_weights_times_the_difference_from_the_unknown_word() -> None:
    checkpoint = made(SMALL, labels=2)
    predictions, explainer = explainer_of(checkpoint)
    model = Linear(predictions._engine.parts.model)
    explainer._parts = assemble.replace(predictions._engine.parts, model=model)
    explainer._by_word = ["embedding.weight"]
    store = encode(checkpoint.vocabulary, [*map(Example, TEXTS)], cache=None, labelled=False)
    labels = np.array([0, 1, 1, 0, 1])
    direction = (model.head.weight[1] - model.head.weight[0]).detach().numpy() / checkpoint.temperature
    vectors = model.embedding.weight.detach().numpy()
    for text, found in enumerate(explainer.integrated(store, labels)):
        ids = store.ids[store.offsets[text] : store.offsets[text + 1]]
        sign = 1 if labels[text] == 1 else -1
        expected = sign * (vectors[ids] - vectors[UNKNOWN]) @ direction / len(ids)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", VARIANTS)
def test_with_many_points_they_sum_to_the_change_of_the_log_odds(name: str) -> None:
    checkpoint = made(VARIANTS[name], context=name == "context")
    predictions, explainer = explainer_of(checkpoint)
    _, store, logits = predictions._outputs(TEXTS)
    labels = np.array([0, 1, 2, 1, 0])
    base = log_odds(explainer._of_unknown_words(store.lengths), labels, checkpoint.temperature)
    change = log_odds(logits, labels, checkpoint.temperature) - base
    assert np.abs(change).max() > 0.2
    sums = np.array([found.sum() for found in explainer.integrated(store, labels, steps=400)])
    np.testing.assert_allclose(sums, change, atol=2e-3)


def test_the_log_odds_are_those_of_the_calibrated_probability() -> None:
    logits = np.array([[1.0, -2.0, 0.5], [3.0, 0.0, 0.0]])
    probability = np.exp(logits / 1.7) / np.exp(logits / 1.7).sum(axis=1, keepdims=True)
    expected = np.log(probability[[0, 1], [2, 0]] / (1 - probability[[0, 1], [2, 0]]))
    np.testing.assert_allclose(log_odds(logits, np.array([2, 0]), 1.7), expected)


def test_what_the_rule_leaves_is_distributed_by_absolute_weight() -> None:
    np.testing.assert_allclose(completed(np.array([3.0, -1.0, 0.0]), 3.0), [3.75, -0.75, 0.0])
    np.testing.assert_allclose(completed(np.zeros(2), 0.0), [0.0, 0.0])


def test_neighbours_and_padding_change_nothing_and_unknown_words_contribute_nothing() -> None:
    predictions, explainer = explainer_of(made(VARIANTS["bag"]))
    _, store, _ = predictions._outputs(TEXTS)
    labels = np.array([0, 1, 2, 1, 0])
    together = explainer.integrated(store, labels)
    for text, found in enumerate(together):
        alone = explainer.integrated(store.part(np.array([text])), labels[text : text + 1])
        np.testing.assert_allclose(found, alone[0], atol=1e-5)
    assert together[3][2:].tolist() == [0.0, 0.0]  # nobody knows
    assert np.unique(together[1][[3, 5, 7]]).size == 3  # each occurrence of a word has a contribution of its own


def test_words_that_are_cut_contribute_nothing_and_the_others_keep_their_places() -> None:
    checkpoint = made(SMALL, tokens=Tokens(min_count=1, max_tokens=4))
    text = "  a warm and quiet film that made me smile"
    (found,) = Predictions(checkpoint).of([[Question(1, text)]], explained=True)
    answer = found.answer
    assert found.truncated
    assert answer["cut"] == [text.index("and"), text.index(" me")]
    assert [text[start:end] for start, end, _ in answer["contributions"]] == text.split()
    weights = [weight for *_, weight in answer["contributions"]]
    assert weights[2:7] == [0.0] * 5
    assert all(weights[:2] + weights[7:])
    probability = answer["probability"]
    expected = np.log(probability / (1 - probability))
    assert answer["base_value"] + sum(weights) == pytest.approx(expected, abs=1e-4)


def test_pieces_of_a_word_are_one_contribution() -> None:
    checkpoint = made(SMALL, tokens=Tokens(kind="bpe", size=30, min_count=1))
    (found,) = Predictions(checkpoint).of([[Question(1, "a warm film")]], explained=True)
    assert [(start, end) for start, end, _ in found.answer["contributions"]] == [(0, 1), (2, 6), (7, 11)]


CHARACTERS = st.sampled_from(
    [*"ab é.,!-_ \t\n1", "e\u0301", "q\u0301\u0323", "\u1112\u1161\u11ab", "日本", "\u212b", "İ"]
)


@given(st.lists(CHARACTERS, max_size=20).map("".join))
def test_spans_are_those_of_the_tokens_in_the_text_as_it_was_given(text: str) -> None:
    vocabulary = Vocabulary.build(["ab é qb 日 本 1 å"], ["x"], Tokens(min_count=1))
    (spans,) = token_spans(vocabulary, [text])
    composed = unicodedata.normalize("NFC", text)
    (ids,) = vocabulary.encode([composed])
    assert len(spans) == len(ids)
    if composed.strip():
        assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    parts = vocabulary.encode([unicodedata.normalize("NFC", text[start:end]) for start, end in spans])
    assert [part[0] for part in parts] == ids


def test_a_negation_is_one_word_however_it_is_written() -> None:
    vocabulary = Vocabulary.build(["it didn't"], ["x"], Tokens(min_count=1))
    text = "Didn't, DON'T; isn’t t 'tis.<br />It can\x92t"
    (spans,) = token_spans(vocabulary, [text])
    words = ["Did", "n't", ",", "DO", "N'T", ";", "is", "n’t", "t", "'", "tis", ".", "It", "ca", "n\x92t"]
    assert [text[start:end] for start, end in spans] == words


def test_the_explainer_needs_every_table_by_word() -> None:
    """A model may have more than word vectors per word; the checkpoint says which."""
    assert made(VARIANTS["bag"]).by_word >= {"embedding.weight", "projection", "salience"}
    assert "context.model.embedding.weight" in made(SMALL, context=True).by_word


@pytest.mark.slow
def test_explanations_of_the_model_that_ships_are_faithful() -> None:
    from lstmcli import load
    from tests.bench import explaining

    model = load(threads=1)
    texts = [text for text, _ in explaining.texts_of("opinions", "test") if len(text.split()) >= 3][:150]
    words = [[tuple(one) for one in found["contributions"]] for found in model.explain(texts)]
    labels = model.predict(texts).tolist()
    top = explaining.change(model, texts, labels, lambda i: explaining.strongest(words[i]))
    weakest = [sorted(one, key=lambda word: abs(word[2]))[: explaining.count(one)] for one in words]
    assert top > 3 * explaining.change(model, texts, labels, lambda i: [word[:2] for word in weakest[i]])
