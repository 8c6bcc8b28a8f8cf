"""The graph of a tagger: see ``models/tagger.py`` for what it computes.

The inputs beside tokens and lengths are those of ``types.WordFeatures``, each only where the model reads it. The graph
ends with the emissions; the scores of neighbouring, first and last tags are outputs too, so that a program that cannot
read the arrays of the file has all that the best path is found with (``tasks/chain.py``).
"""

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, TensorProto

from lstmcli.config import Tagger
from lstmcli.graphs.graph import (
    SCALE,
    Array,
    Graph,
    at_full,
    lstm_arrays,
    lstm_shapes,
    of_torch,
    quantised_lstm,
    quantised_rows,
)
from lstmcli.tags import FORBIDDEN, allowed
from lstmcli.types import BYTES, CASINGS, Sizes

LSTM, READER = "lstm", "reader"
WORDS, FROZEN = "embedding.weight", "carried"  # word vectors, and those of words that training did not have
GATHERED = (WORDS, FROZEN)
CHAIN = ("transitions", "start", "end")
OUTPUTS = ("emissions", *CHAIN)
CHARACTERS, WINDOW = "letters.weight", "window"  # vectors of characters; what each adds to a feature, by position


def shapes(config: Tagger, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of the model, by name."""
    features, inputs = config.character_features, config.embedding + config.casing
    found: dict[str, tuple[int, ...]] = {
        WORDS: (sizes.words, config.embedding),
        FROZEN: (sizes.frozen_words, config.embedding),
    }
    if config.characters != "none":
        found[CHARACTERS] = (BYTES, config.character_embedding)
        inputs += features
    if config.characters == "cnn":
        width = Tagger.WIDTH * config.character_embedding
        found |= {"convolution.weight": (features, width), "convolution.bias": (features,)}
    if config.characters == "lstm":
        found |= of_torch(READER, config.character_embedding, features // 2, layers=1, directions=2)
        inputs -= features % 2
    if config.casing:
        found["casing.weight"] = (CASINGS, config.casing)
    directions = _directions(config)
    found |= of_torch(LSTM, inputs, config.hidden, layers=config.layers, directions=directions)
    found |= {"head.weight": (sizes.labels, config.hidden * directions), "head.bias": (sizes.labels,)}
    return found | (_chain_shapes(sizes.labels) if config.head == "crf" else {})


def prepared_shapes(config: Tagger, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array of the graph before any is quantised, by name."""
    of_model = shapes(config, sizes)
    found = lstm_shapes(of_model, LSTM, layers=config.layers, directions=_directions(config))
    if config.characters == "lstm":
        found |= lstm_shapes(of_model, READER, layers=1, directions=2)
    if config.characters == "cnn":
        found |= {f"{WINDOW}.{position}": (BYTES, config.character_features) for position in range(Tagger.WIDTH)}
    gathered = GATHERED if sizes.frozen_words else (WORDS,)
    found |= {name: of_model[name] for name in (*gathered, *_kept(config))}
    return found | _chain_shapes(sizes.labels, "chain.")


def prepared(config: Tagger, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of the graph, by name. arrays: of the model; of int8, with their scales."""
    gathered = {name: value for name, value in arrays.items() if name.removeprefix(SCALE) in GATHERED and len(value)}
    whole = at_full({name: value for name, value in arrays.items() if name.removeprefix(SCALE) not in GATHERED})
    found = lstm_arrays(whole, LSTM, layers=config.layers, directions=_directions(config))
    if config.characters == "lstm":
        found |= lstm_arrays(whole, READER, layers=1, directions=2)
    if config.characters == "cnn":
        found |= _windows(whole[CHARACTERS], whole["convolution.weight"])
    return found | gathered | {name: whole[name] for name in _kept(config)} | _chain(config, whole)


def quantised(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays with word vectors and matrices of the LSTMs in int8."""
    return quantised_lstm(quantised_rows(arrays, *GATHERED))


def model(config: Tagger, arrays: Mapping[str, Array]) -> ModelProto:
    """Return the model. arrays: as ``prepared`` has them.

    Outputs: ``emissions`` ``[batch, time, tag]``, and ``transitions`` ``[tag, tag]``, ``start`` and ``end`` ``[tag]``,
    zero without a CRF.
    """
    graph = Graph(arrays)
    features = [_vectors(graph), *_of_forms(graph, config)]
    inputs = graph.add("Concat", *features, axis=2) if len(features) > 1 else features[0]
    directions = _directions(config)
    hidden, _ = graph.lstm(inputs, LSTM, layers=config.layers, hidden=config.hidden, directions=directions)
    scores = graph.add("MatMul", hidden, graph.add("Transpose", "head.weight", perm=[1, 0]))
    graph.add("Transpose", graph.add("Add", scores, "head.bias"), output="emissions", perm=[1, 0, 2])
    for name in CHAIN:
        graph.add("Identity", f"chain.{name}", output=name)
    sizes = {"transitions": ("tag", "tag"), "start": ("tag",), "end": ("tag",)}
    return graph.model({"emissions": ("batch", "time", "tag"), **sizes})


def _vectors(graph: Graph) -> str:
    """Word vectors, ``[time, batch, embedding]``."""
    if FROZEN not in graph.arrays:
        return graph.rows(WORDS, graph.tokens)
    words = graph.constant(len(graph.arrays[WORDS]), np.int64)
    known = graph.rows(WORDS, graph.add("Min", graph.tokens, graph.constant(len(graph.arrays[WORDS]) - 1, np.int64)))
    beyond = graph.add("Max", graph.add("Sub", graph.tokens, words), graph.constant(0, np.int64))
    inside = graph.add("Unsqueeze", graph.add("Less", graph.tokens, words), graph.axes(2))
    return graph.add("Where", inside, known, graph.rows(FROZEN, beyond))


def _of_forms(graph: Graph, config: Tagger) -> list[str]:
    """Features of the words' characters, ``[time, batch, feature]`` each: computed once per form."""
    found = []
    if config.casing:
        found.append(graph.rows("casing.weight", graph.input("casing", "form")))
    if config.characters != "none":
        characters = graph.input("characters", "form", "longest")
        found.append(_convolved(graph, characters) if config.characters == "cnn" else _read(graph, config, characters))
    if not found:
        return []
    forms = graph.add("Transpose", graph.input("forms", "batch", "time"), perm=[1, 0])
    return [graph.add("Gather", features, forms) for features in found]


def _convolved(graph: Graph, characters: str) -> str:
    """Features of each form by a convolution and max pooling, ``[form, feature]``: sums of rows of the windows."""
    last = np.iinfo(np.int64).max
    padded = graph.add("Pad", characters, graph.axes(0, 1, 0, 1))
    terms = []
    for position in range(Tagger.WIDTH):
        end = position - Tagger.WIDTH + 1 or last
        ids = graph.add("Slice", padded, graph.axes(position), graph.axes(end), graph.axes(1))
        terms.append(graph.rows(f"{WINDOW}.{position}", ids))
    pooled = graph.add("ReduceMax", graph.add("Sum", *terms), axes=[1], keepdims=0)
    return graph.add("Add", pooled, "convolution.bias")


def _read(graph: Graph, config: Tagger, characters: str) -> str:
    """Return the same by an LSTM: its last hidden states in both directions."""
    known = graph.add("Greater", characters, graph.constant(0, np.int64))
    lengths = graph.add("ReduceSum", graph.add("Cast", known, to=TensorProto.INT32), graph.axes(1), keepdims=0)
    vectors = graph.rows(CHARACTERS, graph.add("Transpose", characters, perm=[1, 0]))
    hidden = config.character_features // 2
    return graph.lstm(vectors, READER, layers=1, hidden=hidden, directions=2, lengths=lengths)[1]


def _windows(characters: Array, weight: Array) -> dict[str, Array]:
    """Return what each character adds to each feature at each position of the window, ``[character, feature]`` per
    position.

    Padding adds nothing; in the middle it rules the window out, so that no window around padding is the maximum.
    """
    known = characters.copy()
    known[0] = 0
    parts = np.split(weight, Tagger.WIDTH, axis=1)  # [feature, character embedding] each
    found = {f"{WINDOW}.{position}": known @ part.T for position, part in enumerate(parts)}
    found[f"{WINDOW}.{Tagger.WIDTH // 2}"][0] = FORBIDDEN
    return found


def _chain(config: Tagger, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the scores of the chain of tags, with what the tag scheme rules out."""
    labels = len(arrays["head.bias"])
    if config.head != "crf":
        return {name: np.zeros(shape, np.float32) for name, shape in _chain_shapes(labels, "chain.").items()}
    scores = (np.where(valid, 0.0, FORBIDDEN).astype(np.float32) for valid in allowed(labels))
    return {f"chain.{name}": arrays[name] + score for name, score in zip(CHAIN, scores, strict=True)}


def _chain_shapes(labels: int, prefix: str = "") -> dict[str, tuple[int, ...]]:
    sizes: tuple[tuple[int, ...], ...] = ((labels, labels), (labels,), (labels,))
    return {f"{prefix}{name}": size for name, size in zip(CHAIN, sizes, strict=True)}


def _kept(config: Tagger) -> list[str]:
    """Return the names of the tensors that the graph has as they are, in float32."""
    of_characters = {"none": [], "cnn": ["convolution.bias"], "lstm": [CHARACTERS]}[config.characters]
    return [*(["casing.weight"] if config.casing else []), *of_characters, "head.weight", "head.bias"]


def _directions(config: Tagger) -> int:
    return 2 if config.bidirectional else 1


def model_by_word(_config: Tagger, _arrays: Mapping[str, Array]) -> None:
    """Return no other form for many texts: characters of a word and its neighbours are read beside its vector."""
