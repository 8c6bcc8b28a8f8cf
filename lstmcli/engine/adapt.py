"""Bend a trained model to a new domain with a few labelled texts a class."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmcli.data import batching, sampling
from lstmcli.data.store import encode
from lstmcli.engine import assemble, runtime
from lstmcli.engine import checkpoint as checkpoints
from lstmcli.engine.assemble import Parts
from lstmcli.engine.checkpoint import Checkpoint, grouped
from lstmcli.engine.evaluate import Figures
from lstmcli.engine.events import Noted, Telling
from lstmcli.errors import DataError
from lstmcli.types import Batch, Example


@dataclass(frozen=True)
class Adaptation:
    """What ``adapt`` says. before, after: figures on the examples that were not learned from; old: on the data that
    the model was trained on, where it is at hand."""

    support: dict[str, int]
    labels: tuple[str, ...]
    query: int
    before: Figures
    after: Figures
    old: dict[str, Figures]
    seconds: float
    checkpoint: str

    def plain(self) -> dict[str, Any]:
        """The adaptation as JSON has it."""
        return asdict(self)


def run(
    checkpoint: Checkpoint, examples: Sequence[Example], *, shots: int, seed: int, old: Sequence[Example], out: Path
) -> Telling[Adaptation]:
    """Learn from ``shots`` examples a class, score the rest before and after, and write the adapted checkpoint.

    seed: decides which are drawn; old: examples of the data that the model was trained on, to see what was forgotten.

    Raises:
        DataError: fewer than two classes.
    """
    support, query, drawn = yield from _draw(examples, shots, seed)
    where = runtime.prepare(checkpoint.config)
    parts = assemble.restored(assemble.with_labels(checkpoint, sorted(drawn)), where)
    if parts.vocabulary.labels != checkpoint.vocabulary.labels:
        yield Noted(f"labels are now: {', '.join(parts.vocabulary.labels)}")
    before = yield from _figures(parts, query, checkpoint.temperature)
    known = [example for example in old if example.target in parts.vocabulary.labels]
    remembered = yield from _figures(parts, known, checkpoint.temperature)

    begun = time.perf_counter()
    config = checkpoint.config
    full = yield from encode(parts.vocabulary, support, cache=None)
    batch = batching.collate(full.truncated(config.tokens), np.arange(len(support))).to(where.device)
    weights: dict[str, Tensor] = {}
    with torch.no_grad():
        for stacked in parts.learner.trajectory(parts.model, _one_task(batch), parts.task.loss):
            weights = {name: value[0] for name, value in stacked.items()}
    seconds = time.perf_counter() - begun

    parts.model.load_state_dict(weights, strict=False)
    adapted = replace(
        checkpoint,
        vocabulary=parts.vocabulary,
        tensors=grouped("model", parts.model.state_dict()),  # the old data's baselines do not belong to it
        metrics={},
        progress={"adapted_from": checkpoint.progress, "shots": shots, "support": dict(drawn)},
    )
    checkpoints.save(adapted, out)
    after = yield from _figures(parts, query, checkpoint.temperature)
    kept = yield from _figures(parts, known, checkpoint.temperature)
    return Adaptation(
        support=dict(sorted(drawn.items())),
        labels=parts.vocabulary.labels,
        query=len(query),
        before=before,
        after=after,
        old={"before": remembered, "after": kept} if known else {},
        seconds=seconds,
        checkpoint=str(out),
    )


def _draw(
    examples: Sequence[Example], shots: int, seed: int
) -> Telling[tuple[list[Example], list[Example], Counter[str]]]:
    """What to learn from, what to be scored on, and how many of each class were drawn."""
    support, query = sampling.per_class(examples, shots, seed=seed)
    drawn = Counter(str(example.target) for example in support)
    if len(drawn) < 2:
        fix = "give examples of at least two labels"
        raise DataError(f"only one class: {', '.join(drawn)}", where=support[0].where, fix=fix)
    for label, count in sorted(drawn.items()):
        if count < shots:
            yield Noted(
                f"class '{label}' has only {count} different texts, {shots} were asked for; all are learned from"
            )
    if not query:
        yield Noted("no examples are left to score: give more, or fewer --shots")
    return support, query, drawn


def _figures(parts: Parts, examples: Sequence[Example], temperature: float) -> Telling[Figures]:
    if not examples:
        return {}
    full = yield from encode(parts.vocabulary, examples, cache=assemble.cache_of(parts.config))
    store = full.truncated(parts.config.tokens)
    logits = yield from assemble.outputs(parts, store)
    measured = parts.task.measure(parts.task.probabilities(logits, temperature), store.targets)
    return {name: asdict(measure) for name, measure in measured.items()}


def _one_task(batch: Batch) -> Batch:
    targets = None if batch.targets is None else batch.targets[None]
    return Batch(batch.tokens[None], batch.lengths[None], targets)
