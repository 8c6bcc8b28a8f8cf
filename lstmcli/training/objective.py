"""The base class of the objectives that validate on texts."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from lstmcli import registry
from lstmcli.data.batches.encoded import Store
from lstmcli.events import Listener, silent
from lstmcli.inference.assemble import Parts
from lstmcli.inference.evaluate import Figures, baseline_figures

Array = np.ndarray[Any, np.dtype[Any]]


class Objective:
    """An objective whose validation part is a store of texts.

    Args:
        whole: The texts, by part.
        stores: The texts truncated for the model, by part.
        read: Computes the model's output for each text of a store.

    state: tensors beside the weights that carry over from item to item.
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
        """Compute figures on the validation part."""
        outputs, targets = self.outputs(parts, "validating", listener)
        figures: dict[str, float] = self._parts.task.summary(outputs, targets)
        return figures if self._parts.config.train.best_by == "score" else figures | {"score": -figures["loss"]}

    def outputs(self, parts: Parts, what: str, listener: Listener) -> tuple[Array, Array]:
        """Compute the model's outputs for all validation texts, and return them with the targets."""
        outputs = self._read(parts, self._validation, what, listener)
        return outputs, self._validation.known_targets

    def baseline_figures(self, fitted: dict[str, Array]) -> dict[str, Figures]:
        """Compute the figures of the baselines on the validation part."""
        task = registry.task(self._parts.config.task)  # without class weights: each baseline decides by itself
        return baseline_figures(task, fitted, self._validation_whole)
