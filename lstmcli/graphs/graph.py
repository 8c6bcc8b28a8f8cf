"""An ONNX graph under construction: nodes, each with one output, and arrays by name. Imports no torch.

Time comes first, ``[time, batch, ...]``, as the operator ``LSTM`` of ONNX has it. Opset ``OPSET``; a model whose LSTM
is of int8 also has the operator ``DynamicQuantizeLSTM`` of ONNX Runtime.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]
OPSET, MICROSOFT = 17, "com.microsoft"
IR_VERSION = 8  # of the file; read by ONNX Runtime from version 1.12 on
GATES = [0, 3, 1, 2]  # input, output, forget, candidate: the order of ONNX, of the order of torch
SCALE = "scale/"  # prefix of the scales of a matrix of int8: one per row
ZERO = "zero/"  # prefix of the zero points of a matrix of int8 of an LSTM
LARGEST = 127.0
TINY = float(np.finfo(np.float16).tiny)


class Graph:
    """Nodes in the order of computation. A method that adds nodes returns the name of the last one's output."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        """Begin with the inputs ``tokens`` ``[batch, time]`` and ``lengths`` ``[batch]``. arrays: as ``prepared`` has
        them."""
        self.arrays = dict(arrays)
        self.nodes: list[onnx.NodeProto] = []
        self._prefix = ""
        self._inputs: list[onnx.ValueInfoProto] = []
        tokens = self.input("tokens", "batch", "time")
        self.lengths = self.input("lengths", "batch", kind=TensorProto.INT32)
        self.tokens = self.add("Transpose", tokens, perm=[1, 0])

    def input(self, name: str, *shape: str, kind: int = TensorProto.INT64) -> str:
        """Add an input."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def nested(self, name: str) -> "Graph":
        """Return a graph for the body of a loop, with the arrays of this one. name: of the body."""
        found = copy(self)
        found.nodes, found._prefix = [], f"{name}_"
        return found

    def add_all(self, operator: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Add a node with several outputs."""
        name = f"{self._prefix}{operator.lower()}_{len(self.nodes)}"
        names = [f"{name}_{output}" for output in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def add(self, operator: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        name = output or f"{self._prefix}{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], domain=domain, **attributes))
        return name

    def constant(self, value: Any, kind: type = np.float32) -> str:
        """Add an array that is no weight."""
        name = f"constant_{len(self.arrays)}"
        self.arrays[name] = np.array(value, kind)
        return name

    def axes(self, *axes: int) -> str:
        """Add a list of axes."""
        return self.constant(axes, np.int64)

    def mask(self) -> str:
        """Return True at tokens, false at padding, ``[time, batch, 1]``."""
        time = self.add("Gather", self.add("Shape", self.tokens), self.constant(0, np.int64))
        ends = self.add("Range", self.constant(0, np.int64), time, self.constant(1, np.int64))
        lengths = self.add("Cast", self.lengths, to=TensorProto.INT64)
        inside = self.add("Less", self.add("Unsqueeze", ends, self.axes(1)), lengths)
        return self.add("Unsqueeze", inside, self.axes(2))

    def outside(self, mask: str) -> str:
        """0 at tokens, -inf at padding, ``[time, batch, 1]``."""
        return self.add("Where", mask, self.constant(0.0), self.constant(-np.inf))

    def rows(self, name: str, ids: str) -> str:
        """Look up rows of a matrix, or numbers of a vector, in float32."""
        found = self.add("Gather", name, ids)
        if self.arrays[name].dtype == np.float32:
            return found
        found = self.add("Cast", found, to=TensorProto.FLOAT)
        if f"{SCALE}{name}" not in self.arrays:
            return found
        scales = self.add("Cast", self.add("Gather", f"{SCALE}{name}", ids), to=TensorProto.FLOAT)
        return self.add("Mul", found, self.add("Unsqueeze", scales, self.axes(-1)))

    def linear(self, inputs: str, name: str, *, bias: bool, output: str = "") -> str:
        """Apply a layer of torch: inputs @ weight.T + bias. inputs: ``[row, feature]``."""
        names = [f"{name}.weight", *([f"{name}.bias"] if bias else [])]
        return self.add("Gemm", inputs, *names, output=output, transB=1)

    def unit(self, vectors: str) -> str:
        """Scale each row to length 1, as ``torch.nn.functional.normalize``."""
        norm = self.add("ReduceL2", vectors, axes=[-1], keepdims=1)
        return self.add("Div", vectors, self.add("Max", norm, self.constant(1e-12)))

    def lstm(
        self, inputs: str, name: str, *, layers: int, hidden: int, directions: int, lengths: str = ""
    ) -> tuple[str, str]:
        """Run an LSTM, ``[time, batch, inputs]`` to ``[time, batch, directions * hidden]``, zero at padding; and the
        last hidden states of the last layer, ``[batch, directions * hidden]``. lengths: int32 ``[batch]``; None: those
        of the texts."""
        last = ""
        for layer in range(layers):
            weights = [f"{name}.{matrix}_l{layer}" for matrix in "WRB"]
            arguments, operator, domain = [inputs, *weights, lengths or self.lengths], "LSTM", ""
            if self.arrays[weights[0]].dtype == np.int8:
                scales = [f"{part}{matrix}" for matrix in weights[:2] for part in (SCALE, ZERO)]
                arguments, operator, domain = [*arguments, "", "", "", *scales], "DynamicQuantizeLSTM", MICROSOFT
            states, last = f"{name}_{layer}", f"{name}_{layer}_last"
            node = helper.make_node(
                operator, arguments, [states, last], domain=domain, hidden_size=hidden,
                direction="bidirectional" if directions == 2 else "forward",
            )  # fmt: skip
            self.nodes.append(node)
            # [time, direction, batch, hidden] to [time, batch, direction * hidden]
            ordered = self.add("Transpose", states, perm=[0, 2, 1, 3])
            shape = self.constant([0, 0, directions * hidden], np.int64)
            inputs = self.add("Reshape", ordered, shape)
        flat = self.constant([0, directions * hidden], np.int64)
        return inputs, self.add("Reshape", self.add("Transpose", last, perm=[1, 0, 2]), flat)

    def model(self, outputs: Mapping[str, tuple[str | int, ...]]) -> onnx.ModelProto:
        """Return the model. outputs: names and shapes of what it computes, in float32."""
        found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()]
        tensors = [numpy_helper.from_array(np.asarray(value, order="C"), name) for name, value in self.arrays.items()]
        graph = helper.make_graph(self.nodes, "lstmcli", self._inputs, found, tensors)
        versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION)


def at_full(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays in float32; matrices of int8 multiplied by their scales, which are left out."""
    found = {name: value.astype(np.float32) for name, value in arrays.items() if not name.startswith(SCALE)}
    scales = {name.removeprefix(SCALE): value for name, value in arrays.items() if name.startswith(SCALE)}
    return found | {name: found[name] * scale.astype(np.float32)[:, None] for name, scale in scales.items()}


def of_torch(name: str, inputs: int, hidden: int, *, layers: int, directions: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the weights of an LSTM of torch."""
    found: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        for suffix in ("", "_reverse")[:directions]:
            found |= {f"{name}.weight_ih_l{layer}{suffix}": (4 * hidden, inputs)}
            found |= {f"{name}.weight_hh_l{layer}{suffix}": (4 * hidden, hidden)}
            found |= {f"{name}.{bias}_l{layer}{suffix}": (4 * hidden,) for bias in ("bias_ih", "bias_hh")}
        inputs = directions * hidden
    return found


def lstm_arrays(arrays: Mapping[str, Array], name: str, *, layers: int, directions: int) -> dict[str, Array]:
    """Return the weights of an LSTM of torch as ONNX has them: ``W`` ``[direction, 4 * hidden, inputs]``, ``R``
    ``[direction, 4 * hidden, hidden]`` and ``B`` ``[direction, 8 * hidden]`` of each layer, in float32."""
    found = {}
    for layer in range(layers):
        for key, names in {"W": ("weight_ih",), "R": ("weight_hh",), "B": ("bias_ih", "bias_hh")}.items():
            by_direction = [
                np.concatenate([_gates(arrays[f"{name}.{one}_l{layer}{suffix}"]) for one in names])
                for suffix in ("", "_reverse")[:directions]
            ]
            found[f"{name}.{key}_l{layer}"] = np.stack(by_direction)
    return found


def lstm_shapes(
    shapes: Mapping[str, tuple[int, ...]], name: str, *, layers: int, directions: int
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of ``lstm_arrays``. shapes: of the weights in torch."""
    found: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        for key, weight in {"W": "weight_ih", "R": "weight_hh"}.items():
            found[f"{name}.{key}_l{layer}"] = (directions, *shapes[f"{name}.{weight}_l{layer}"])
        found[f"{name}.B_l{layer}"] = (directions, 2 * shapes[f"{name}.bias_ih_l{layer}"][0])
    return found


def _gates(weights: Array) -> Array:
    return np.concatenate([np.split(weights.astype(np.float32), 4)[gate] for gate in GATES])


def quantised_rows(arrays: Mapping[str, Array], *names: str) -> dict[str, Array]:
    """Return the matrices of these names as int8 with one scale per row, unless they are so already or not there; all
    others as they are."""
    found = dict(arrays)
    for name in names:
        if name in arrays and (value := arrays[name]).dtype != np.int8:
            scale = np.maximum(np.abs(value.astype(np.float32)).max(axis=1) / LARGEST, TINY).astype(np.float32)  # [row]
            found |= {name: np.rint(value / scale[:, None]).astype(np.int8), f"{SCALE}{name}": scale}
    return found


def quantised_lstm(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the matrices of LSTMs as int8, ``[direction, inputs, 4 * hidden]``, with one scale per row of the original
    and zero points of zero; all other arrays as they are."""
    found = dict(arrays)
    for name, value in arrays.items():
        if name.rpartition(".")[2][:2] in ("W_", "R_") and value.dtype == np.float32:
            scale = np.maximum(np.abs(value).max(axis=2) / LARGEST, TINY).astype(np.float32)  # [direction, 4 * hidden]
            rounded = np.clip(np.rint(value / scale[:, :, None]), -LARGEST, LARGEST).astype(np.int8)
            found |= {name: rounded.transpose(0, 2, 1), f"{SCALE}{name}": scale}
            found[f"{ZERO}{name}"] = np.zeros(scale.shape, np.int8)
    return found
