"""Adapt a trained model to a new domain with a few labelled texts per class."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmcli.config import Anchored
from lstmcli.contracts import TaskHooks, hooks
from lstmcli.data.batches import sampling
from lstmcli.data.batches.check import listed
from lstmcli.data.batches.encoded import check_kind, encode, text_hashes
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, Noted, silent
from lstmcli.inference import assemble, frozen, heads, label_texts, support_baselines
from lstmcli.inference import support as supports
from lstmcli.inference.assemble import Parts
from lstmcli.inference.episodes import check_finite
from lstmcli.inference.evaluate import Figures, below, note_learned, note_unknown
from lstmcli.inference.step_count import as_tasks, best_steps, best_temperature
from lstmcli.inference.support import Support
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.types import Example

CLOSED_FORM = ("ridge", "prototypical")  # learners that compute the whole head from the support
NONE_LEFT = "no examples are left to score: give more, or fewer --shots"
NOT_IN_JSON = ("data", "below")  # fields of a report


@dataclass(frozen=True)
class AdaptOptions:
    """Options of ``adapt``."""

    shots: int  # texts per class
    seed: int  # of the draw
    choose: bool  # the number of steps by cross-validation; False: the learner's
    free: bool  # another learner may be chosen: the user named none
    saved: Mapping[str, object] = field(
        default_factory=dict
    )  # fields of the recipe that the written file has otherwise


@dataclass(frozen=True)
class Adaptation:
    """The report of ``adapt``."""

    data: str
    support: dict[str, int]  # texts per class learned from
    labels: tuple[str, ...]
    query: int  # texts scored, those not learned from
    before: Figures
    after: Figures
    baselines: dict[str, Figures]  # on at most ``support_baselines.SCORED`` of the query
    old: dict[str, Figures]  # before and after, on the data that the model was trained on; empty if not available
    steps: int
    seconds: float
    checkpoint: str
    below: tuple[str, ...]  # baselines that the model does not reach

    def plain(self) -> dict[str, Any]:
        """Return the report as a dictionary for JSON."""
        return {name: value for name, value in asdict(self).items() if name not in NOT_IN_JSON}


def run(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    options: AdaptOptions,
    *,
    data: str,
    old: Sequence[Example],
    out: Path,
    listener: Listener = silent,
) -> Adaptation:
    """Learn from a few examples per class, score the rest before and after, and write the adapted checkpoint.

    data: a name for the report; old: examples of the data that the model was trained on, to measure forgetting.

    Raises:
        ConfigError: A tagger does not know a type of entity, or the learner cannot adapt it.
        DataError: Fewer than two classes, or no entity; or the data is of another kind than the model's.
    """
    _check(checkpoint, examples)
    support = supports.draw(examples, options.shots, seed=options.seed, listener=listener)
    query = support.others
    for remark in [*supports.few(support.counts, options.shots), *([] if query else [NONE_LEFT])]:
        listener(Noted(remark))
    parts, temperature = _prepare(checkpoint, support, listener, free=options.free)
    before = _figures(parts, query, temperature, listener, new=True)
    known = _known(old, support.examples, parts.vocabulary.classes)
    remembered = _figures(parts, known, temperature, listener)

    begun = time.perf_counter()
    learned = _to_learn(checkpoint, parts, support, listener)
    parts, steps, temperature = _learned(checkpoint, parts, temperature, learned, options, listener)
    seconds = time.perf_counter() - begun
    checkpoints.save(_adapted(checkpoint, parts, temperature, support, options), out)
    after = _figures(parts, query, temperature, listener)
    kept = _figures(parts, known, temperature, listener)
    baselines = support_baselines.figures(parts, learned, query, options.seed, listener=listener)
    return Adaptation(
        data=data,
        support=dict(sorted(support.counts.items())),
        labels=parts.vocabulary.labels,
        query=len(query),
        before=before,
        after=after,
        baselines=baselines,
        old={"before": remembered, "after": kept} if known else {},
        steps=steps,
        seconds=seconds,
        checkpoint=str(out),
        below=below(parts.task, after, baselines),
    )


def adapted(
    checkpoint: Checkpoint, examples: Sequence[Example], options: AdaptOptions, *, listener: Listener = silent
) -> Checkpoint:
    """Adapt the checkpoint without scoring, and write nothing. Raises as ``run``."""
    _check(checkpoint, examples)
    support = supports.draw(examples, options.shots, seed=options.seed, listener=listener)
    parts, temperature = _prepare(checkpoint, support, listener, free=options.free)
    learned = _to_learn(checkpoint, parts, support, listener)
    parts, _, temperature = _learned(checkpoint, parts, temperature, learned, options, listener)
    return _adapted(checkpoint, parts, temperature, support, options)


def _check(checkpoint: Checkpoint, examples: Sequence[Example]) -> None:
    """Raise ConfigError or DataError where the model cannot be adapted to such examples."""
    check_kind(checkpoint.vocabulary, examples)
    if checkpoint.task.READS == "stream":
        fix = "go on training with texts of yours: lstmcli train lm --data TEXTS --set model.init=MODEL.pt"
        raise ConfigError("a language model has no labels to adapt to", where="adapt", fix=fix)


def _adapted(
    checkpoint: Checkpoint, parts: Parts, temperature: float, support: Support, options: AdaptOptions
) -> Checkpoint:
    """Return the checkpoint with the adapted parts."""
    progress = {"adapted_from": checkpoint.progress, "shots": options.shots, "support": dict(support.counts)}
    tensors = _tensors(parts) | grouped("learned", {"texts": _learned_texts(checkpoint, support.examples)})
    config = checkpoint.config.model_copy(update={"model": parts.config.model, **options.saved})
    changed = replace(checkpoint, config=config, vocabulary=parts.vocabulary, tensors=tensors, progress=progress)
    # Without the figures of the old data's baselines, and without a threshold that was chosen for the old data.
    return replace(changed, temperature=temperature, min_confidence=0.0, metrics={})


def _tensors(parts: Parts) -> dict[str, Tensor]:
    """Return the tensors of the adapted checkpoint; the old data's baselines are not among them."""
    memory = {name: value[0] for name, value in parts.memory.items()}
    learned = {"model": parts.model.state_dict(), "learner": parts.learner.state_dict(), "memory": memory}
    return {name: value for group, tensors in learned.items() for name, value in grouped(group, tensors).items()}


