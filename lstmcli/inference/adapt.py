"""Adapt a trained model to a new domain with a few labelled texts per class."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmcli.data.batches import batching, label_names, sampling
from lstmcli.data.batches.check import FEW, listed
from lstmcli.data.batches.encoded import check_kind, encode, text_hashes
from lstmcli.errors import ConfigError, DataError
from lstmcli.events import Listener, Noted, silent
from lstmcli.inference import assemble, support_baselines
from lstmcli.inference.assemble import Parts
from lstmcli.inference.episodes import check_finite
from lstmcli.inference.evaluate import Figures, tell_learned, tell_unknown
from lstmcli.inference.step_count import as_tasks, best_steps
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.types import Example


@dataclass(frozen=True)
class AdaptOptions:
    """seed: decides which are drawn; choose: find the number of steps by leaving texts out, else the learner's own;
    free: the learner was not asked for by name."""

    shots: int
    seed: int
    choose: bool
    free: bool


@dataclass(frozen=True)
class Adaptation:
    """What ``adapt`` says. before, after: figures on the examples that were not learned from; baselines: on as many as
    ``support_baselines.SCORED`` of them; old: on the data that the model was trained on, where it is available; below:
    baselines that the model does not reach."""

    support: dict[str, int]
    labels: tuple[str, ...]
    query: int
    before: Figures
    after: Figures
    baselines: dict[str, Figures]
    old: dict[str, Figures]
    steps: int
    seconds: float
    checkpoint: str
    below: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """The adaptation as JSON has it."""
        return {name: value for name, value in asdict(self).items() if name != "below"}


def run(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    wanted: AdaptOptions,
    *,
    old: Sequence[Example],
    out: Path,
    listener: Listener = silent,
) -> Adaptation:
    """Learn from a few examples per class, score the rest before and after, and write the adapted checkpoint.

    old: examples of the data that the model was trained on, to see what was forgotten.

    Raises:
        ConfigError: a tagger does not know a type of entity, or the learner is not one for it.
        DataError: fewer than two classes, or no entity; or the data is of another kind than the model's.
    """
    _check(checkpoint, examples)
    support, query, drawn = _draw(examples, wanted, listener)
    left = [] if query else ["no examples are left to score: give more, or fewer --shots"]
    for remark in [*_few(drawn, wanted.shots), *left]:
        listener(Noted(remark))
    parts, temperature = _prepare(checkpoint, drawn, support, query, listener, free=wanted.free)
    before = _figures(parts, query, temperature, listener, new=True)
    known = _known(old, support, parts.vocabulary.classes)
    remembered = _figures(parts, known, temperature, listener)

    begun = time.perf_counter()
    parts, steps = _learned(checkpoint, parts, support, wanted, listener)
    seconds = time.perf_counter() - begun
    checkpoints.save(_adapted(checkpoint, parts, temperature, support, drawn, wanted.shots), out)
    after = _figures(parts, query, temperature, listener)
    kept = _figures(parts, known, temperature, listener)
    beside = support_baselines.figures(parts, support, query, wanted.seed, listener=listener)
    primary = parts.task.PRIMARY
    return Adaptation(
        support=dict(sorted(drawn.items())),
        labels=parts.vocabulary.labels,
        query=len(query),
        before=before,
        after=after,
        baselines=beside,
        old={"before": remembered, "after": kept} if known else {},
        steps=steps,
        seconds=seconds,
        checkpoint=str(out),
        below=tuple(name for name, figures in beside.items() if after[primary]["value"] < figures[primary]["value"]),
    )


def adapted(
    checkpoint: Checkpoint, examples: Sequence[Example], wanted: AdaptOptions, *, listener: Listener = silent
) -> Checkpoint:
    """Learn from all the examples that are drawn, score none, and write nothing. Raises as ``run``."""
    _check(checkpoint, examples)
    support, _, drawn = _draw(examples, wanted, listener)
    parts, temperature = _prepare(checkpoint, drawn, support, (), listener, free=wanted.free)
    parts, _ = _learned(checkpoint, parts, support, wanted, listener)
    return _adapted(checkpoint, parts, temperature, support, drawn, wanted.shots)


def _check(checkpoint: Checkpoint, examples: Sequence[Example]) -> None:
    """Raise ConfigError or DataError where the model cannot be adapted to such examples."""
    check_kind(checkpoint.vocabulary, examples)
    if checkpoint.vocabulary.is_stream:
        fix = "go on training with texts of yours: lstmcli train lm --data TEXTS --set model.init=MODEL.pt"
        raise ConfigError("a language model has no labels to adapt to", where="adapt", fix=fix)


def _adapted(
    checkpoint: Checkpoint,
    parts: Parts,
    temperature: float,
    support: Sequence[Example],
    drawn: Counter[str],
    shots: int,
) -> Checkpoint:
    """Return the checkpoint with the adapted parts. drawn: texts per class of the support."""
    progress = {"adapted_from": checkpoint.progress, "shots": shots, "support": dict(drawn)}
    tensors = _tensors(parts) | grouped("learned", {"texts": _learned_texts(checkpoint, support)})
    config = checkpoint.config.model_copy(update={"model": parts.config.model})
    changed = replace(checkpoint, config=config, vocabulary=parts.vocabulary, tensors=tensors, progress=progress)
    return replace(changed, temperature=temperature, metrics={})  # figures of the old data's baselines do not belong


def _tensors(parts: Parts) -> dict[str, Tensor]:
    """What is kept of the parts; the old data's baselines do not belong to them."""
    memory = {name: value[0] for name, value in parts.memory.items()}
    learned = {"model": parts.model.state_dict(), "learner": parts.learner.state_dict(), "memory": memory}
    return {name: value for group, tensors in learned.items() for name, value in grouped(group, tensors).items()}


