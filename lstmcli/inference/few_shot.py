"""How well a checkpoint adapts, over many small tasks: figures with intervals, and baselines beside every score.

What a score assumes of the shares of the classes: see ``priors``.
"""

import copy
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmcli.config import Episodes, Finetune
from lstmcli.contracts import HEAD, TextTask
from lstmcli.data.batches import episodes
from lstmcli.data.batches.encoded import Store, encode
from lstmcli.data.batches.episodes import Draw
from lstmcli.events import Listener, Noted, Progress, silent
from lstmcli.inference import assemble, priors
from lstmcli.inference.episodes import check_finite, check_task, labels_of, outputs
from lstmcli.inference.evaluate import Array, Figures, tell_learned, tell_unknown
from lstmcli.machine import runtime
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.types import Example

ProbabilityTables = dict[str, list[Array]]  # by who says so: an episode each, ``[text, label]``
MODEL = "model"  # after adaptation
PAIRED: tuple[str, ...] = ("before", "finetune")  # what adaptation must help over
TOGETHER = 8  # episodes adapted side by side
EPISODES = 100
AGAIN = 3  # times that a text is scored, from which on an interval over tasks is not one over texts


@dataclass(frozen=True)
class FewShotOptions:
    """What is to be measured. episodes: how many, where supports are not fixed, none: ``EPISODES``; prior: support,
    uniform or source; free: the learner was not asked for by name."""

    data: str
    split: str
    shape: Episodes
    episodes: int | None
    prior: str
    seed: int
    free: bool = False


@dataclass(frozen=True)
class FewShot:
    """What ``evaluate --shots`` says. gains: of the model over a baseline, paired over episodes."""

    task: str
    data: str
    split: str
    examples: int
    ways: int
    shots: int
    steps: int | None
    episodes: int
    prior: str
    metrics: Figures
    baselines: dict[str, Figures]
    gains: dict[str, Figures]
    tasks: list[dict[str, Any]]
    seconds: float
    checkpoint: str
    below: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "below"}


@dataclass(frozen=True)
class Measured:
    """Figures by who says so, of each episode; steps: of the learner; seconds: of the model's adapting and scoring."""

    task: TextTask
    figures: dict[str, list[dict[str, float]]]
    drawn: list[Draw]
    steps: int | None
    seconds: float


def run(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    support: Sequence[Example],
    asked: FewShotOptions,
    path: Path,
    *,
    listener: Listener = silent,
) -> FewShot:
    """Adapt the checkpoint to many small tasks and score the rest of each; raises as ``measured``.

    support: the fixed supports of the data's tasks, if it has such; then each is scored once, on all its examples.
    """
    found = measured(checkpoint, examples, support, asked, listener=listener)
    return _report(checkpoint, found, asked, path)


def measured(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    support: Sequence[Example],
    asked: FewShotOptions,
    *,
    alone: bool = False,
    listener: Listener = silent,
) -> Measured:
    """What each episode comes to, of the model and, unless it is ``alone``, of what it must be read beside.

    Raises:
        ConfigError: the model does not label whole texts, or its steps lead nowhere.
        DataError: no domain has the texts that were asked for.
    """
    check_task(checkpoint.config)
    config = checkpoint.config.model_copy(update={"episodes": asked.shape})
    draws_classes = asked.shape.ways is not None
    labels = labels_of(config, examples) if draws_classes else checkpoint.vocabulary.labels
    headed = assemble.with_new_labels(
        checkpoint, labels, examples, alone=draws_classes, free=asked.free, listener=listener
    )
    parts = assemble.restored(headed, runtime.prepare(checkpoint.config))
    together = [*support, *examples]
    drawn = _drawn(support, examples, asked, parts.vocabulary.labels, listener)
    tell_learned(checkpoint, examples, listener)
    _tell_tasks(drawn, listener)
    cache = assemble.cache_of(checkpoint.config)
    full = encode(parts.vocabulary, together, cache=cache, labelled=not draws_classes, listener=listener)
    tell_unknown(full, listener)
    if "shares" not in checkpoint.progress and not draws_classes:
        listener(Noted("the checkpoint does not say the shares of its classes: they are taken for equal"))
    begun = time.perf_counter()
    probabilities = _of_the_model(parts, full, drawn, asked, checkpoint, listener, alone=alone)
    seconds = time.perf_counter() - begun
    if not alone:
        probabilities |= _of_baselines(parts, checkpoint, full, together, drawn, asked, listener)
    task = parts.text_task
    figures = {who: [task.episode_figures(each, one.query_targets) for each, one in zip(said, drawn, strict=True)]
               for who, said in probabilities.items()}  # fmt: skip
    return Measured(task, figures, drawn, getattr(parts.config.learner, "steps", None), seconds)


