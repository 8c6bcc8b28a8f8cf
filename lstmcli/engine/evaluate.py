"""Honest figures: intervals, and baselines beside every score."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli.data.store import Store, encode, fingerprint
from lstmcli.engine import assemble, folder, runtime
from lstmcli.engine.assemble import Parts
from lstmcli.engine.checkpoint import Checkpoint
from lstmcli.engine.events import Noted, Telling
from lstmcli.types import Example, Progress

Array = np.ndarray[Any, np.dtype[Any]]
UNSAID = ("details", "below", "predictions")  # of a report
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
    details: dict[str, Any]  # what a task tells beyond: of tagging, figures by type and confusions
    below: tuple[str, ...]  # baselines that the model does not reach
    predictions: Callable[[], Iterable[dict[str, Any]]]  # one an example, made when asked for

    def plain(self) -> dict[str, Any]:
        """The report as JSON has it."""
        said = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in UNSAID}
        return said | self.details


def run(
    checkpoint: Checkpoint, examples: Sequence[Example], *, data: str, split: str, path: Path, seed: int = 0
) -> Telling[Report]:
    """Score the checkpoint on labelled examples, with the baselines that it carries.

    Raises:
        DataError: a label that the model does not know.
    """
    parts = assemble.restored(checkpoint, runtime.prepare(checkpoint.config))
    begun = time.perf_counter()
    full = yield from encode(parts.vocabulary, examples, cache=assemble.cache_of(checkpoint.config))
    store = full.truncated(checkpoint.config.tokens)
    over = int((full.lengths > store.lengths).sum())
    if over:
        yield Noted(
            f"{over} of {len(store)} texts are longer than {checkpoint.config.tokens.max_tokens} tokens: "
            "head and tail are read"
        )
    logits = yield from assemble.outputs(parts, store)
    seconds = time.perf_counter() - begun
    yield Progress("resampling for the intervals")
    chances = parts.task.probabilities(logits, checkpoint.temperature)
    metrics = _plain(parts.task.measure(chances, store.known_targets, seed=seed))
    baselines = checkpoint.metrics.get(fingerprint(examples))
    if baselines is None:
        yield Progress("scoring the baselines")
        arrays = {name: value.numpy() for name, value in checkpoint.group("baseline").items()}
        baselines = baseline_figures(parts.task, arrays, full) if arrays else {}
    details = {}
    if hasattr(parts.task, "details"):
        details = parts.task.details(chances, store.known_targets, parts.vocabulary.labels)
    primary = parts.task.PRIMARY
    return Report(
        task=checkpoint.config.task,
        data=data,
        split=split,
        examples=len(examples),
        metrics=metrics,
        baselines=baselines,
        seconds=seconds,
        checkpoint=str(path),
        details=details,
        predictions=partial(_predictions, parts, examples, logits, checkpoint.temperature),
        below=tuple(name for name, its in baselines.items() if metrics[primary]["value"] < its[primary]["value"]),
    )


def _predictions(
    parts: Parts, examples: Sequence[Example], outputs: Array, temperature: float
) -> Iterator[dict[str, Any]]:
    described = parts.task.describe(outputs, parts.vocabulary.labels, temperature)
    for example, said in zip(examples, described, strict=True):
        yield {"text": example.text, "target": example.target} | said


def write(report: Report, target: Path) -> None:
    """report.json, and predictions.jsonl with every text, its label and what the model said.

    Raises:
        RuntimeSetupError: the folder cannot be written.
    """
    write_plain(report.plain(), target)
    with folder.whole(target / "predictions.jsonl") as file:
        for prediction in report.predictions():
            file.write(json.dumps(prediction, ensure_ascii=False).encode() + b"\n")


def write_plain(report: dict[str, Any], target: Path) -> None:
    """report.json alone. Raises RuntimeSetupError where the folder cannot be written."""
    folder.claim_file(target / "report.json")
    with folder.whole(target / "report.json") as file:
        file.write(json.dumps(report, indent=2).encode())


def baseline_figures(task: Any, fitted: dict[str, Array], store: Store) -> dict[str, Figures]:
    """The metrics of each baseline on the examples, which they read whole."""
    chances = task.baseline_chances(fitted, store.codes, store.offsets)
    return {name: _plain(task.measure(table, store.known_targets)) for name, table in chances.items()}


def _plain(metrics: dict[str, Any]) -> Figures:
    return {name: asdict(measure) for name, measure in metrics.items()}
