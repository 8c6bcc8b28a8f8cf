"""Honest figures: intervals, and baselines beside every score."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli.data.store import Store, encode, fingerprint
from lstmcli.engine import assemble, folder, runtime
from lstmcli.engine.checkpoint import Checkpoint
from lstmcli.engine.events import Noted, Telling
from lstmcli.types import Example, Progress

Array = np.ndarray[Any, np.dtype[Any]]
Figures = dict[str, dict[str, float]]  # metric -> value, low, high


@dataclass(frozen=True)
class Report:
    """What ``evaluate`` says. metrics and baselines as fractions."""

    task: str
    data: str
    split: str
    examples: int
    metrics: Figures
    baselines: dict[str, Figures]
    seconds: float
    checkpoint: str
    predictions: tuple[dict[str, Any], ...] = ()
    below: tuple[str, ...] = ()  # baselines that the model does not reach

    def plain(self) -> dict[str, Any]:
        """The report as JSON has it."""
        kept = asdict(self)
        return {name: kept[name] for name in kept if name not in ("predictions", "below")}


def run(checkpoint: Checkpoint, examples: Sequence[Example], *, data: str, split: str, path: Path) -> Telling[Report]:
    """Score the checkpoint on labelled examples, with the baselines that it carries.

    Raises:
        DataError: a label that the model does not know.
    """
    parts = assemble.restored(checkpoint, runtime.prepare(checkpoint.config))
    begun = time.perf_counter()
    full = yield from encode(parts.vocabulary, examples, cache=assemble.cache_of(checkpoint.config))
    store = full.truncated(checkpoint.config.tokens)
    over = int((full.lengths > checkpoint.config.tokens.max_tokens).sum())
    if over:
        yield Noted(
            f"{over} of {len(store)} texts are longer than {checkpoint.config.tokens.max_tokens} tokens: "
            "head and tail are read"
        )
    logits = yield from assemble.outputs(parts, store)
    seconds = time.perf_counter() - begun
    yield Progress("resampling for the intervals")
    chances = parts.task.probabilities(logits, checkpoint.temperature)
    metrics = _plain(parts.task.measure(chances, store.known_targets))
    baselines = checkpoint.metrics.get(fingerprint(examples))
    if baselines is None:
        yield Progress("scoring the baselines")
        arrays = {name: value.numpy() for name, value in checkpoint.group("baseline").items()}
        baselines = baseline_figures(parts.task, arrays, full) if arrays else {}
    primary = parts.task.PRIMARY
    described = parts.task.describe(logits, parts.vocabulary.labels, checkpoint.temperature)
    return Report(
        task=checkpoint.config.task,
        data=data,
        split=split,
        examples=len(examples),
        metrics=metrics,
        baselines=baselines,
        seconds=seconds,
        checkpoint=str(path),
        predictions=tuple(
            {"text": example.text, "target": example.target} | said
            for example, said in zip(examples, described, strict=True)
        ),
        below=tuple(name for name, its in baselines.items() if metrics[primary]["value"] < its[primary]["value"]),
    )


def write(report: Report, target: Path) -> None:
    """report.json, and predictions.jsonl with every text, its label and what the model said.

    Raises:
        RuntimeSetupError: the folder cannot be written.
    """
    folder.claim_file(target / "report.json")
    with folder.whole(target / "report.json") as file:
        file.write(json.dumps(report.plain(), indent=2).encode())
    with folder.whole(target / "predictions.jsonl") as file:
        for prediction in report.predictions:
            file.write(json.dumps(prediction, ensure_ascii=False).encode() + b"\n")


def baseline_figures(task: Any, fitted: dict[str, Array], store: Store) -> dict[str, Figures]:
    """The metrics of each baseline on the examples, which they read whole."""
    chances = task.baseline_chances(fitted, store.ids, store.offsets)
    return {name: _plain(task.measure(table, store.known_targets)) for name, table in chances.items()}


def _plain(metrics: dict[str, Any]) -> Figures:
    return {name: asdict(measure) for name, measure in metrics.items()}