def _drawn(
    support: Sequence[Example],
    examples: Sequence[Example],
    asked: FewShotOptions,
    labels: Sequence[str],
    listener: Listener,
) -> list[Draw]:
    """The episodes, by places in the supports and the examples that follow them."""
    pools = episodes.pools(examples)
    fixed = {pool.domain: pool for pool in episodes.pools(support)} if asked.shape.ways is None else {}
    if not any(pool.domain in fixed for pool in pools):
        shape = episodes.with_queries(pools, asked.shape, labels)
        found = episodes.usable(pools, shape, labels)
        drawn = episodes.draws(found, shape, count=asked.episodes or EPISODES, seed=(asked.seed,))
        return [episodes.behind(one, len(support)) for one in drawn]
    episodes.check_apart(support, examples, asked.split)
    its = [
        episodes.with_support(pool, fixed[pool.domain], asked.shape.shots, offset=len(support), labels=labels)
        for pool in pools
        if pool.domain in fixed
    ]
    if (most := episodes.shots(its)) < asked.shape.shots:
        listener(Noted(f"the data's own supports have {most} texts per class, {asked.shape.shots} were asked for"))
    if asked.episodes is not None:
        listener(
            Noted(f"each of the data's {len(its)} tasks has a support of its own and is scored once: no --episodes")
        )
    return its


def _tell_tasks(drawn: Sequence[Draw], listener: Listener) -> None:
    """Say where intervals over the tasks tell less than one may think."""
    scored = np.concatenate([one.query for one in drawn])
    if len(drawn) == 1:
        listener(Noted("one task alone: no interval can be told"))
    if len(scored) > AGAIN * (texts := len(np.unique(scored))):
        listener(Noted(f"the tasks share {texts:,} texts: intervals tell what other tasks of these would come to"))


def _of_the_model(
    parts: assemble.Parts,
    full: Store,
    drawn: Sequence[Draw],
    asked: FewShotOptions,
    checkpoint: Checkpoint,
    listener: Listener,
    *,
    alone: bool,
) -> ProbabilityTables:
    """What the model says after adaptation; unless ``alone`` what it would have said before, and after fine-tuning."""
    store = full.truncated(parts.config.tokens)
    learners, draws_classes, known = {MODEL: parts}, asked.shape.ways is not None, len(checkpoint.vocabulary)
    if parts.config.learner.name != "finetune" and not alone:
        learners["finetune"] = _fine_tuning(parts, draws_classes=draws_classes)
    trained = checkpoint.config.episodes
    balanced = draws_classes or (trained is not None and trained.query == "balanced")  # a class by number has no share
    trained_on = "uniform" if balanced else "source"
    own = {"before": trained_on}
    own |= {who: "support" if adapting.learner.uses_support_prior else trained_on for who, adapting in learners.items()}
    logits = {}
    for who, adapting in learners.items():
        logits[who] = outputs(adapting, store, drawn, TOGETHER, f"adapting ({who})", known=known, listener=listener)
        check_finite(map(torch.from_numpy, logits[who]))
    if not draws_classes and checkpoint.headed and not alone:
        places = np.concatenate([one.query for one in drawn])
        before = assemble.outputs(parts, store.part(places), "scoring before adaptation", listener=listener)
        logits["before"] = np.split(before, np.cumsum([len(one.query) for one in drawn])[:-1])
    probabilities: ProbabilityTables = {}
    for who, said in logits.items():
        shifts = priors.shifts(checkpoint, drawn, asked.prior, own[who])
        pairs = zip(said, shifts, strict=True)
        probabilities[who] = [
            priors.shifted(parts.task.probabilities(each, checkpoint.temperature), shift) for each, shift in pairs
        ]
    return probabilities


