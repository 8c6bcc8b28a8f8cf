"""Train a learned optimiser on random problems, and compare it with hand-designed ones on test problems.

The learner, the training loop and the inner loop are those of few-shot learning on texts. A task is a problem, and the
meta-loss is the logarithm of the loss after the last step, so that small losses count as much as large ones. The rate
of each hand-designed optimiser is the best on validation problems.
"""

import copy
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli.config import RunConfig
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.events import Evaluated, Event, Interrupted, Listener, Noted, Planned, Progress, Stepped, silent
from lstmcli.machine import runtime
from lstmcli.machine.interrupt import Stop
from lstmcli.race import plot
from lstmcli.race.problems import HAND_DESIGNED, Losses, Problems
from lstmcli.storage import atomic
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import run_folder as folder
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.tasks import intervals
from lstmcli.training.loop import Job, Position, fit, optimizer_for, steps_of

RACE, PICTURE = "race.json", "race.svg"
LEARNED = "learned"
TIMED = 3  # steps of a dry run


@dataclass(frozen=True)
class Race:
    """Losses after the last step on test problems.

    factors: the ratio of each optimiser's loss to that of the learned one, a median over paired problems.
    """

    problems: int
    steps: int
    medians: dict[str, float]
    rates: dict[str, float]
    factors: dict[str, dict[str, float]]
    curves: dict[str, list[float]]  # medians
    seconds: float
    folder: str

    def plain(self) -> dict[str, Any]:
        """Return the result as a dictionary for JSON."""
        return asdict(self)


def rehearse(config: RunConfig, *, listener: Listener = silent) -> None:
    """Estimate the training time of ``run``; write nothing."""
    runtime.prepare(config)
    work = Problems(config)
    planned = _plan(work)
    begun = time.perf_counter()
    for _ in zip(range(TIMED), fit(_job(work, silent), config.train, Position()), strict=False):
        pass
    listener(replace(planned, seconds=(time.perf_counter() - begun) / TIMED * planned.steps))


def run(config: RunConfig, out: Path, *, listener: Listener = silent) -> Race:
    """Train the optimiser, run the benchmark on test problems, and write optimizer.pt, race.json and race.svg.

    Ctrl-C saves the best state of the optimiser, reports it, and raises KeyboardInterrupt;
    SIGTERM does the same and raises SystemExit.
    """
    runtime.prepare(config)
    work = Problems(config)
    with Stop() as stop:

        def stoppable(event: Event) -> None:
            listener(event)
            if stop.requested:
                _save(work, out)
                listener(Interrupted(out / folder.OPTIMIZER, resumable=False))
                raise stop.end()

        return _raced(work, out, stoppable)


def _raced(work: Problems, out: Path, listener: Listener) -> Race:
    begun = time.perf_counter()
    listener(_plan(work))
    _learned(work, listener)
    curves, rates = {}, {}
    for name in HAND_DESIGNED:
        listener(Progress(f"trying rates of {name}"))
        rates[name] = work.best_rate(name)
        curves[name] = work.hand_designed_losses(name, rates[name], work.fresh)
    learned = work.learned_losses(work.fresh)
    medians = {name: np.median(curve, axis=1).tolist() for name, curve in ({LEARNED: learned} | curves).items()}
    race = Race(
        problems=len(work.fresh.tokens),
        steps=work.steps,
        medians={name: curve[-1] for name, curve in medians.items()},
        rates=rates,
        factors={name: _factor(curve[-1], learned[-1], work.config.seed) for name, curve in curves.items()},
        curves=medians,
        seconds=time.perf_counter() - begun,
        folder=str(out),
    )
    _save(work, out)
    for name, content in ((RACE, json.dumps(race.plain(), indent=1)), (PICTURE, plot.of(medians))):
        with atomic.whole(out / name) as file:
            file.write(content.encode())
    return race


def _save(work: Problems, out: Path) -> None:
    tensors = grouped("learner", work.best)
    vocabulary = Vocabulary.build([], [], work.config.tokens)
    out.mkdir(parents=True, exist_ok=True)
    for name in (RACE, PICTURE):  # results of an earlier optimiser
        (out / name).unlink(missing_ok=True)
    checkpoints.save(Checkpoint(work.config, vocabulary, tensors), out / folder.OPTIMIZER)


def _job(work: Problems, listener: Listener) -> Job[tuple[int, int]]:
    evaluate = partial(work.evaluate, listener=listener)
    return Job(work.learner, optimizer_for(work.learner, work.config.train), work.items, work.loss, evaluate)


def _plan(work: Problems) -> Planned:
    parameters = sum(value.numel() for value in work.learner.parameters())
    steps = steps_of(len(work.items(0)), work.config.train)
    return Planned(steps, tokens=0, parameters=parameters, device="cpu", precision="float32")


def _learned(work: Problems, listener: Listener) -> None:
    """Train the learner, and restore its best state on validation problems; the initial one counts too."""
    total = _plan(work).steps
    at = Position(best=(work.evaluate(listener=listener)["score"], -math.inf))
    for event in fit(_job(work, listener), work.config.train, at):
        if isinstance(event, Stepped):
            listener(Progress("learning to optimise", event.step, total))
        elif isinstance(event, Evaluated):
            listener(Noted(f"epoch {event.epoch}: median loss on validation {math.exp(event.metrics['loss']):.3g}"))
            if event.is_best:
                work.best = copy.deepcopy(work.learner.state_dict())
    work.learner.load_state_dict(work.best)


def _factor(losses: Losses, learned: Losses, seed: int) -> dict[str, float]:
    """Compute the median ratio of losses to those of the learned optimiser, with a bootstrap 95 % interval.

    losses, learned: ``[problem]``.
    """
    ratios = losses / learned

    def medians(drawn: Losses) -> Losses:
        return np.asarray(np.median(ratios[drawn], axis=1))

    low, high = intervals.covering(intervals.by_index(medians, len(ratios), intervals.generator(seed)))
    return {"value": float(np.median(ratios)), "low": low, "high": high}
