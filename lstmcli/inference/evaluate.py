"""Evaluate a checkpoint: metrics with intervals, beside baselines."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli.contracts import Task, TaskHooks, hooks
from lstmcli.data.batches import label_names
from lstmcli.data.batches.encoded import Store, dataset_hash, encode
from lstmcli.data.batches.sampling import labels
from lstmcli.data.batches.unknown_words import counts, tally
from lstmcli.data.text.vocabulary import END
from lstmcli.errors import ConfigError, counted, verb
from lstmcli.events import Listener, Noted, Progress, silent
from lstmcli.inference import decisions, engines
from lstmcli.inference.engines import Engine
from lstmcli.storage import atomic
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.examples import cache_folder
from lstmcli.storage.validation_split import learned_remark
from lstmcli.types import Example, LabelSet

Array = np.ndarray[Any, np.dtype[Any]]
PREDICTIONS = "predictions.jsonl"
FEW = 30  # with fewer texts, scores are unreliable
NOT_IN_JSON = ("details", "below", "predictions", "scored")  # fields of a report
Figures = dict[str, dict[str, float]]  # metric -> value, low, high


@dataclass(frozen=True)
class Scored:
    """What the figures of a report are computed from.

    store: the texts as the model reads them; outputs, probabilities: of the task, ``[text, ...]``.
    """

    engine: Engine
    examples: Sequence[Example]
    store: Store
    outputs: Array
    probabilities: Array


@dataclass(frozen=True)
class Report:
    """The report of ``evaluate``; metrics and baselines are fractions."""

    task: str
    data: str
    split: str
    examples: int
    metrics: Figures
    baselines: dict[str, Figures]
    seconds: float
    checkpoint: str
    details: dict[str, Any]  # of the task: for tagging, figures by type and confusions; figures of thresholds
    below: tuple[str, ...]  # baselines that the model does not reach
    predictions: Callable[[], Iterable[dict[str, Any]]]  # one per example, computed on demand
    scored: Scored

    def plain(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON."""
        shown = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in NOT_IN_JSON}
        return shown | self.details


def run(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    *,
    data: str,
    split: str,
    path: Path | str,
    seed: int = 0,
    dynamic: bool = False,
    thresholds: bool = False,
    listener: Listener = silent,
) -> Report:
    """Score the checkpoint and its baselines on labelled examples, or a language model on texts.

    path: of the checkpoint, empty if it has none; seed: of the resamples; dynamic: also with dynamic evaluation;
    thresholds: also figures by threshold.

    Raises:
        DataError: A label that the model does not know.
        ConfigError: ``dynamic``, and the model is not a language model; ``thresholds``, and it is no classifier.
    """
    decisions.check(checkpoint, thresholds=thresholds)
    _check(checkpoint, examples, listener, dynamic=dynamic)
    engine = engines.chosen(checkpoint, listener=listener)
    task = engine.task
    begun = time.perf_counter()
    full, store = _encoded(checkpoint, examples, listener)
    logits = _outputs(engine, store, listener)
    seconds = time.perf_counter() - begun
    listener(Progress("resampling for the intervals"))
    probabilities = task.probabilities(logits, checkpoint.temperature)
    metrics = _plain(task.measure(probabilities, store.known_targets, seed=seed))
    if task.READS == "stream":
        metrics |= _of_language(engine, examples, logits, store, seed, listener, dynamic=dynamic)
    baselines = _baselines(checkpoint, task, examples, full, seed, listener)
    decided = decisions.details(checkpoint, probabilities, store.known_targets, seed=seed, thresholds=thresholds)
    return Report(
        task=checkpoint.config.task,
        data=data,
        split=split,
        examples=len(examples),
        metrics=metrics,
        baselines=baselines,
        seconds=seconds,
        checkpoint=str(path),
        details=_details(engine, probabilities, store, seed) | decided,
        predictions=partial(_predictions, engine, examples, logits),
        below=below(task, metrics, baselines),
        scored=Scored(engine, examples, store, logits, probabilities),
    )


def _details(engine: Engine, probabilities: Array, store: Store, seed: int) -> dict[str, Any]:
    """Compute what the task adds to the report."""
    details = hooks(TaskHooks, engine.task).details
    return {} if details is None else details(probabilities, store.known_targets, engine.vocabulary.labels, seed=seed)


def _check(checkpoint: Checkpoint, examples: Sequence[Example], listener: Listener, *, dynamic: bool) -> None:
    """Remark on texts that the model was trained on, and on too few texts. Raises as ``run``."""
    if dynamic and checkpoint.task.READS != "stream":
        fix = "leave out --dynamic; to learn from a few examples first: --shots 5"
        raise ConfigError("dynamic evaluation is for language models", where="--dynamic", fix=fix)
    checkpoint.check_head()
    note_learned(checkpoint, examples, listener)
    for remark in label_names.remarks(Counter(chain.from_iterable(map(labels, examples)))):
        listener(Noted(remark))
    if len(examples) == 1:
        listener(Noted("only one text: neither the figures nor their intervals are reliable"))
    elif len(examples) < FEW:
        listener(Noted(f"only {counted(len(examples), 'text')}: the figures are unreliable"))


