"""ONNX graphs against the models in torch: logits, embeddings and sentence embeddings, of all options."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lstmcli import registry
from lstmcli.config import Classifier, RunConfig
from lstmcli.data.batches.encoded import Store
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.graphs import graph as graphs
from lstmcli.inference import assemble, engines
from lstmcli.inference.assemble import Parts
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.storage.compact import quantised
from lstmcli.storage.tensors import SCALE

Array = np.ndarray[Any, np.dtype[Any]]
WORDS = [f"w{number}" for number in range(40)]
LABELS = ("a", "b", "c")
POOLINGS = ("last", "mean", "max", "max-mean", "attention")
SHAPES = [
    {"pooling": pooling, "bidirectional": both, "layers": layers}
    for pooling, both, layers in itertools.product(POOLINGS, (True, False), (1, 2))
]
FEATURES = [
    dict(zip(("film", "sentence_embedding", "bag_of_words"), values, strict=True))
    for values in itertools.product((False, True), (0, 7), (0, 9))
]


def made(**options: Any) -> Checkpoint:
    """A checkpoint with random weights, none of them zero."""
    section = Classifier(embedding=6, hidden=5, **options)
    config = RunConfig(model=section, precision="float32", device="cpu", threads=1)
    vocabulary = Vocabulary.build([" ".join(WORDS)], LABELS, config.tokens.model_copy(update={"min_count": 1}))
    torch.manual_seed(0)
    model = registry.model("classifier").build(section, words=len(vocabulary), labels=len(LABELS))
    state = {
        name: value if name == "projection" else value + 0.3 * torch.randn(value.shape)
        for name, value in model.state_dict().items()
    }
    return Checkpoint(config, vocabulary, grouped("model", state))


def store(seed: int = 0) -> Store:
    random = np.random.default_rng(seed)
    lengths = np.array([1, 2, 3, 17, 40, 8, 1])
    return Store(random.integers(0, len(WORDS) + 2, lengths.sum()), np.r_[0, lengths.cumsum()])


def logits(session: Any, indices: Array) -> Array:
    return engines.computed(session, ["logits"], store(), indices)["logits"]


def parts_of(checkpoint: Checkpoint) -> Parts:
    return engines.Engine(checkpoint).parts


@pytest.mark.parametrize("options", [*SHAPES, *FEATURES], ids=str)
def test_graphs_compute_what_the_model_does(options: dict[str, Any]) -> None:
    checkpoint = made(**options)
    parts, found = parts_of(checkpoint), engines.Onnx(checkpoint)
    np.testing.assert_allclose(found.score(store()), assemble.outputs(parts, store()), rtol=0, atol=2e-6)
    for sentence in (False, True):
        expected = assemble.embeddings(parts, store(), sentence=sentence)
        np.testing.assert_allclose(found.embed(store(), sentence=sentence), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("options", [*SHAPES, *FEATURES], ids=str)
def test_shapes_are_those_of_the_model_and_of_the_graph(options: dict[str, Any]) -> None:
    checkpoint = made(**options)
    section = checkpoint.config.model
    module = registry.graph(section.name)
    shapes = module.shapes(section, checkpoint.vocabulary.sizes)
    assert shapes == {name: tuple(value.shape) for name, value in checkpoint.group("model").items()}
    arrays = module.prepared(section, checkpoint.arrays("model"))
    expected = module.prepared_shapes(section, checkpoint.vocabulary.sizes)
    assert expected == {name: value.shape for name, value in arrays.items()}


def test_word_vectors_of_int8_are_multiplied_by_their_scales() -> None:
    checkpoint = made()
    name = "model/embedding.weight"
    small = quantised(name, checkpoint.tensors[name])
    tensors = dict(checkpoint.tensors) | small
    rounded = small[name].float() * small[f"{SCALE}{name}"].float()[:, None]
    expected = assemble.outputs(
        parts_of(replace(checkpoint, tensors=dict(checkpoint.tensors) | {name: rounded})), store()
    )
    section, module = checkpoint.config.model, registry.graph("classifier")
    arrays = {key.replace("model/", ""): value.numpy() for key, value in tensors.items()}
    session = engines.session(module.model(section, module.prepared(section, arrays)).SerializeToString())
    found = [logits(session, np.array([text])) for text in range(len(store()))]
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=2e-6)


def test_rounding_to_int8_is_by_half_a_scale_at_most() -> None:
    """And the whole model with such matrices is near that in float32."""
    checkpoint = made(layers=2)
    section, module = checkpoint.config.model, registry.graph("classifier")
    arrays = module.prepared(section, checkpoint.arrays("model"))
    small = module.quantised(arrays)
    changed = {name for name, value in small.items() if value.dtype == np.int8 and not name.startswith("zero/")}
    assert changed == {"embedding.weight", "lstm.W_l0", "lstm.R_l0", "lstm.W_l1", "lstm.R_l1"}
    for name in changed:
        values = small[name] if name == "embedding.weight" else small[name].transpose(0, 2, 1)
        scales = small[f"{SCALE}{name}"]
        assert (np.abs(values * scales[..., None] - arrays[name]) <= scales[..., None] * 0.5001).all()
        assert np.abs(small[name]).max() == graphs.LARGEST
    exact, rounded = (engines.session(module.model(section, each).SerializeToString()) for each in (arrays, small))
    every = np.arange(len(store()))
    difference = logits(exact, every) - logits(rounded, every)
    assert 0 < np.abs(difference).max() < 0.1


def test_a_text_is_scored_alike_alone_and_in_a_batch() -> None:
    found = engines.Onnx(made(sentence_embedding=7, bag_of_words=9, layers=2))
    together = found.score(store())
    for text in range(len(store())):
        np.testing.assert_allclose(found.score(store().part(np.array([text])))[0], together[text], rtol=0, atol=2e-6)