def _known(old: Sequence[Example], support: Sequence[Example], classes: Sequence[str]) -> list[Example]:
    """Select the old examples of these classes that are not in the support."""
    learned = {(str(example.text), str(example.target)) for example in support}
    return [
        example
        for example in old
        if set(sampling.labels(example)) <= set(classes) and (str(example.text), str(example.target)) not in learned
    ]


def _learned_texts(checkpoint: Checkpoint, support: Sequence[Example]) -> Tensor:
    """Return the hashes of all texts that the model was trained on, before and now."""
    before = checkpoint.group("learned").get("texts", torch.empty(0, dtype=torch.int64))
    return torch.from_numpy(np.union1d(before.numpy(), text_hashes(support)))


def _prepare(checkpoint: Checkpoint, support: Support, listener: Listener, *, free: bool) -> tuple[Parts, float]:
    """Assemble the parts with a head for the labels of the support, and return them with their temperature.

    free: another learner may be chosen.
    """
    note_learned(checkpoint, support.others, listener)
    if not checkpoint.headed:
        listener(Noted("before: by chance, since the learner computes the head from the support"))
    where = runtime.prepare(checkpoint.config)
    labels = sorted(support.counts)
    texts = [*support.examples, *label_texts.examples(labels)]
    headed = heads.with_new_labels(checkpoint, labels, texts, free=free, listener=listener)
    learner = headed.config.learner
    if isinstance(learner, Anchored) and support.uneven:
        listener(Noted("the draw changed the class frequencies: the model's own class priors are kept"))
        config = headed.config.model_copy(update={"learner": learner.model_copy(update={"prior": "model"})})
        headed = replace(headed, config=config)
    parts = assemble.restored(headed, where)
    if parts.learner.whole_texts and parts.task.READS != "text":
        fix = "choose another: --learner finetune"
        raise ConfigError(
            "the learner needs a model that labels whole texts", where=f"model: {checkpoint.config.model.name}", fix=fix
        )
    if hooks(TaskHooks, parts.task).LABEL_SETS and not parts.learner.label_sets:
        what = f"the learner '{headed.config.learner.name}' is for texts with one label each"
        raise ConfigError(what, where="adapt", fix="--learner anchored")
    if parts.vocabulary.labels != checkpoint.vocabulary.labels:
        listener(Noted(f"labels are now: {listed(parts.vocabulary.labels)}"))
        if checkpoint.config.episodes is None:
            return parts, 1.0  # the checkpoint's temperature is of the old head
    return parts, headed.temperature