def _known(old: Sequence[Example], support: Sequence[Example], classes: Sequence[str]) -> list[Example]:
    """Of the old examples those of the classes, without what is learned now."""
    learned = {(str(example.text), str(example.target)) for example in support}
    return [
        example
        for example in old
        if set(sampling.labels(example)) <= set(classes) and (str(example.text), str(example.target)) not in learned
    ]


def _learned_texts(checkpoint: Checkpoint, support: Sequence[Example]) -> Tensor:
    """By what the texts are known again that the model has learned from, before and now."""
    before = checkpoint.group("learned").get("texts", torch.empty(0, dtype=torch.int64))
    return torch.from_numpy(np.union1d(before.numpy(), text_hashes(support)))


def _draw(
    examples: Sequence[Example], wanted: AdaptOptions, listener: Listener
) -> tuple[list[Example], list[Example], Counter[str]]:
    """What to learn from, what to be scored on, and how many of each class were drawn."""
    support, query = sampling.per_class(examples, wanted.shots, seed=wanted.seed)
    drawn = Counter(chain.from_iterable(set(sampling.labels(example)) for example in support))
    repeated = len(examples) - len(support) - len(query)
    if repeated:
        listener(Noted(f"{repeated} texts that repeat one learned from are left out of the scoring"))
    if not drawn:
        fix = "give sentences with at least one tag other than O"
        raise DataError("no entities to learn", where=examples[0].where, fix=fix)
    if len(drawn) < 2 and not isinstance(examples[0].text, tuple):
        fix = "give examples of at least two labels"
        raise DataError(f"only one class: {', '.join(drawn)}", where=examples[0].where, fix=fix)
    counts = Counter(chain.from_iterable(map(sampling.labels, examples)))
    for remark in label_names.remarks(counts, mapped=False):
        listener(Noted(remark))
    return support, query, drawn


