"""The tagger's parts against references: frozen vectors, word dropout, features of characters, averaged weights."""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lstmcli import recipes
from lstmcli.config import RunConfig, Tagger, Tokens
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import built, encode, text_hashes
from lstmcli.events import Stepped
from lstmcli.inference import assemble
from lstmcli.inference.predict import Predictions
from lstmcli.machine import runtime
from lstmcli.storage import examples
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.storage.text_io import Question
from lstmcli.training.setup import RunSetup
from lstmcli.training.train import Trainer
from lstmcli.types import Example

EXAMPLES = [Example(("Ada", "saw", "Turin"), ("S-P", "O", "S-L")), Example(("Nothing", "happened"), ("O", "O"))]


def tagger(**model: object) -> tuple[assemble.Parts, object]:
    small = {"embedding": 2, "hidden": 3, "character_embedding": 2, "character_features": 4, "casing": 2}
    config = RunConfig(
        tokens=Tokens(kind="pretokenized", min_count=1), model=Tagger(**small | model), precision="float32"
    )
    vocabulary = assemble.with_frozen_words(built(EXAMPLES, config.tokens, cache=None), config)
    parts = assemble.fresh(config, vocabulary, runtime.Runtime("cpu", torch.float32))
    return parts, encode(vocabulary, EXAMPLES, cache=None)


def test_words_that_training_did_not_have_get_the_vectors_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("saw 1 2\nlima 3 4\nturin 5 6\noslo 7 8\n")
    parts, store = tagger(vectors=str(tmp_path / "v.txt"), frozen_vectors=3)
    message = assemble.place_vectors(parts, store.ids)
    assert "and 1 word that training does not have" in message  # of the file's first three, two are known already
    assert parts.vocabulary.words[-1] == "lima"
    ids = torch.tensor([parts.vocabulary.ids_of(["saw", "lima", "Turin", "oslo"])])
    found = parts.model._vectors(ids)[0]
    assert found[:3].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert torch.equal(found[3], parts.model.embedding.weight[1])  # beyond the frozen words: unknown
    parts.model._vectors(ids).sum().backward()
    assert parts.model.embedding.weight.grad.shape == (len(parts.vocabulary) - 1, 2)


def test_what_could_never_be_looked_up_is_not_carried(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("Lima 1 2\nlima 3 4\nOslo 5 6\n")
    parts, store = tagger(vectors=str(tmp_path / "v.txt"), frozen_vectors=3)
    assert parts.vocabulary.words[-1] == "lima"
    assert parts.vocabulary.frozen_words == 1
    assemble.place_vectors(parts, store.ids)
    assert parts.model.carried.tolist() == [[3, 4]]


def test_vectors_of_a_model_are_carried_too() -> None:
    parts, store = tagger(vectors="imdb", frozen_vectors=50, embedding=50)
    assert 40 < parts.vocabulary.frozen_words <= 50
    assemble.place_vectors(parts, store.ids)
    assert parts.model.carried.any(dim=1).all()
    assert not {"<pad>", "<unk>"} & set(parts.vocabulary.words[-parts.vocabulary.frozen_words :])


def test_noise_takes_a_feature_from_every_word_of_a_text() -> None:
    parts, _ = tagger(dropout=0.5)
    dropped = parts.model._drop(torch.ones(4, 7, 50))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert {float(value) for value in dropped.unique()} == {0.0, 2.0}
    assert not torch.equal(dropped[0], dropped[1])


def test_word_dropout_reads_words_as_unknown_but_not_their_characters() -> None:
    parts, store = tagger(dropout=0.0, word_dropout=0.99)
    batch = batching.collate(store, np.array([0, 1]))
    torch.manual_seed(0)
    noisy = parts.model(batch).emissions
    unknown = copy.copy(batch)
    object.__setattr__(unknown, "tokens", torch.where(batch.mask, 1, 0))
    parts.model.eval()
    torch.testing.assert_close(noisy, parts.model(unknown).emissions)
    assert not torch.equal(noisy[0, 0], noisy[0, 2])  # both unknown, distinguished by their characters


def test_the_convolution_equals_conv1d_and_a_maximum_over_the_characters() -> None:
    parts, _ = tagger()
    model = parts.model
    mask = torch.arange(5) < torch.tensor([5, 2, 1])[:, None]
    characters = torch.tensor([[7, 1, 256, 1, 7], [1, 7, 0, 0, 0], [256, 0, 0, 0, 0]])
    embedded = model.letters(characters)
    bias = model.convolution.bias
    weight = model.convolution.weight.view(4, 3, 2).permute(0, 2, 1)  # [feature, dimension, width]
    for form in range(3):
        inputs = embedded[form, mask[form]].T[None]  # [1, dimension, length]
        expected = nn.functional.conv1d(inputs, weight, bias, padding=1).amax(dim=2)[0]
        torch.testing.assert_close(model._convolve(characters)[form], expected)
        weights = (model.letters.weight, model.convolution.weight, bias)
        gradients = (torch.autograd.grad(found.square().sum(), weights, retain_graph=True)
                     for found in (model._convolve(characters)[form], expected))  # fmt: skip
        for actual, plain in zip(*gradients, strict=True):
            torch.testing.assert_close(actual, plain)


def test_what_is_kept_is_the_running_mean_of_the_weights() -> None:
    overrides = ["train.ema_decay=0.5", "train.epochs=1", "train.batch_tokens=200", "precision=float32"]
    config = recipes.load("entities", overrides=overrides)
    data = examples.read(config)
    vocabulary = built(data.train, config.tokens, cache=None)
    parts = assemble.fresh(config, vocabulary, runtime.prepare(config))
    stores = {name: encode(vocabulary, part, cache=None) for name, part in data.parts.items()}
    trainer = Trainer(RunSetup(parts, stores, {}, text_hashes(data.train), {}), None, data)
    mean, steps = torch.zeros(()), 0
    for event in trainer.events():
        if isinstance(event, Stepped):
            now = parts.model.start.detach().clone()
            decay = 0.0 if steps == 0 else min(0.5, (1 + steps) / (10 + steps))
            mean = decay * mean + (1 - decay) * now
            steps += 1
    assert steps > 9  # some of either kind
    torch.testing.assert_close(trainer._kept.model.start.detach(), mean)
    assert not torch.equal(mean, parts.model.start.detach())


def test_long_sentences_keep_all_their_words() -> None:
    _, store = tagger()
    assert store.truncated(Tokens(kind="pretokenized", max_tokens=2)) is store


def test_a_text_among_many_has_its_own_entities() -> None:
    parts, store = tagger(hidden=16)
    optimizer = torch.optim.Adam(parts.model.parameters(), lr=0.05)
    batch = batching.collate(store, np.array([0, 1]))
    for _ in range(60):
        optimizer.zero_grad()
        parts.task.loss(parts.model(batch), batch).value.backward()
        optimizer.step()
    predictions = Predictions(Checkpoint(parts.config, parts.vocabulary, grouped("model", parts.model.state_dict())))
    texts = ["Nothing happened", "Ada saw Turin\n\nAda saw Turin", " \n", "Ada saw Turin"]
    answers = [prediction.answer["entities"] for prediction in predictions.of([[Question(1, text) for text in texts]])]
    assert [[entity["text"] for entity in one] for one in answers] == [
        [], ["Ada", "Turin", "Ada", "Turin"], [], ["Ada", "Turin"]
    ]  # fmt: skip
    assert [entity["start"] for entity in answers[1]] == [0, 8, 15, 23]