def _encoded(checkpoint: Checkpoint, examples: Sequence[Example], listener: Listener) -> tuple[Store, Store]:
    """Encode the texts, and return them whole and truncated; remark on truncated texts and unknown words."""
    cache = cache_folder() if checkpoint.config.data.cache else None
    full = encode(checkpoint.vocabulary, examples, cache=cache, listener=listener)
    note_unknown(full, listener)
    store = full.truncated(checkpoint.config.tokens)
    if over := int((full.lengths > store.lengths).sum()):
        limit = checkpoint.config.tokens.max_tokens
        what = f"{over} of {counted(len(store), 'text')} {verb(over, 'are')} longer than {counted(limit, 'token')}"
        listener(Noted(f"{what}: head and tail are read"))
    return full, store


def note_learned(checkpoint: Checkpoint, examples: Sequence[Example], listener: Listener) -> None:
    """Remark on texts that the model was trained on."""
    learned = checkpoint.arrays("learned").get("texts")
    if learned is not None and (remark := learned_remark("the model", examples, learned)):
        listener(Noted(remark))


def note_unknown(store: Store, listener: Listener) -> None:
    """Remark on many unknown words, and on texts without any known word."""
    for remark in tally(counts(store)).remarks():
        listener(Noted(remark))


def _outputs(
    engine: Engine, store: Store, listener: Listener, what: str = "scoring", *, dynamic: bool = False
) -> Array:
    """Compute the outputs of the texts; of a language model, as one stream."""
    if engine.task.READS != "stream":
        return engine.score(store, what, listener=listener)
    from lstmcli.inference import stream

    return stream.outputs(engine.parts, store, what, dynamic=dynamic, listener=listener)


def _of_language(
    engine: Engine,
    examples: Sequence[Example],
    outputs: Array,
    store: Store,
    seed: int,
    listener: Listener,
    *,
    dynamic: bool,
) -> Figures:
    """Compute further figures of language models: unknown words, bits per character, and dynamic evaluation."""
    parts = engine.parts
    characters = np.array([len(example.text) + 1 for example in examples])
    tokens, unknown = counts(store).T
    of_words = parts.stream_task.unknown_words(unknown, tokens, seed=seed)
    spell = (parts.vocabulary.unknown_in(str(example.text)) if number else []
             for example, number in zip(examples, unknown, strict=True))  # fmt: skip
    spelled = np.array(parts.stream_task.spelling_costs(parts.vocabulary.words[END + 1 :], spell))
    found = _plain(of_words | parts.stream_task.by_character(outputs, characters, spelled, seed=seed))
    if not dynamic:
        return found
    outputs = _outputs(engine, store, listener, "scoring and learning", dynamic=True)
    figures = _plain(parts.task.measure(outputs, store.known_targets, seed=seed))
    return found | {f"dynamic_{name}": figure for name, figure in figures.items()}


def _baselines(
    checkpoint: Checkpoint, task: Task, examples: Sequence[Example], full: Store, seed: int, listener: Listener
) -> dict[str, Figures]:
    """Return the figures that training has left in the checkpoint, else those of these texts."""
    known: dict[str, Figures] | None = checkpoint.metrics.get(dataset_hash(examples))
    if known is not None and all(task.PRIMARY in figures for figures in known.values()):
        return known
    listener(Progress("scoring the baselines"))
    arrays = checkpoint.arrays("baseline")
    return baseline_figures(checkpoint.task, arrays, full, seed=seed) if arrays else {}  # without class weights


def below(task: Task, metrics: Figures, baselines: dict[str, Figures]) -> tuple[str, ...]:
    """Return the baselines whose primary figure is better than the model's."""
    sign = -1 if hooks(TaskHooks, task).LOWER_IS_BETTER else 1
    return tuple(
        name
        for name, figures in baselines.items()
        if sign * metrics[task.PRIMARY]["value"] < sign * figures[task.PRIMARY]["value"]
    )


def _predictions(engine: Engine, examples: Sequence[Example], outputs: Array) -> Iterator[dict[str, Any]]:
    described = engine.task.describe(outputs, engine.vocabulary.labels, engine.checkpoint.temperature)
    for example, answer in zip(examples, described, strict=True):
        target = sorted(example.target) if isinstance(example.target, LabelSet) else example.target
        yield {"text": example.text, "target": target} | answer


def write(report: Report, target: Path) -> None:
    """Write report.json, and predictions.jsonl with every text, its label and the model's answer.

    Raises:
        RuntimeSetupError: The folder cannot be written.
    """
    write_plain(report.plain(), target)
    with atomic.whole(target / PREDICTIONS) as file:
        for prediction in report.predictions():
            file.write(json.dumps(prediction, ensure_ascii=False).encode() + b"\n")


def write_plain(report: dict[str, Any], target: Path) -> None:
    """Write report.json alone. Raises RuntimeSetupError if the folder cannot be written."""
    atomic.claim_file(target / "report.json")
    with atomic.whole(target / "report.json") as file:
        file.write(json.dumps(report, indent=2).encode())


def baseline_figures(task: Task, fitted: dict[str, Array], store: Store, *, seed: int = 0) -> dict[str, Figures]:
    """Compute the metrics of each baseline on the texts, which are not truncated. seed: of the resamples."""
    parts = [store] if store.per_token else store.pieces()
    found = [task.baseline_probabilities(fitted, part.codes, part.offsets) for part in parts]
    probabilities = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
    return {name: _plain(task.measure(table, store.known_targets, seed=seed)) for name, table in probabilities.items()}


def _plain(metrics: dict[str, Any]) -> Figures:
    return {name: asdict(measure) for name, measure in metrics.items()}