def _fine_tuning(parts: assemble.Parts, *, draws_classes: bool) -> assemble.Parts:
    """The same model with the learner that needs no meta-training; a head for new classes begins at zero."""
    model = copy.deepcopy(parts.model)
    if draws_classes:
        for value in model.get_submodule(HEAD).parameters():
            value.data.zero_()
    return assemble.adapting(parts, model, Finetune())


def _majority(one: Draw, known: dict[str, dict[str, float]]) -> Array:
    """The priors of the training data for each query, ``[text, label]``."""
    return np.tile(np.exp(priors.log_probabilities(one, known, "source")), (len(one.query), 1))


def _of_baselines(
    parts: assemble.Parts, checkpoint: Checkpoint, full: Store, texts: Sequence[Example], drawn: Sequence[Draw],
    asked: FewShotOptions, listener: Listener,
) -> ProbabilityTables:  # fmt: skip
    known = checkpoint.progress.get("shares", {})
    probabilities: ProbabilityTables = {"majority": [_majority(one, known) for one in drawn]}
    fitted = {name: value.numpy() for name, value in checkpoint.group("baseline").items()}
    if asked.shape.ways is None and "terms" in fitted:
        listener(Progress("scoring the linear baseline"))
        shifts = priors.shifts(checkpoint, drawn, asked.prior, "source")
        queries = [full.part(one.query) for one in drawn]
        said = [parts.task.baseline_probabilities(fitted, part.ids, part.offsets)["linear"] for part in queries]
        probabilities["linear"] = [priors.shifted(each, shift) for each, shift in zip(said, shifts, strict=True)]
    listener(Progress("counting words for the baselines"))
    features = parts.text_task.text_features([str(example.text) for example in texts])
    shifts = priors.shifts(checkpoint, drawn, asked.prior, "support")
    for number, (one, shift) in enumerate(zip(drawn, shifts, strict=True)):
        its = features[one.support], one.support_targets, features[one.query]
        by_baseline = parts.text_task.support_probabilities(*its, labels=len(one.labels))
        for who, each in by_baseline.items():
            probabilities.setdefault(who, []).append(priors.shifted(each, shift))
        listener(Progress("scoring the baselines", number + 1, len(drawn)))
    return probabilities


def _report(checkpoint: Checkpoint, found: Measured, asked: FewShotOptions, path: Path) -> FewShot:
    task, drawn, figures = found.task, found.drawn, dict(found.figures)

    def mean(each: Sequence[dict[str, float]], least: float = 0.0) -> Figures:
        means = task.over_episodes(each, seed=asked.seed, least=least)
        return {name: asdict(measure) for name, measure in means.items()}

    means = mean(ours := figures.pop(MODEL))
    beside = {who: mean(each) for who, each in figures.items()}
    gains: dict[str, Figures] = {
        who: mean([{name: here[name] - other[name] for name in here if name in other}
                   for here, other in zip(ours, figures[who], strict=True)], least=-1.0)
        for who in PAIRED if who in figures
    }  # fmt: skip
    rows = [
        {"name": one.domain, "examples": len(one.query), "metrics": ours[place],
         "baselines": {who: each[place] for who, each in figures.items()}}
        for place, one in enumerate(drawn)
    ] if len({one.domain for one in drawn}) == len(drawn) else []  # fmt: skip
    return FewShot(
        task=checkpoint.config.task,
        data=asked.data,
        split=asked.split,
        examples=sum(len(one.query) for one in drawn),
        ways=len(drawn[0].labels),
        shots=episodes.shots(drawn),
        steps=found.steps,
        episodes=len(drawn),
        prior=asked.prior,
        metrics=means,
        baselines=beside,
        gains=gains,
        tasks=rows,
        seconds=found.seconds,
        checkpoint=str(path),
        below=tuple(who for who, each in beside.items() if means[task.PRIMARY]["value"] < each[task.PRIMARY]["value"]),
    )
