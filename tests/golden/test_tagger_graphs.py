"""ONNX graphs of taggers against the models in torch: emissions, chains, entities and probabilities, of all options."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lstmcli import registry
from lstmcli.config import RunConfig, Tagger, Tokens
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store, encode
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.graphs import tagger
from lstmcli.inference import engines
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.storage.compact import quantised
from lstmcli.storage.tensors import SCALE
from lstmcli.tags import layout
from lstmcli.types import Example

Array = np.ndarray[Any, np.dtype[Any]]
# Every casing, one byte and more than are read, several scripts, twice the same word, and words that are not known.
TEXTS = [
    ("Ada", "met", "McGee", "--", "in", "Turin", "4x4", "1996", "EU", "東京", "Ada"),
    ("a",),
    ("unknownlongword" * 4, "x"),
    ("straße", "Ünder", "łódź", "in", "in"),
    ("the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"),
]
KNOWN, FROZEN = ["Ada", "met", "in", "Turin", "a", "x"], ["quick", "fox", "łódź"]
OPTIONS = [
    dict(zip(("characters", "head", "bidirectional", "layers"), values, strict=True))
    for values in itertools.product(("none", "cnn", "lstm"), ("crf", "softmax"), (True, False), (1, 2))
]
MORE = [{"casing": 0}, {"casing": 0, "characters": "none"}, {"characters": "lstm", "character_features": 5}]


def made(*, frozen: bool = True, **options: Any) -> Checkpoint:
    """A checkpoint with random weights, none of them zero but those of padding."""
    shape = {"embedding": 6, "hidden": 5, "character_embedding": 3, "character_features": 4, "casing": 2} | options
    config = RunConfig(
        model=Tagger(**shape), tokens=Tokens(kind="pretokenized", min_count=1), precision="float32", device="cpu",
        threads=1,
    )  # fmt: skip
    vocabulary = Vocabulary.build([tuple(KNOWN)], layout(["LOC", "PER"]), config.tokens)
    vocabulary = vocabulary.with_words(FROZEN, frozen=True) if frozen else vocabulary
    words, labels, frozen_words = vocabulary.sizes
    torch.manual_seed(0)
    model = registry.model("tagger").build(config.model, words=words, labels=labels, frozen_words=frozen_words)
    state = {name: value + (0.5 * torch.randn(value.shape)).to(value.dtype)
             for name, value in model.state_dict().items()}  # fmt: skip
    return Checkpoint(config, vocabulary, grouped("model", state))


def store(checkpoint: Checkpoint) -> Store:
    return encode(checkpoint.vocabulary, list(map(Example, TEXTS)), cache=None, labelled=False)


def in_torch(checkpoint: Checkpoint, indices: Array) -> dict[str, Array]:
    batch = batching.collate(store(checkpoint), indices)
    with torch.inference_mode():
        found = engines.Engine(checkpoint).parts.model(batch)
    return {name: getattr(found, name).numpy() for name in tagger.OUTPUTS} | {"inside": batch.mask.numpy()}


def in_onnx(checkpoint: Checkpoint, indices: Array, arrays: dict[str, Array] | None = None) -> dict[str, Array]:
    section = checkpoint.config.model
    if arrays is None:
        arrays = tagger.prepared(section, checkpoint.arrays("model", whole=False))
    session = engines.session(tagger.model(section, arrays).SerializeToString())
    return engines.computed(session, tagger.OUTPUTS, store(checkpoint), indices)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("options", [*OPTIONS, *MORE], ids=str)
def test_graphs_compute_what_the_tagger_does(options: dict[str, Any], frozen: bool) -> None:
    checkpoint = made(frozen=frozen, **options)
    for indices in (np.arange(len(TEXTS)), np.array([1]), np.array([3, 2])):
        expected, found = in_torch(checkpoint, indices), in_onnx(checkpoint, indices)
        for name in tagger.CHAIN:
            np.testing.assert_array_equal(found[name], expected[name])
        inside = expected["inside"]
        np.testing.assert_allclose(found["emissions"][inside], expected["emissions"][inside], rtol=0, atol=3e-6)
    assert set(checkpoint.vocabulary.ids_of(KNOWN)) <= set(store(checkpoint).ids.tolist())


@pytest.mark.parametrize("options", [*OPTIONS, *MORE], ids=str)
def test_shapes_are_those_of_the_tagger_and_of_its_graph(options: dict[str, Any]) -> None:
    for checkpoint in (made(**options), made(frozen=False, **options)):
        section, sizes = checkpoint.config.model, checkpoint.vocabulary.sizes
        shapes = {name: tuple(value.shape) for name, value in checkpoint.group("model").items()}
        assert tagger.shapes(section, sizes) == shapes
        arrays = tagger.prepared(section, checkpoint.arrays("model"))
        assert tagger.prepared_shapes(section, sizes) == {name: value.shape for name, value in arrays.items()}


@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_both_engines_find_the_same_entities(head: str) -> None:
    checkpoint = made(head=head)
    first, second = (
        engine.score(store(checkpoint)) for engine in (engines.Engine(checkpoint), engines.Onnx(checkpoint))
    )
    assert sum(len(text.entities) for text in first) > 5
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.tags, other.tags)
        np.testing.assert_array_equal(one.entities, other.entities)
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=0, atol=1e-5)
        np.testing.assert_allclose(np.exp(one.log_probs), np.exp(other.log_probs), rtol=0, atol=1e-5)


def test_a_text_is_tagged_alike_alone_and_in_a_batch() -> None:
    checkpoint = made(layers=2)
    together = in_onnx(checkpoint, np.arange(len(TEXTS)))["emissions"]
    for text, words in enumerate(TEXTS):
        alone = in_onnx(checkpoint, np.array([text]))["emissions"][0]
        np.testing.assert_allclose(alone, together[text, : len(words)], rtol=0, atol=2e-6)


def test_word_vectors_of_int8_are_multiplied_by_their_scales() -> None:
    """Also where the file has them so: those of the training words by row, and the frozen ones."""
    checkpoint = made()
    tensors, whole = dict(checkpoint.tensors), dict(checkpoint.tensors)
    for name in ("model/embedding.weight", "model/carried"):
        small = quantised(name, tensors[name].float())
        whole[name] = small[name].float() * small[f"{SCALE}{name}"].float()[:, None]
        tensors |= small
    arrays = {name.replace("model/", ""): value.numpy() for name, value in tensors.items()}
    every = np.arange(len(TEXTS))
    found = in_onnx(checkpoint, every, tagger.prepared(checkpoint.config.model, arrays))
    expected = in_torch(replace(checkpoint, tensors=whole), every)
    inside = expected["inside"]  # torch holds the frozen vectors in half precision
    np.testing.assert_allclose(found["emissions"][inside], expected["emissions"][inside], rtol=0, atol=3e-3)


@pytest.mark.parametrize("characters", ["cnn", "lstm"])
def test_rounding_to_int8_changes_emissions_slightly(characters: str) -> None:
    checkpoint = made(characters=characters)
    arrays = tagger.prepared(checkpoint.config.model, checkpoint.arrays("model"))
    small = tagger.quantised(arrays)
    changed = {name for name, value in small.items() if value.dtype == np.int8 and not name.startswith("zero/")}
    lstms = {"lstm.W_l0", "lstm.R_l0"} | ({"reader.W_l0", "reader.R_l0"} if characters == "lstm" else set())
    assert changed == {"embedding.weight", "carried"} | lstms
    every = np.arange(len(TEXTS))
    inside = in_torch(checkpoint, every)["inside"]
    exact, rounded = (in_onnx(checkpoint, every, each)["emissions"][inside] for each in (arrays, small))
    assert 0 < np.abs(exact - rounded).max() < 0.2
