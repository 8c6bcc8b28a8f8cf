"""Evaluate the adaptation of a checkpoint over many few-shot tasks: metrics with intervals, beside baselines.
The class priors that a score assumes are described in ``priors``.
"""

import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lstmcli.config import Finetune
from lstmcli.contracts import HEAD
from lstmcli.data.batches import episodes
from lstmcli.data.batches.encoded import Store, encode
from lstmcli.data.batches.encoded import labels_of as labels_in
from lstmcli.data.batches.episodes import Draw
from lstmcli.errors import counted
from lstmcli.events import Listener, Noted, Progress, silent
from lstmcli.inference import assemble, heads, label_texts, priors
from lstmcli.inference.episodes import check_finite, check_task, labels_of, outputs
from lstmcli.inference.evaluate import Array, note_learned, note_unknown
from lstmcli.inference.few_shot_report import MODEL, FewShot, FewShotOptions, Measured, report
from lstmcli.machine import runtime
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.types import Example

ProbabilityTables = dict[str, list[Array]]  # by model or baseline: for each episode ``[text, label]``
TOGETHER = 8  # episodes adapted in one batch
EPISODES = 100
OFTEN = 3  # if texts are scored more often than this on average, intervals over tasks are too narrow for new texts


def run(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    support: Sequence[Example],
    options: FewShotOptions,
    path: Path,
    *,
    listener: Listener = silent,
) -> FewShot:
    """Adapt the checkpoint to many few-shot tasks, and score the query of each. Raises as ``measured``.

    support: fixed supports of the data's tasks, if there are any; each task is then scored once, on all its examples.
    """
    found = measured(checkpoint, examples, support, options, listener=listener)
    return report(checkpoint, found, options, path)


def measured(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    support: Sequence[Example],
    options: FewShotOptions,
    *,
    alone: bool = False,
    listener: Listener = silent,
) -> Measured:
    """Compute the figures of each episode, of the model and, unless ``alone``, of the baselines.

    Raises ConfigError if the model does not label whole texts or the learner's steps diverge, DataError if no domain
    has enough texts.
    """
    check_task(checkpoint.config)
    config = checkpoint.config.model_copy(update={"episodes": options.shape})
    draws_classes = options.shape.ways is not None
    labels = labels_of(config, examples) if draws_classes else checkpoint.vocabulary.labels
    names = label_texts.examples(labels_in(examples)) if draws_classes else []
    texts = [*examples, *names]
    headed = heads.with_new_labels(checkpoint, labels, texts, alone=draws_classes, free=options.free, listener=listener)
    parts = assemble.restored(headed, runtime.prepare(checkpoint.config))
    tasks = _drawn(support, examples, options, parts.vocabulary.labels, listener)
    names = names if label_texts.counts(parts) else []  # else they would change the baselines' word weights
    together = [*support, *examples, *names]
    drawn = label_texts.with_names(parts, together, tasks, names=len(names), listener=listener)
    note_learned(checkpoint, examples, listener)
    _note_tasks(drawn, listener)
    cache = assemble.cache_of(checkpoint.config)
    full = encode(parts.vocabulary, together, cache=cache, labelled=not draws_classes, listener=listener)
    note_unknown(full, listener)
    if "shares" not in checkpoint.progress and not draws_classes:
        listener(Noted("the checkpoint has no class priors: uniform ones are assumed"))
    begun = time.perf_counter()
    calibrated = replace(checkpoint, temperature=headed.temperature)
    probabilities = _of_the_model(parts, full, drawn, options, calibrated, listener, alone=alone)
    seconds = time.perf_counter() - begun
    if not alone:
        probabilities |= _of_baselines(parts, checkpoint, full, together, drawn, options, listener)
    task = parts.text_task
    figures = {name: [task.episode_figures(each, draw.query_targets) for each, draw in zip(tables, drawn, strict=True)]
               for name, tables in probabilities.items()}  # fmt: skip
    return Measured(task, figures, tasks, getattr(parts.config.learner, "steps", None), seconds)


def _drawn(
    support: Sequence[Example],
    examples: Sequence[Example],
    options: FewShotOptions,
    labels: Sequence[str],
    listener: Listener,
) -> list[Draw]:
    """Draw the episodes, as indices into the supports followed by the examples."""
    pools = episodes.pools(examples)
    fixed = {pool.domain: pool for pool in episodes.pools(support)} if options.shape.ways is None else {}
    if not any(pool.domain in fixed for pool in pools):
        shape = episodes.with_queries(pools, options.shape, labels)
        found = episodes.usable(pools, shape, labels)
        drawn = episodes.draws(found, shape, count=options.episodes or EPISODES, seed=(options.seed,))
        return [episodes.behind(draw, len(support)) for draw in drawn]
    episodes.check_apart(support, examples, options.split)
    tasks = [
        episodes.with_support(pool, fixed[pool.domain], options.shape.shots, offset=len(support), labels=labels)
        for pool in pools
        if pool.domain in fixed
    ]
    if (most := episodes.shots(tasks)) < options.shape.shots:
        wanted = f"--shots {options.shape.shots}"
        listener(Noted(f"the data's own supports have {counted(most, 'text')} per class, fewer than {wanted}"))
    if options.episodes is not None:
        listener(
            Noted(f"each of the data's {len(tasks)} tasks has a support of its own and is scored once: no --episodes")
        )
    return tasks