def _to_learn(checkpoint: Checkpoint, parts: Parts, support: Support, listener: Listener) -> Sequence[Example]:
    """Return the texts of the support, and the names of new labels if they count as texts."""
    names = label_texts.examples(parts.vocabulary.labels)
    new_labels = parts.vocabulary.labels != checkpoint.vocabulary.labels
    if not new_labels or not label_texts.counted(parts, names, support.examples):
        return support.examples
    listener(Noted(label_texts.REMARK))
    return [*support.examples, *names]


def _figures(
    parts: Parts, examples: Sequence[Example], temperature: float, listener: Listener, *, new: bool = False
) -> Figures:
    """Score the examples. new: remark on their unknown words."""
    if not examples:
        return {}
    full = encode(parts.vocabulary, examples, cache=assemble.cache_of(parts.config), listener=listener)
    if new:
        note_unknown(full, listener)
    store = full.truncated(parts.config.tokens)
    logits = assemble.outputs(parts, store, listener=listener)
    measured = parts.task.measure(parts.task.probabilities(logits, temperature), store.known_targets)
    return {name: asdict(measure) for name, measure in measured.items()}


def _learned(
    checkpoint: Checkpoint,
    parts: Parts,
    temperature: float,
    examples: Sequence[Example],
    options: AdaptOptions,
    listener: Listener,
) -> tuple[Parts, int, float]:
    """Adapt the parts to the examples, and return them with the number of steps and the temperature after them."""
    new_labels = parts.vocabulary.labels != checkpoint.vocabulary.labels  # their rows of the head are untrained
    full = encode(parts.vocabulary, examples, cache=None, listener=listener)
    reading, batch = frozen.support_of(parts, full.truncated(parts.config.tokens), listener=listener)
    choose = options.choose and hasattr(parts.config.learner, "steps")
    with torch.no_grad():
        untrained = new_labels and getattr(parts.config.learner, "head_init", "model") == "model"
        steps = best_steps(reading, batch, least=int(untrained)) if choose else None
        tasks = as_tasks(batch, [list(range(len(examples)))])
        path = reading.learner.trajectory(reading.model, tasks, parts.task.loss)
        taken, stacked = deque(enumerate(islice(path, None if steps is None else steps + 1)), maxlen=1).pop()
        if parts.config.learner.name in CLOSED_FORM and new_labels and checkpoint.config.episodes is None:
            temperature = best_temperature(reading, batch) or temperature
    if choose and steps is None:
        listener(Noted("a class has only one text: no cross-validation, the learner's number of steps is used"))
    _note_unchanged(parts, stacked, steps, new_labels=new_labels, listener=listener)
    check_finite(stacked.values())
    return assemble.settled(parts, stacked), taken, temperature


def _note_unchanged(
    parts: Parts, stacked: dict[str, Tensor], steps: int | None, *, new_labels: bool, listener: Listener
) -> None:
    """Remark on an adaptation that leaves the model as it is. stacked: the adapted weights, ``[1, ...]`` each."""
    state = parts.model.state_dict()
    same = not new_labels and all(
        torch.equal(value[0], state[name]) for name, value in stacked.items() if name in state
    )
    if steps == 0:
        result = "the model is unchanged" if same else "the head is the learner's initial one"
        listener(Noted(f"no step lowered the cross-validation loss: {result}"))
    elif same and isinstance(parts.config.learner, Anchored):
        listener(Noted("texts left out of the fit do not support a change of the head: the model is unchanged"))
