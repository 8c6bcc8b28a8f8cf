"""Labels for a stream of texts: order is kept, memory does not grow."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmcli.data.store import Store, encode
from lstmcli.data.tokens import UNKNOWN
from lstmcli.engine import assemble, runtime
from lstmcli.engine.checkpoint import Checkpoint
from lstmcli.types import Example, finish


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one text."""

    said: dict[str, Any]  # text, label, probability, probabilities
    truncated: bool
    unknown: bool  # no word of the text is known


class Predictions:
    """A checkpoint made ready to be asked."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._parts = assemble.restored(checkpoint, runtime.prepare(checkpoint.config))

    def of(self, windows: Iterable[list[str]]) -> Iterator[Prediction]:
        """One prediction a text, in order."""
        for window in windows:
            yield from self._window(window)

    def _window(self, texts: list[str]) -> Iterator[Prediction]:
        checkpoint, parts = self._checkpoint, self._parts
        examples = [Example(text) for text in texts]
        full = finish(encode(parts.vocabulary, examples, cache=None, labelled=False))
        store = full.truncated(checkpoint.config.tokens)
        logits = finish(assemble.outputs(parts, store))
        described = parts.task.describe(logits, parts.vocabulary.labels, checkpoint.temperature)
        truncated = (full.lengths > checkpoint.config.tokens.max_tokens).tolist()
        for text, said, cut, lost in zip(texts, described, truncated, _unknown(full), strict=True):
            yield Prediction({"text": text} | said, cut, lost)


def _unknown(store: Store) -> list[bool]:
    known = np.add.reduceat((store.ids != UNKNOWN).astype(np.int64), store.offsets[:-1])
    return [bool(count == 0) for count in known]
