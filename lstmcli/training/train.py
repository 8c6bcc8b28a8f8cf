"""Train a model and keep the best checkpoint."""

import statistics
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, fields, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lstmcli import registry
from lstmcli.config import RunConfig, pace
from lstmcli.contracts import Learner, ModelHooks, hooks
from lstmcli.data.batches.encoded import dataset_hash
from lstmcli.data.batches.episodes import class_priors
from lstmcli.errors import CheckpointError, counted
from lstmcli.events import Evaluated, Event, Interrupted, Listener, Noted, Planned, Stepped, silent
from lstmcli.inference.assemble import Parts
from lstmcli.machine import memory, runtime
from lstmcli.machine.interrupt import Stop
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import run_folder
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.storage.examples import SENTENCES, UNLABELLED, Inputs
from lstmcli.training import conclusion, resuming, setup
from lstmcli.training.episodic import EpisodicObjective, learns_head
from lstmcli.training.group import ALONE, Group, weights_of
from lstmcli.training.language import LanguageObjective
from lstmcli.training.loop import Job, Position, fit, optimizer_for, steps_of
from lstmcli.training.setup import RunSetup
from lstmcli.training.supervised import SupervisedObjective

TIMED = 9  # steps of a dry run


def run(
    config: RunConfig,
    inputs: Inputs,
    out: Path,
    *,
    resume: bool = False,
    chosen: Collection[str] = (),
    group: Group = ALONE,
    listener: Listener = silent,
) -> None:
    """Train by the recipe and write model.pt, last.pt, metrics.jsonl and config.yaml into the folder.

    Ctrl-C saves last.pt, reports Interrupted, and raises KeyboardInterrupt; after SIGTERM SystemExit.

    Args:
        resume: Go on from last.pt.
        chosen: Keys of the recipe that the user set: a resumed run may get another length only by these.
        group: Of processes that train together; the first writes.
    """
    started = time.perf_counter()
    last = group.file(out / run_folder.LAST, checkpoints.load) if resume else None
    if last is not None:
        if "amount" in last.progress:
            config = pace.paced(config, **last.progress["amount"])
        resuming.check(last, config, inputs, chosen)
    writes = group.place.is_first
    trainer = Trainer(setup.prepare(config, inputs, last, listener=listener), out if writes else None, inputs, group)
    del inputs  # the encoded texts are enough; free the memory
    if writes:
        (run_folder.clear_partial if resume else run_folder.begin)(out)
    if last is not None:
        trainer.restore(last)
        for note in resuming.notes(last.config.train, config.train, trainer.at, out):
            listener(note)
    listener(trainer.plan())
    with Stop() as stop:

        def stoppable(event: Event) -> None:
            listener(event)
            if group.any(stop.requested) if isinstance(event, Stepped) else stop.requested and not group.several:
                if writes:
                    trainer.save_last()
                listener(Interrupted(out / run_folder.LAST))
                raise stop.end()

        with memory.explained(str(out), partial(conclusion.smaller, trainer.parts.config, out)):
            for event in trainer.events(listener=stoppable):
                stoppable(event)
            if writes:
                listener(conclusion.conclude(trainer, out, started, stoppable))


def rehearse(config: RunConfig, inputs: Inputs, *, group: Group = ALONE, listener: Listener = silent) -> None:
    """Do what ``run`` does up to the first steps, and estimate the time of the rest; write nothing."""
    config = config.model_copy(update={"data": config.data.model_copy(update={"cache": False})})
    trainer = Trainer(setup.prepare(config, inputs, None, listener=listener), None, inputs, group)
    planned = trainer.plan()
    steps = (event for event in trainer.events(listener=silent) if isinstance(event, Stepped))
    rates, before = [], time.perf_counter()
    for event in islice(steps, TIMED):
        now = time.perf_counter()
        rates.append((now - before) / event.tokens)
        before = now
    seconds = statistics.median(rates) * planned.tokens  # median: the first step includes one-time setup
    listener(replace(planned, seconds=seconds))


