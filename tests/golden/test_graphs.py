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
from lstmcli.inference import assemble, batches, engines
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

BY_WORD = [
    {"embedding": 160, "pooling": pooling, "bidirectional": both}
    for pooling, both in itertools.product(("mean", "max", "max-mean"), (True, False))
] + [{"embedding": 160, "film": True, "sentence_embedding": 7, "bag_of_words": 9}]


def made(**options: Any) -> Checkpoint:
    """A checkpoint with random weights, none of them zero."""
    section = Classifier(**{"embedding": 6, "hidden": 5, **options})
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


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("options", BY_WORD, ids=str)
def test_the_form_for_many_texts_computes_what_the_other_does(options: dict[str, Any], *, int8: bool) -> None:
    """With and without padding in a batch; of int8, both are near the model in float32."""
    checkpoint = made(**options)
    section, module = checkpoint.config.model, registry.graph("classifier")
    arrays = module.prepared(section, checkpoint.arrays("model"))
    arrays = module.quantised(arrays) if int8 else arrays
    usual = engines.session(module.model(section, arrays).SerializeToString())
    graph = module.model_by_word(section, arrays)
    assert graph is not None
    assert not any(node.op_type.endswith("LSTM") for node in graph.graph.node)
    by_word = engines.session(graph.SerializeToString())
    names = [output.name for output in usual.get_outputs()]
    assert names == [output.name for output in by_word.get_outputs()]
    for name, texts in itertools.product(names, ([0, 1, 2, 3, 4, 5, 6], [3], [0, 6])):
        found, expected = (engines.computed(one, [name], store(), np.array(texts))[name] for one in (by_word, usual))
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.02 if int8 else 2e-6)


def test_many_texts_are_scored_in_the_form_for_them() -> None:
    checkpoint = made(embedding=96)
    found, lengths = engines.Onnx(checkpoint), np.full(450, 20)
    texts = Store(np.random.default_rng(0).integers(0, len(WORDS) + 2, 9_000), np.r_[0, lengths.cumsum()])
    assert len(texts.ids) > batches.EVALUATION_TOKENS
    expected = assemble.outputs(parts_of(checkpoint), texts)
    found._session = None  # type: ignore[assignment]  # any use of it would fail
    np.testing.assert_allclose(found.score(texts), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("options", [{"layers": 2}, {"pooling": "last"}, {"pooling": "attention"}, {"embedding": 95}])
def test_other_models_have_one_form(options: dict[str, Any]) -> None:
    checkpoint = made(**{"embedding": 96, **options})
    section, module = checkpoint.config.model, registry.graph("classifier")
    assert module.model_by_word(section, module.prepared(section, checkpoint.arrays("model"))) is None


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
