"""Models as ONNX graphs, made of arrays: what ``models`` computes in evaluation, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto

    from lstmcli.types import Sizes

    Array = np.ndarray[Any, np.dtype[Any]]


class GraphModule(Protocol):
    """The ONNX graph of a model: a module in ``graphs``, registered in ``registry.GRAPHS`` by the name of the model. It
    imports no torch. Its inputs are among those of ``engines.inputs``. Of a model that labels whole texts the graph
    computes ``logits`` and ``embedding``, as ``ClassScores`` has them, and may compute ``sentence``.

    GATHERED: the matrices of which rows are looked up, which may be of half precision; all else is of float32 or int8.
    OUTPUTS: what the task makes its outputs of.
    """

    GATHERED: tuple[str, ...]
    OUTPUTS: tuple[str, ...]

    def shapes(self, config: Any, sizes: Sizes, /) -> dict[str, tuple[int, ...]]:
        """Return the shape of each of the model's tensors, by its name."""

    def prepared_shapes(self, config: Any, sizes: Sizes, /) -> dict[str, tuple[int, ...]]:
        """Return the shape of each array of the graph before any is quantised, by its name."""

    def prepared(self, config: Any, arrays: Mapping[str, Array], /) -> dict[str, Array]:
        """Return the arrays of the graph, made of the model's tensors."""

    def quantised(self, arrays: Mapping[str, Array], /) -> dict[str, Array]:
        """Return the arrays with the largest matrices in int8."""

    def model(self, config: Any, arrays: Mapping[str, Array], /) -> ModelProto:
        """Return the graph with its arrays, in the form that ``prepared`` returns."""

    def model_by_word(self, config: Any, arrays: Mapping[str, Array], /) -> ModelProto | None:
        """Return the graph in a form that is faster for many texts, if there is one; it is never exported."""


class GraphTask(Protocol):
    """What the task of a model with a graph has beside the members of ``contracts.Task``.

    OVERALL: the metric in which every decision counts alike.
    """

    OVERALL: str

    def outputs_of(self, arrays: Mapping[str, Array], lengths: Array, /) -> Array:
        """As ``outputs``, from the ``OUTPUTS`` of the graph. lengths: ``[batch]``."""

    def agreement(self, probabilities: Array, others: Array, /) -> tuple[float, float]:
        """Of two models on the same texts, the fraction of equal decisions and the largest difference of a
        probability."""