class Trainer:
    """A run in progress: parts, optimiser, position, and its files. resumable: last.pt is one of them."""

    def __init__(
        self, begun: RunSetup, out: Path | None, inputs: Inputs, group: Group = ALONE, *, resumable: bool = True
    ) -> None:
        self.parts = parts = begun.parts
        self.dataset_hash = dataset_hash(inputs.learned)
        self.scored = {name: dataset_hash(getattr(inputs, name)) for name in ("validation", "test")}
        self.text_hashes = grouped("learned", {"texts": torch.from_numpy(begun.learned)})
        self.class_priors = class_priors(inputs.train)
        self.amount = begun.amount
        whole = begun.texts
        stores = {name: store.truncated(parts.config.tokens) for name, store in whole.items() if name != "test"}
        self.whole = {name: whole[name] for name in whole if name not in (UNLABELLED, SENTENCES)}  # for the baselines
        self.baseline = begun.baseline
        self.out, self.group, self._resumable = out, group, resumable
        self.learned = nn.ModuleList((parts.model, cast(nn.Module, parts.learner)))
        group.begin(weights_of(self.learned), self.dataset_hash)
        encoder = hooks(ModelHooks, registry.model(parts.config.model.name)).ENCODER
        rates = parts.learner.parameters()
        self.optimizer = optimizer_for(parts.model, parts.config.train, encoder=encoder, rates=rates)
        decay = parts.config.train.ema_decay
        self._mean: AveragedModel | None = None
        self._kept = parts  # what is evaluated and saved
        if decay is not None:
            self._mean = AveragedModel(self.learned, multi_avg_fn=partial(_update_mean, decay))
            model, learner = self._mean.module.children()
            self._kept = replace(parts, model=model, learner=cast(Learner, learner))
        self.at = Position()
        self.saved = time.perf_counter()
        self.work: SupervisedObjective | EpisodicObjective | LanguageObjective
        if parts.task.READS == "stream":
            self.work = LanguageObjective(parts, stores)
        elif parts.config.episodes is None:
            self.work = SupervisedObjective(parts, whole, stores, group)
        else:
            self.work = EpisodicObjective(parts, whole, stores, inputs)

    def plan(self) -> Planned:
        """Count steps, tokens and weights."""
        config = self.parts.config
        return Planned(
            steps=steps_of(len(self.work.items(0)), config.train),
            tokens=self.work.tokens(0) * config.train.epochs,
            parameters=sum(parameter.numel() for parameter in self.learned.parameters()),
            device=self.parts.runtime.device,
            precision=self.work.precision,
            train=config.train.model_dump(mode="json"),
        )

    def events(self, *, listener: Listener = silent) -> Iterator[Event]:
        """Yield the events of the loop, and write files after them. listener: for the progress of evaluations."""
        evaluate = partial(self.work.evaluate, self._kept, listener=listener)
        threads = runtime.step_threads(self.parts.config)
        probed = self.parts.config.train.probe and self.parts.config.model.init is not None
        job: Job[Any] = Job(
            self.learned,
            self.optimizer,
            self.work.items,
            self.work.loss,
            evaluate,
            threads,
            trained=probed,
            group=self.group,
            seed=self.parts.config.seed,
        )
        for event in fit(job, self.parts.config.train, self.at):
            if self._mean is not None and isinstance(event, Stepped):
                self._mean.update_parameters(self.learned)
            if self.out is not None:
                self._keep(event, self.out)
            yield event
        if self.at.epoch < self.parts.config.train.epochs:
            what = f"{self.at.stale} without a better one (train.patience)"
            yield Noted(f"stopped after {counted(self.at.epoch, 'epoch')}: {what}")

    def _keep(self, event: Event, out: Path) -> None:
        if isinstance(event, Evaluated):
            if event.is_best:
                # A run that was finished and resumed is not finished now.
                (out / run_folder.RECIPE).unlink(missing_ok=True)
                checkpoints.save(self._checkpoint(_weights(self._kept)), out / run_folder.MODEL)
            line = {"epoch": event.epoch, "step": event.step, "train_loss": event.loss, **event.metrics}
            run_folder.append(out / run_folder.METRICS, line)
            if self._resumable:
                self.save_last()
        elif (
            self._resumable
            and isinstance(event, Stepped)
            and time.perf_counter() - self.saved > self.parts.config.train.save_every
        ):
            self.save_last()

    def _checkpoint(self, tensors: dict[str, Tensor]) -> Checkpoint:
        progress = asdict(self.at) | {
            "data": self.dataset_hash,
            "shares": self.class_priors,
            "amount": self.amount,
            "headed": learns_head(self.parts),
        }
        return Checkpoint(
            self.parts.config, self.parts.vocabulary, tensors, progress=progress, context=self.parts.context
        )

    def snapshot(self) -> Checkpoint:
        """Return the weights now as a checkpoint, with the baselines if they are fitted: as large as the final one."""
        baseline = grouped("baseline", {name: torch.from_numpy(value) for name, value in self.baseline.items()})
        return self._checkpoint(_weights(self._kept) | baseline | self.text_hashes)

    def save_last(self) -> None:
        """Write what resuming needs: weights, optimiser state, random states, position."""
        assert self.out is not None
        names = dict(enumerate(self._names()))
        moments = {
            f"{names[index]}/{kind}": value
            for index, kinds in self.optimizer.state_dict()["state"].items()
            for kind, value in kinds.items()
            if isinstance(value, Tensor)
        }
        random = {"cpu": torch.get_rng_state()}
        if self.parts.runtime.device.startswith("cuda"):
            random["cuda"] = torch.cuda.get_rng_state(self.parts.runtime.device)
        tensors = _weights(self.parts) | grouped("optimizer", moments)
        if self._mean is not None:
            tensors |= grouped("mean", self._mean.state_dict())
        tensors |= grouped("random", random) | grouped("state", self.work.state) | self.text_hashes
        checkpoints.save(self._checkpoint(tensors), self.out / run_folder.LAST)
        self.saved = time.perf_counter()

    def _names(self) -> list[str]:
        """Return the names of all parameters, in the optimiser's order."""
        names = {value: name for name, value in self.parts.model.named_parameters()}
        names |= {value: f"learner/{name}" for name, value in self.parts.learner.named_parameters()}
        return [names[value] for group in self.optimizer.param_groups for value in group["params"]]

    def restore(self, last: Checkpoint) -> None:
        """Restore the state of last.pt. Raises CheckpointError where it is of no run like this one."""
        try:
            self._restore(last)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            what = f"not the state of a run with this recipe: {error}"
            fix = "begin a new run: --out DIR without --resume"
            raise CheckpointError(what, where=str(run_folder.LAST), fix=fix) from error
        if self.out is not None:
            run_folder.forget_after(self.out / run_folder.METRICS, self.at.epoch)

    def _restore(self, last: Checkpoint) -> None:
        self.parts.model.load_state_dict(last.group("model"))
        self.parts.learner.load_state_dict(last.group("learner"))
        if self._mean is not None:
            self._mean.load_state_dict(last.group("mean"))
        moments = last.group("optimizer")
        state: dict[int, dict[str, Tensor]] = {}
        shapes = [value.shape for group in self.optimizer.param_groups for value in group["params"]]
        for index, name in enumerate(self._names()):
            kinds = {
                key.removeprefix(f"{name}/"): value for key, value in moments.items() if key.startswith(f"{name}/")
            }
            if any(value.ndim and value.shape != shapes[index] for value in kinds.values()):
                raise ValueError(f"the optimiser's state of {name} has another shape")
            if kinds:
                state[index] = kinds
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.work.state = {name: part.to(self.parts.runtime.device) for name, part in last.group("state").items()}
        random = last.group("random")
        torch.set_rng_state(random["cpu"])
        if "cuda" in random and self.parts.runtime.device.startswith("cuda"):
            torch.cuda.set_rng_state(random["cuda"], self.parts.runtime.device)
        for field in fields(Position):
            value = last.progress[field.name]
            setattr(self.at, field.name, tuple(value) if isinstance(value, list) else value)


def _update_mean(decay: float, mean: list[Tensor], weights: list[Tensor], count: Tensor) -> None:
    """Update the exponential moving average in place; its decay is smaller at first, so that it forgets the initial
    weights soon."""
    done = int(count)
    torch._foreach_lerp_(mean, weights, 1 - min(decay, (1 + done) / (10 + done)))


def _weights(parts: Parts) -> dict[str, Tensor]:
    return grouped("model", parts.model.state_dict()) | grouped("learner", parts.learner.state_dict())
