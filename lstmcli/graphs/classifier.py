"""The graph of a classifier: see ``models/classifier.py`` for what it computes."""

from collections.abc import Callable, Mapping

import numpy as np
from onnx import ModelProto, TensorProto

from lstmcli.config import TextReader
from lstmcli.graphs.by_word import by_direction, pooled_by_word
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
from lstmcli.types import Sizes

LSTM = "lstm"
POOLINGS_BY_WORD = {"max": ("max",), "mean": ("mean",), "max-mean": ("max", "mean")}
BY_WORD_FROM, BY_WORD_FROM_INT8 = 96, 160  # size of word vectors from which a product per distinct word is faster
Pair = tuple[str, str]
GATHERED = ("embedding.weight", "projection")  # matrices of which rows are looked up: kept in the type of the file
OUTPUTS = ("logits",)


def shapes(config: TextReader, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of the model, by name."""
    words, labels, _ = sizes
    directions = _directions(config)
    features = config.hidden * directions
    found: dict[str, tuple[int, ...]] = {"embedding.weight": (words, config.embedding)}
    found |= of_torch(LSTM, config.embedding, config.hidden, layers=config.layers, directions=directions)
    if config.pooling == "attention":
        found |= {"attend.weight": (features, features), "attend.bias": (features,), "query.weight": (1, features)}
    features *= 2 if config.pooling == "max-mean" else 1
    if config.film:
        found["film.weight"] = (features, config.embedding)
    if config.bag_of_words:
        found |= {"projection": (words, config.bag_of_words), "salience": (words,), "gain": ()}
    if size := config.sentence_embedding:
        found |= {"sentence.weight": (size, features), "sentence_words.weight": (size, config.embedding)}
        found |= {"word_weight": (words,), "sentence_gain": ()}
    width = features + config.sentence_embedding + config.bag_of_words
    return found | {"head.weight": (labels, width), "head.bias": (labels,)}


def prepared_shapes(config: TextReader, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array of the graph before any is quantised, by name."""
    found = shapes(config, sizes)
    others = {name: shape for name, shape in found.items() if not name.startswith(f"{LSTM}.")}
    return lstm_shapes(found, LSTM, layers=config.layers, directions=_directions(config)) | others


def prepared(config: TextReader, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of the graph, by name. arrays: of the model; of int8, with their scales."""
    gathered = {name: value for name, value in arrays.items() if name.removeprefix(SCALE) in GATHERED}
    whole = at_full({name: value for name, value in arrays.items() if name not in gathered})
    of_lstm = lstm_arrays(whole, LSTM, layers=config.layers, directions=_directions(config))
    return of_lstm | {name: value for name, value in whole.items() if not name.startswith(f"{LSTM}.")} | gathered


def quantised(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays with word vectors and matrices of the LSTM in int8."""
    return quantised_lstm(quantised_rows(arrays, "embedding.weight"))


def model(config: TextReader, arrays: Mapping[str, Array]) -> ModelProto:
    """Return the model. arrays: as ``prepared`` has them.

    Outputs: ``logits`` ``[batch, label]``; ``embedding`` ``[batch, feature]``, what the linear head sees; and of
    a model with a sentence embedding ``sentence`` ``[batch, dimension]``, of length 1.
    """
    return _model(config, Graph(arrays), _states)


def model_by_word(config: TextReader, arrays: Mapping[str, Array]) -> ModelProto | None:
    """Return the model in a form that is faster for many texts, if there is one. arrays: as ``prepared`` has them."""
    least = BY_WORD_FROM if arrays[f"{LSTM}.W_l0"].dtype == np.float32 else BY_WORD_FROM_INT8
    if config.layers > 1 or config.pooling not in POOLINGS_BY_WORD or config.embedding < least:
        return None
    return _model(config, Graph(by_direction(arrays, LSTM)), _states_by_word)


def _model(config: TextReader, graph: Graph, states_of: Callable[[Graph, TextReader, str, str], Pair]) -> ModelProto:
    mask = graph.mask()  # [time, batch, 1]
    ones = graph.add("Cast", mask, to=TensorProto.FLOAT)
    embedded = graph.rows("embedding.weight", graph.tokens)  # [time, batch, embedding]
    states, length = states_of(graph, config, embedded, mask)
    parts = [states]
    if config.film:
        first = graph.add("Gather", embedded, graph.constant(0, np.int64))
        scale = graph.add("Add", graph.linear(first, "film", bias=False), graph.constant(1.0))
        parts = [graph.add("Mul", states, scale)]
    outputs: dict[str, tuple[str | int, ...]] = {"logits": ("batch", "label"), "embedding": ("batch", "feature")}
    if config.sentence_embedding:
        weights = _weights(graph, "word_weight", ones)
        summed = graph.add("ReduceSum", graph.add("Mul", weights, embedded), graph.axes(0), keepdims=0)
        words = graph.add("Div", summed, graph.add("Sqrt", length))
        mapped = (graph.linear(states, "sentence", bias=False), graph.linear(words, "sentence_words", bias=False))
        sentence = graph.add("Identity", graph.unit(graph.add("Add", *mapped)), output="sentence")
        parts.append(graph.add("Mul", sentence, "sentence_gain"))
        outputs["sentence"] = ("batch", "dimension")
    if config.bag_of_words:
        weighted = graph.add("Mul", _weights(graph, "salience", ones), graph.rows("projection", graph.tokens))
        bag = graph.unit(graph.add("ReduceSum", weighted, graph.axes(0), keepdims=0))
        parts.append(graph.add("Mul", bag, "gain"))
    embedding = graph.add("Concat", *parts, output="embedding", axis=1)
    graph.linear(embedding, "head", bias=True, output="logits")
    return graph.model(outputs)


def _directions(config: TextReader) -> int:
    return 2 if config.bidirectional else 1


def _weights(graph: Graph, name: str, ones: str) -> str:
    """Return the weight of each word, ``[time, batch, 1]``, zero at padding."""
    found = graph.add("Unsqueeze", graph.rows(name, graph.tokens), graph.axes(2))
    return graph.add("Mul", found, ones)


def _states_by_word(graph: Graph, config: TextReader, _: str, mask: str) -> Pair:
    """As ``_states``, for many texts."""
    size = {"hidden": config.hidden, "directions": _directions(config)}
    largest, summed = pooled_by_word(graph, "embedding.weight", LSTM, mask=mask, **size)
    length = _length(graph)
    found = {"max": largest, "mean": graph.add("Div", summed, length)}
    parts = [found[name] for name in POOLINGS_BY_WORD[config.pooling]]
    return graph.add("Concat", *parts, axis=1), length


def _states(graph: Graph, config: TextReader, embedded: str, mask: str) -> Pair:
    """Return the states pooled over time, ``[batch, feature]``, and the lengths, ``[batch, 1]``."""
    directions = _directions(config)
    hidden, last = graph.lstm(embedded, LSTM, layers=config.layers, hidden=config.hidden, directions=directions)
    length = _length(graph)
    return last if config.pooling == "last" else _pooled(graph, config, hidden, mask, length), length


def _length(graph: Graph) -> str:
    return graph.add("Unsqueeze", graph.add("Cast", graph.lengths, to=TensorProto.FLOAT), graph.axes(1))


def _pooled(graph: Graph, config: TextReader, hidden: str, mask: str, length: str) -> str:
    """Pool the hidden states ``[time, batch, feature]`` over time. length: ``[batch, 1]``."""
    outside = graph.outside(mask)  # [time, batch, 1]
    if config.pooling == "attention":
        keys = graph.add("MatMul", hidden, graph.add("Transpose", "attend.weight", perm=[1, 0]))
        keys = graph.add("Tanh", graph.add("Add", keys, "attend.bias"))
        energy = graph.add("MatMul", keys, graph.add("Transpose", "query.weight", perm=[1, 0]))
        attention = graph.add("Softmax", graph.add("Add", energy, outside), axis=0)
        return graph.add("ReduceSum", graph.add("Mul", attention, hidden), graph.axes(0), keepdims=0)
    pooled = []
    if "max" in config.pooling:
        pooled.append(graph.add("ReduceMax", graph.add("Add", hidden, outside), axes=[0], keepdims=0))
    if "mean" in config.pooling:  # hidden states are zero at padding
        pooled.append(graph.add("Div", graph.add("ReduceSum", hidden, graph.axes(0), keepdims=0), length))
    return graph.add("Concat", *pooled, axis=1) if len(pooled) > 1 else pooled[0]
