"""Figures of parts of the data: texts of like length, of one domain, with one label."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from lstmcli.events import Listener, Progress, silent
from lstmcli.inference.evaluate import Scored
from lstmcli.report.charts import Estimate
from lstmcli.types import Example

Array = np.ndarray[Any, np.dtype[Any]]
BOUNDS = (5, 10, 20, 50, 100, 200, 400)  # words of the longest text in each band but the last
BANDS = (f"1 to {BOUNDS[0]} words", *(f"{low + 1} to {high} words" for low, high in pairwise(BOUNDS)),
         f"over {BOUNDS[-1]} words")  # fmt: skip
MOST = 12  # parts of one kind that are shown: the largest


@dataclass(frozen=True)
class Slices:
    """Parts of one kind with one figure of each. left_out: how many smaller parts there are besides."""

    kind: str
    parts: list[Estimate]
    left_out: int = 0


def measured(scored: Scored, metric: str, *, seed: int = 0, listener: Listener = silent) -> list[Slices]:
    """Measure a metric of the task on each part, with its interval, as of the whole."""
    found = []
    for kind, key in KINDS.items():
        names = [key(example) for example in scored.examples]
        counts = Counter(name for name in names if name)
        if len(counts) < 2:
            continue
        known = (
            [name for name in BANDS if name in counts]
            if kind == "length"
            else [name for name, _ in counts.most_common()]
        )
        listener(Progress(f"scoring by {kind}"))
        chosen = {name: np.flatnonzero([one == name for one in names]) for name in known[:MOST]}
        parts = [_estimate(scored, metric, name, indices, seed) for name, indices in chosen.items()]
        found.append(Slices(kind, parts, max(0, len(known) - MOST)))
    return found


def band(example: Example) -> str:
    """Return the band of the text's length."""
    words = len(example.text.split() if isinstance(example.text, str) else example.text)
    return BANDS[int(np.searchsorted(BOUNDS, words))]


KINDS: dict[str, Callable[[Example], str]] = {
    "length": band,
    "domain": lambda example: example.domain,
    "label": lambda example: example.target if isinstance(example.target, str) else "",
}


def _estimate(scored: Scored, metric: str, name: str, indices: Array, seed: int) -> Estimate:
    measure = scored.engine.task.measure(scored.probabilities[indices], _targets(scored, indices), seed=seed)[metric]
    return Estimate(name, measure.value, measure.low, measure.high, len(indices), f"n {len(indices):,}")


def _targets(scored: Scored, indices: Array) -> Array:
    """Return the targets of these texts; of a tagger those of their words, concatenated."""
    targets = scored.store.known_targets
    if scored.engine.task.READS != "words":
        return targets[indices]
    offsets = scored.store.offsets
    return np.concatenate([targets[offsets[index] : offsets[index + 1]] for index in indices])
