"""An LSTM for many texts: the input of the gates is computed once per distinct word, not per token.

    W x_t + b   depends on the word alone: of 8,192 tokens about 2,000 are distinct

It is half of the operations of an LSTM whose word vectors are as large as its hidden states. The operator ``LSTM`` of
ONNX computes it for each token, so the recurrence is a ``Scan`` here. Each of its steps has twenty small operators,
which cost more than they save where few texts are read together, or with small hidden states.

Padding is a word whose input and output gates are closed: in the backward direction, which reads it first, hidden and
cell states stay zero, and the output at padding is zero in both.
"""

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto, helper
from onnx.helper import make_tensor_value_info as info

from lstmcli.graphs.graph import MICROSOFT, SCALE, ZERO, Array, Graph

CLOSED = -1e4  # input of a gate whose sigmoid is zero


def by_direction(arrays: Mapping[str, Array], name: str) -> dict[str, Array]:
    """Return the arrays with those of the first layer of the LSTM by direction, in place of stacked ones: ``W_0``
    ``[4 * hidden, inputs]`` (of int8 transposed), ``R_0`` alike, and ``B_0`` ``[4 * hidden]``, the sum of both biases.
    """
    stacked = {f"{part}{name}.{matrix}_l0" for matrix in "WRB" for part in ("", SCALE, ZERO)}
    found = {key: value for key, value in arrays.items() if key not in stacked}
    for key in sorted(stacked & arrays.keys()):
        for direction, value in enumerate(arrays[key]):
            found[f"{key.removesuffix('l0')}{direction}"] = np.add(*np.split(value, 2)) if ".B_" in key else value
    return found


def pooled_by_word(
    graph: Graph, vectors: str, name: str, *, hidden: int, directions: int, mask: str
) -> tuple[str, str]:
    """Run an LSTM of one layer over the tokens; return the maximum over time and the sum of its states, ``[batch,
    directions * hidden]``.

    Args:
        graph: Its arrays are ``by_direction``.
        vectors: The matrix of word vectors.
        name: Of the LSTM.
        mask: True at tokens, ``[time, batch, 1]``.
    """
    words, ids = _distinct(graph, mask)
    outside = graph.outside(mask)
    embedded = graph.rows(vectors, words)  # [word, embedding]
    batch = graph.add("Gather", graph.add("Shape", graph.tokens), graph.axes(1))
    shape = graph.add("Concat", batch, graph.axes(hidden), axis=0)
    zeros, least = (graph.add("Expand", graph.constant(first), shape) for first in (0.0, -np.inf))
    step = graph.nested("step")
    states, following = [], []
    for direction in range(directions):
        gates = step.add("Gather", _table(graph, embedded, name, direction, hidden), f"id_{direction}")
        state = [f"{part}_{direction}" for part in ("hidden", "cell", "max", "sum")]
        read, cell = _next(step, gates, f"{name}.R_{direction}", state, hidden)
        largest = step.add("Max", state[2], step.add("Add", read, f"outside_{direction}"))
        states += state
        following += [read, cell, largest, step.add("Add", state[3], read)]
    inputs = [info(f"id_{direction}", TensorProto.INT64, ("batch",)) for direction in range(directions)]
    inputs += [info(f"outside_{direction}", TensorProto.FLOAT, ("batch", 1)) for direction in range(directions)]
    before, after = ([info(one, TensorProto.FLOAT, ("batch", hidden)) for one in side] for side in (states, following))
    found = graph.add_all(
        "Scan", [*[zeros, zeros, least, zeros] * directions, *[ids] * directions, *[outside] * directions],
        len(states), body=helper.make_graph(step.nodes, "step", [*before, *inputs], after),
        num_scan_inputs=len(inputs), scan_input_directions=[*range(directions)] * 2,  # 1: from the end
    )  # fmt: skip
    if directions == 1:
        return found[2], found[3]
    return graph.add("Concat", found[2], found[6], axis=1), graph.add("Concat", found[3], found[7], axis=1)


def _distinct(graph: Graph, mask: str) -> tuple[str, str]:
    """Return the distinct words, padding first (as -1) whether there is any or not, and the index of each token's word
    among them, ``[time, batch]``."""
    tokens = graph.add("Where", graph.add("Squeeze", mask, graph.axes(2)), graph.tokens, graph.constant(-1, np.int64))
    flat = graph.add("Concat", graph.axes(-1), graph.add("Reshape", tokens, graph.axes(-1)), axis=0)
    words, _, indices = graph.add_all("Unique", [flat], 3, sorted=1)
    of_tokens = graph.add("Slice", indices, graph.axes(1), graph.axes(np.iinfo(np.int64).max))
    return words, graph.add("Reshape", of_tokens, graph.add("Shape", graph.tokens))


def _table(graph: Graph, embedded: str, name: str, direction: int, hidden: int) -> str:
    """Return the input of the gates of each word, ``[word, 4 * hidden]``."""
    found = _product(graph, embedded, f"{name}.W_{direction}", f"{name}.B_{direction}")
    closed = np.repeat([CLOSED, CLOSED, 0.0, 0.0], hidden)[None]  # input, output, forget, candidate
    return graph.add("ScatterND", found, graph.constant([[0]], np.int64), graph.constant(closed))


def _next(step: Graph, inputs: str, matrix: str, state: list[str], hidden: int) -> list[str]:
    """Return the hidden and cell state after a step, ``[batch, hidden]``. inputs: of the gates, ``[batch, 4 *
    hidden]``."""
    gates = _product(step, state[0], matrix, inputs)
    opened, candidate = step.add_all("Split", [gates, step.axes(3 * hidden, hidden)], 2, axis=1)
    opened, candidate = step.add("Sigmoid", opened), step.add("Tanh", candidate)
    put, out, forget = step.add_all("Split", [opened, step.axes(hidden, hidden, hidden)], 3, axis=1)
    cell = step.add("Add", step.add("Mul", put, candidate), step.add("Mul", forget, state[1]))
    return [step.add("Mul", out, step.add("Tanh", cell)), cell]


def _product(graph: Graph, inputs: str, matrix: str, added: str) -> str:
    """Compute inputs @ matrix.T + added; with a matrix of int8 the inputs are rounded to eight bits, as in the operator
    ``DynamicQuantizeLSTM``."""
    if graph.arrays[matrix].dtype != np.int8:
        return graph.add("Gemm", inputs, matrix, added, transB=1)
    arguments = (inputs, matrix, f"{SCALE}{matrix}", f"{ZERO}{matrix}")
    return graph.add("Add", graph.add("DynamicQuantizeMatMul", *arguments, domain=MICROSOFT), added)