def _few(drawn: Counter[str], shots: int) -> list[str]:
    """Classes of fewer texts than were asked for: each, or all in one line where they are many."""
    few = {label: count for label, count in sorted(drawn.items()) if count < shots}
    asked = f"different texts, {shots} were asked for; all are learned from"
    if len(few) <= FEW:
        return [f"class '{label}' has only {count} {asked}" for label, count in few.items()]
    label = min(few, key=few.__getitem__)
    return [f"{len(few):,} of {len(drawn):,} classes have fewer {asked}; the smallest '{label}' with {few[label]}"]


def _prepare(
    checkpoint: Checkpoint,
    drawn: Counter[str],
    support: Sequence[Example],
    query: Sequence[Example],
    listener: Listener,
    *,
    free: bool,
) -> tuple[Parts, float]:
    """The checkpoint's parts, of the labels that were drawn with the support, and the temperature of what they say.

    free: a learner may be chosen.
    """
    tell_learned(checkpoint, query, listener)
    if not checkpoint.headed:
        listener(Noted("before: by chance, since the model makes its head of the texts and had none yet"))
    where = runtime.prepare(checkpoint.config)
    headed = assemble.with_new_labels(checkpoint, sorted(drawn), support, free=free, listener=listener)
    parts = assemble.restored(headed, where)
    if parts.learner.whole_texts and parts.vocabulary.pretokenized:
        fix = "choose another: --learner finetune"
        raise ConfigError("the learner is one of whole texts", where=f"model: {checkpoint.config.model.name}", fix=fix)
    if parts.vocabulary.labels != checkpoint.vocabulary.labels:
        listener(Noted(f"labels are now: {listed(parts.vocabulary.labels)}"))
        if checkpoint.config.episodes is None:
            return parts, 1.0  # the checkpoint's is of a head that is no more
    return parts, checkpoint.temperature


def _figures(
    parts: Parts, examples: Sequence[Example], temperature: float, listener: Listener, *, new: bool = False
) -> Figures:
    """new: the texts were not read before, and their unknown words are remarked on."""
    if not examples:
        return {}
    full = encode(parts.vocabulary, examples, cache=assemble.cache_of(parts.config), listener=listener)
    if new:
        tell_unknown(full, listener)
    store = full.truncated(parts.config.tokens)
    logits = assemble.outputs(parts, store, listener=listener)
    measured = parts.task.measure(parts.task.probabilities(logits, temperature), store.known_targets)
    return {name: asdict(measure) for name, measure in measured.items()}


def _learned(
    checkpoint: Checkpoint, parts: Parts, support: Sequence[Example], wanted: AdaptOptions, listener: Listener
) -> tuple[Parts, int]:
    """Return the parts adapted to the support, and after how many steps."""
    new_labels = (
        parts.vocabulary.labels != checkpoint.vocabulary.labels
    )  # the head has labels that it knows nothing of yet
    full = encode(parts.vocabulary, support, cache=None, listener=listener)
    batch = batching.collate(full.truncated(parts.config.tokens), np.arange(len(support))).to(parts.runtime.device)
    choose = wanted.choose and hasattr(parts.config.learner, "steps")
    with torch.no_grad():
        blank = new_labels and getattr(parts.config.learner, "head_init", "model") == "model"
        steps = best_steps(parts, batch, least=int(blank)) if choose else None
        path = parts.learner.trajectory(parts.model, as_tasks(batch, [list(range(len(support)))]), parts.task.loss)
        taken, stacked = deque(enumerate(islice(path, None if steps is None else steps + 1)), maxlen=1).pop()
    if choose and steps is None:
        listener(
            Noted("a class has but one text: what number of steps helps cannot be tried, the learner's own is taken")
        )
    if steps == 0:
        own = parts.model.state_dict()
        same = not new_labels and all(
            torch.equal(value[0], own[name]) for name, value in stacked.items() if name in own
        )
        left = "the model stays as it was" if same else "the head is the one that the learner begins with"
        listener(Noted(f"no step made texts left out of the learning more likely: {left}"))
    check_finite(stacked.values())
    return assemble.settled(parts, stacked), taken
