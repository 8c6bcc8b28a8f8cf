"""Validation on texts: what supervised training and language modelling share."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from lstmcli.data.batches.encoded import Store
from lstmcli.events import Listener, silent
from lstmcli.inference.assemble import Parts
from lstmcli.inference.evaluate import Figures, baseline_figures

Array = np.ndarray[Any, np.dtype[Any]]


class Objective:
    """A run whose validation part is a store of texts.

    whole: the texts as they are; stores: as the model reads them; read: what the model says of each text of a store.
    state: what goes on from one item to the next, beside the weights.
    """

    def __init__(
        self,
        parts: Parts,
        whole: dict[str, Store],
        stores: dict[str, Store],
        read: Callable[[Parts, Store, str, Listener], Array],
    ) -> None:
        self._parts = parts
        self._validation, self._validation_whole = stores["validation"], whole["validation"]
        self._read = read
        self.state: dict[str, Tensor] = {}
        self.precision = str(parts.runtime.dtype).removeprefix("torch.")

    def evaluate(self, parts: Parts, *, listener: Listener = silent) -> dict[str, float]:
        """Figures on the validation part."""
        outputs, targets = self.outputs(parts, "validating", listener)
        figures: dict[str, float] = self._parts.task.summary(outputs, targets)
        return figures

    def outputs(self, parts: Parts, what: str, listener: Listener) -> tuple[Array, Array]:
        """Of all validation texts: what the model says of each, and the targets."""
        outputs = self._read(parts, self._validation, what, listener)
        return outputs, self._validation.known_targets

    def beside(self, fitted: dict[str, Array]) -> dict[str, Figures]:
        """The figures of the baselines on the validation part."""
        return baseline_figures(self._parts.task, fitted, self._validation_whole)