def _note_tasks(drawn: Sequence[Draw], listener: Listener) -> None:
    """Remark on intervals over tasks that are uninformative or too narrow."""
    scored = np.concatenate([draw.query for draw in drawn])
    if len(drawn) == 1:
        listener(Noted("only one task: its intervals span all possible values"))
    if len(scored) > OFTEN * (texts := len(np.unique(scored))):
        listener(Noted(f"the tasks share {counted(texts, 'text')}: intervals hold for other tasks of these texts"))


def _of_the_model(
    parts: assemble.Parts,
    full: Store,
    drawn: Sequence[Draw],
    options: FewShotOptions,
    checkpoint: Checkpoint,
    listener: Listener,
    *,
    alone: bool,
) -> ProbabilityTables:
    """Compute the model's probabilities after adaptation; unless ``alone``, also before it and after fine-tuning."""
    store = full.truncated(parts.config.tokens)
    learners, draws_classes, known = {MODEL: parts}, options.shape.ways is not None, len(checkpoint.vocabulary)
    if parts.config.learner.meta_trained and not alone:
        learners["finetune"] = _fine_tuning(parts, draws_classes=draws_classes)
    trained = checkpoint.config.episodes
    balanced = draws_classes or (trained is not None and trained.query == "balanced")  # numbered classes have no priors
    training_prior = "uniform" if balanced else "source"
    prior_of = {"before": training_prior}
    for name, adapting in learners.items():
        prior_of[name] = "support" if adapting.learner.uses_support_prior else training_prior
    logits = {}
    for name, adapting in learners.items():
        logits[name] = outputs(adapting, store, drawn, TOGETHER, f"adapting ({name})", known=known, listener=listener)
        check_finite(map(torch.from_numpy, logits[name]))
    if not draws_classes and checkpoint.headed and not alone:
        indices = np.concatenate([draw.query for draw in drawn])
        before = assemble.outputs(parts, store.part(indices), "scoring before adaptation", listener=listener)
        logits["before"] = np.split(before, np.cumsum([len(draw.query) for draw in drawn])[:-1])
    probabilities: ProbabilityTables = {}
    for name, by_episode in logits.items():
        shifts = priors.shifts(checkpoint, drawn, options.prior, prior_of[name])
        probabilities[name] = [
            priors.shifted(parts.task.probabilities(each, checkpoint.temperature), shift)
            for each, shift in zip(by_episode, shifts, strict=True)
        ]
    return probabilities


def _fine_tuning(parts: assemble.Parts, *, draws_classes: bool) -> assemble.Parts:
    """Return the parts with the fine-tuning learner; a head for drawn classes starts at zero."""
    model = copy.deepcopy(parts.model)
    if draws_classes:
        for value in model.get_submodule(HEAD).parameters():
            value.data.zero_()
    return assemble.adapting(parts, model, Finetune())


def _majority(draw: Draw, known: dict[str, dict[str, float]]) -> Array:
    """Return the class priors of the training data for each query text, ``[text, label]``."""
    return np.tile(np.exp(priors.log_probabilities(draw, known, "source")), (len(draw.query), 1))


def _of_baselines(
    parts: assemble.Parts, checkpoint: Checkpoint, full: Store, texts: Sequence[Example], drawn: Sequence[Draw],
    options: FewShotOptions, listener: Listener,
) -> ProbabilityTables:  # fmt: skip
    known = checkpoint.progress.get("shares", {})
    probabilities: ProbabilityTables = {"majority": [_majority(draw, known) for draw in drawn]}
    fitted = {name: value.numpy() for name, value in checkpoint.group("baseline").items()}
    if options.shape.ways is None and "terms" in fitted:
        listener(Progress("scoring the linear baseline"))
        shifts = priors.shifts(checkpoint, drawn, options.prior, "source")
        tables = [priors.of_linear(parts.task, fitted, full.part(draw.query)) for draw in drawn]
        probabilities["linear"] = [priors.shifted(table, shift) for table, shift in zip(tables, shifts, strict=True)]
    listener(Progress("counting words for the baselines"))
    features = parts.text_task.text_features([str(example.text) for example in texts])
    shifts = priors.shifts(checkpoint, drawn, options.prior, "support")
    for number, (draw, shift) in enumerate(zip(drawn, shifts, strict=True)):
        episode = features[draw.support], draw.support_targets, features[draw.query]
        by_baseline = parts.text_task.support_probabilities(*episode, labels=len(draw.labels))
        for name, table in by_baseline.items():
            probabilities.setdefault(name, []).append(priors.shifted(table, shift))
        listener(Progress("scoring the baselines", number + 1, len(drawn)))
    return probabilities
