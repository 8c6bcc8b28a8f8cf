"""Sentence embeddings against their formulas: what the model computes, and what it learns of a teacher."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lstmcli.config import Classifier, RunConfig, Tokens, Train
from lstmcli.data import embeddings
from lstmcli.data.embeddings import Sentences
from lstmcli.errors import DataError
from lstmcli.models.classifier import build
from lstmcli.storage.examples import Inputs
from lstmcli.training import sentences, setup
from lstmcli.training.supervised import SupervisedObjective
from lstmcli.types import Batch, Example

PLAIN = Classifier(embedding=3, hidden=4, dropout=0.0)
BATCH = Batch(torch.tensor([[3, 5, 6], [4, 5, 6], [4, 5, 0]]), torch.tensor([3, 3, 2]))


@pytest.mark.parametrize("words_too", [False, True])
def test_it_stands_beside_the_pooled_states_with_its_own_length(words_too: bool) -> None:
    torch.manual_seed(0)
    section = PLAIN.model_copy(update={"sentence_embedding": 5, "bag_of_words": 6 if words_too else 0})
    plain, model = (build(config, words=9, labels=2) for config in (PLAIN, section))
    model.load_state_dict(
        {name: value for name, value in plain.state_dict().items() if "head" not in name}, strict=False
    )
    model.get_buffer("sentence_gain").fill_(2.5)
    pooled = plain(BATCH).embedding
    with torch.no_grad():
        model.word_weight.copy_(torch.arange(1.0, 10.0))  # that of word 3 is 4
    rows = zip(BATCH.tokens, BATCH.lengths.tolist(), strict=True)
    words = [sum((token + 1) * model.embedding.weight[token] for token in row[:size]) / size**0.5 for row, size in rows]
    mapped = pooled @ model.sentence.weight.T + torch.stack(words) @ model.sentence_words.weight.T
    expected = mapped / mapped.norm(dim=1, keepdim=True)
    scores = model(BATCH)
    torch.testing.assert_close(scores.embedding[:, : pooled.shape[1] + 5], torch.cat((pooled, 2.5 * expected), dim=1))
    torch.testing.assert_close(model.sentences(BATCH), expected)
    torch.testing.assert_close(scores.logits, scores.embedding @ model.head.weight.T + model.head.bias)


def test_the_loss_is_one_minus_the_cosine_and_labels_are_learned_beside_it(tmp_path: Path) -> None:
    config = RunConfig(
        tokens=Tokens(min_count=1),
        model=PLAIN.model_copy(update={"sentence_embedding": 5}),
        train=Train(batch_tokens=12, embeddings=tmp_path / "given.parquet"),
    )
    labelled = [Example("a warm film", "good"), Example("a cold film", "bad")]
    vectors = np.random.default_rng(0).normal(size=(7, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = [Example(f"{word} thing") for word in ["one", "two", "three", "four", "five", "six", "seven"]]
    inputs = Inputs(labelled, labelled, [], [], Sentences(texts, vectors.astype(np.float16)))
    begun = setup.prepare(config, inputs, None)
    assert begun.parts.vocabulary.unknown(["seven thing"]) == []
    work = SupervisedObjective(begun.parts, begun.texts, begun.texts)
    items = work.items(0)
    of_sentences = np.concatenate([item.indices for item in items if item.sentences])
    of_texts = np.concatenate([item.indices for item in items if not item.sentences])
    assert sorted(of_sentences) == list(range(7))
    assert sorted(of_texts) == [0, 1]
    item = next(item for item in items if item.sentences)
    store, model = begun.texts["sentences"], begun.parts.model
    rows = [store.ids[store.offsets[index] : store.offsets[index + 1]] for index in item.indices]
    alone = [
        model.sentences(Batch(torch.from_numpy(row.astype(np.int64))[None], torch.tensor([len(row)]))) for row in rows
    ]
    read = torch.cat(alone)
    mean, tokens = work.loss(item)
    cosines = [
        float(read[row].detach().double() @ torch.from_numpy(vectors[index])) for row, index in enumerate(item.indices)
    ]
    assert mean.value.item() == pytest.approx(1 - np.mean(cosines), abs=1e-3)  # the teacher's are of half precision
    assert tokens == sum(map(len, rows))


@pytest.mark.parametrize("dimensions", [5, 7])
def test_the_first_word_vectors_are_those_of_a_ridge_regression(dimensions: int, tmp_path: Path) -> None:
    """Against the normal equations, solved densely. The map has full rank, so that no direction is lost."""
    config = RunConfig(
        tokens=Tokens(min_count=1),
        model=PLAIN.model_copy(update={"sentence_embedding": 5, "embedding": dimensions}),
        train=Train(embeddings=tmp_path / "given.parquet"),
    )
    labelled = [Example("a warm film", "good"), Example("a cold film", "bad")]
    texts = [Example(text) for text in ("a warm warm film", "cold", "a film", "warm cold", "film", "a cold film")]
    vectors = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float16)
    begun = setup.prepare(config, Inputs(labelled, labelled, [], [], Sentences(texts, vectors)), None)
    vocabulary, model = begun.parts.vocabulary, begun.parts.model
    counts, prior = np.zeros((6, len(vocabulary))), np.zeros((len(vocabulary), 5))
    for row, example in enumerate(texts):
        [ids] = vocabulary.encode([str(example.text)])
        np.add.at(counts[row], ids, 1 / np.sqrt(len(ids)))
        if len(ids) == 1:
            prior[ids[0]] = vectors[row]
    pull = sentences.PENALTY * np.eye(len(vocabulary))
    expected = np.linalg.solve(counts.T @ counts + pull, counts.T @ vectors.astype(float) + pull @ prior)
    found = (model.word_weight[:, None] * model.embedding.weight) @ model.sentence_words.weight.T
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-4)


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    matrix = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float16)
    embeddings.write(tmp_path / "s.parquet", ["a", "b c", "d"], matrix)
    found = embeddings.read(tmp_path / "s.parquet")
    assert [example.text for example in found.examples] == ["a", "b c", "d"]
    assert np.array_equal(found.embeddings, matrix)


@pytest.mark.parametrize("content", [None, b"not parquet"])
def test_a_file_that_cannot_be_read_is_reported_with_its_remedy(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="no such file" if content is None else "cannot be read") as error:
        embeddings.read(path)
    assert "train.embeddings=none" in str(error.value.fix)


def test_another_size_than_the_model_s_is_an_error_with_the_right_size(tmp_path: Path) -> None:
    config = RunConfig(model=PLAIN, train=Train(embeddings=tmp_path / "given.parquet"))
    labelled = [Example("a warm film", "good"), Example("a cold film", "bad")] * 2
    inputs = Inputs(labelled, labelled, [], [], Sentences([Example("a film")], np.ones((1, 5), np.float16)))
    with pytest.raises(Exception, match="5 dimensions") as error:
        setup.prepare(config, inputs, None)
    assert error.value.fix == "--set model.sentence_embedding=5"  # type: ignore[attr-defined]
