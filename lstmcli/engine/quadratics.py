"""Train a learned optimiser on random quadratics, and race it against those made by hand on fresh ones.

The learner, its loop and its inner loop are those that learn texts; here a task is a problem, and what is minimised is
the logarithm of its loss, so that the last digits count as the first: half as a mean over all steps, half after the
last. Hand-made optimisers have the rate that is best on validation problems; all are compared on problems seen by none.
"""

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.data import quadratics
from lstmcli.data.tokens import Vocabulary
from lstmcli.engine import checkpoint as checkpoints
from lstmcli.engine import folder, plot, runtime
from lstmcli.engine.checkpoint import Checkpoint, grouped
from lstmcli.engine.events import Evaluated, Noted, Stepped, Telling
from lstmcli.engine.fit import Job, Position, fit, optimizer_for
from lstmcli.errors import ConfigError
from lstmcli.types import Batch, ClassScores, Mean, Progress, Work

OPTIMIZER = "optimizer.pt"  # not model.pt: no command should take it for a model of texts
LEARNED = "learned"
WORST = 1e30  # a loss that has grown beyond all bounds
TRAINING, VALIDATION, FRESH = 1, 2, 3  # beside the seed of a run; hand-made rates are chosen on validation
PROBLEMS = 1000  # to validate on, and fresh ones to race on
RATES = tuple(10 ** (power / 4) for power in range(-16, 3))  # 0.0001 to 3.2, four a decade
HANDMADE: dict[str, Callable[[list[Tensor], float], torch.optim.Optimizer]] = {
    "sgd": lambda weights, lr: torch.optim.SGD(weights, lr),
    "momentum": lambda weights, lr: torch.optim.SGD(weights, lr, momentum=0.9),
    "rmsprop": lambda weights, lr: torch.optim.RMSprop(weights, lr),
    "adam": lambda weights, lr: torch.optim.Adam(weights, lr),
}

Losses = np.ndarray[Any, np.dtype[Any]]  # [step, problem], the start among them


class Point(nn.Module):
    """The weights of a quadratic, which begin at zero: the model of an optimiser's learner."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(quadratics.SIZE, 1, bias=False)
        nn.init.zeros_(self.head.weight)

    def forward(self, batch: Batch) -> ClassScores:
        return ClassScores(self.head(batch.tokens), batch.tokens)


def loss(scores: ClassScores, batch: Batch) -> Mean:
    """f at the weights, of one problem."""
    assert batch.targets is not None
    return Mean((scores.logits[:, 0] - batch.targets).square().sum(), 1)


@dataclass(frozen=True)
class Race:
    """Loss after the last step on fresh problems. factors: of each one's loss over the learned one's, paired."""

    problems: int
    steps: int
    medians: dict[str, float]
    rates: dict[str, float]
    factors: dict[str, dict[str, float]]
    curves: dict[str, list[float]]  # medians
    seconds: float
    folder: str

    def plain(self) -> dict[str, Any]:
        """The race as JSON has it."""
        return asdict(self)


class Problems:
    """What the loop works on."""

    def __init__(self, config: RunConfig) -> None:
        assert config.episodes is not None
        self.config = config
        self.point = Point()
        self.learner = registry.find(registry.LEARNERS, config.learner.name).build(config.learner, self.point)
        if not hasattr(config.learner, "steps"):
            fix = "choose one that does: --set learner.name=lstm-optimizer"
            raise ConfigError("the learner takes no steps", where=f"learner.name={config.learner.name}", fix=fix)
        self.steps = config.learner.steps
        self._batch, self._count = config.episodes.batch, config.episodes.count
        self._validation = quadratics.draw(PROBLEMS, config.seed, VALIDATION)

    def items(self, epoch: int) -> list[tuple[int, int]]:
        """The epoch and number of each meta-batch."""
        return [(epoch, number) for number in range(self._count // self._batch)]

    def loss(self, item: tuple[int, int]) -> tuple[Mean, int]:
        """The logarithm of the losses on the way and at the end."""
        problems = quadratics.draw(self._batch, self.config.seed, TRAINING, *item)
        losses = self.learner.losses(self.point, problems, loss)
        _, *path = self.learner.trajectory(self.point, problems, loss)
        logs = torch.stack([losses(weights) for weights in path]).clamp_min(1e-30).log()  # [step, problem]
        return Mean((logs.mean() + logs[-1].mean()) / 2, self._batch), 0

    def evaluate(self) -> Work[dict[str, float]]:
        """Of the loss after the last step the median logarithm, lower is better."""
        yield Progress("validating")
        log = float(np.median(np.log(self.curves(self._validation)[-1])))
        return {"score": -log, "loss": log}

    def curves(self, problems: Batch) -> Losses:
        """The losses of the learned optimiser's steps."""
        losses = self.learner.losses(self.point, problems, loss)
        with torch.no_grad():
            path = self.learner.trajectory(self.point, problems, loss)
            curve = torch.stack([losses(weights) for weights in path]).double()
        return curve.nan_to_num(nan=WORST).clamp_max(WORST).numpy()


def by_hand(name: str, rate: float, problems: Batch, steps: int) -> Losses:
    """The losses of a hand-made optimiser's steps, at most ``WORST`` where it diverges."""
    assert problems.targets is not None
    weights = torch.zeros(problems.targets.shape, requires_grad=True)  # one optimiser: coordinates do not touch
    optimizer = HANDMADE[name]([weights], rate)
    curve = []
    for step in range(steps + 1):
        optimizer.zero_grad()
        losses = ((problems.tokens @ weights[:, :, None])[:, :, 0] - problems.targets).square().sum(dim=1)
        curve.append(losses.detach())
        if step < steps:
            losses.sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return torch.stack(curve).double().nan_to_num(nan=WORST).clamp_max(WORST).numpy()


def best_rate(name: str, problems: Batch, steps: int) -> float:
    """That of the grid with the lowest median loss after the last step."""
    ends = [np.median(by_hand(name, rate, problems, steps)[-1]) for rate in RATES]
    return RATES[int(np.argmin(ends))]


def run(config: RunConfig, out: Path) -> Telling[Race]:
    """Train the optimiser, race it on fresh problems, and write optimizer.pt, race.json and race.svg."""
    begun = time.perf_counter()
    runtime.prepare(config)
    work = Problems(config)
    steps = work.steps
    job = Job(work.learner, optimizer_for(work.learner, config.train), work.items, work.loss, work.evaluate)
    total = config.train.epochs * len(work.items(0))
    best = copy.deepcopy(work.learner.state_dict())
    for event in fit(job, config.train, Position()):
        if isinstance(event, Stepped):
            yield Progress("learning to optimise", event.step, total)
        elif isinstance(event, Evaluated):
            yield Noted(f"epoch {event.epoch}: median loss on validation {math.exp(event.metrics['loss']):.3g}")
            if event.is_best:
                best = copy.deepcopy(work.learner.state_dict())
        else:
            yield event
    work.learner.load_state_dict(best)
    validation, fresh = (quadratics.draw(PROBLEMS, config.seed, which) for which in (VALIDATION, FRESH))
    curves, rates = {LEARNED: work.curves(fresh)}, {}
    for name in HANDMADE:
        yield Progress(f"trying rates of {name}")
        rates[name] = best_rate(name, validation, steps)
        curves[name] = by_hand(name, rates[name], fresh, steps)
    medians = {name: np.median(curve, axis=1).tolist() for name, curve in curves.items()}
    race = Race(
        problems=PROBLEMS,
        steps=steps,
        medians={name: curve[-1] for name, curve in medians.items()},
        rates=rates,
        factors={name: _factor(curves[name][-1], curves[LEARNED][-1], config.seed) for name in HANDMADE},
        curves=medians,
        seconds=time.perf_counter() - begun,
        folder=str(out),
    )
    out.mkdir(parents=True, exist_ok=True)
    tensors = grouped("learner", work.learner.state_dict())
    checkpoints.save(Checkpoint(config, Vocabulary.build([], [], config.tokens), tensors), out / OPTIMIZER)
    for name, content in (("race.json", json.dumps(race.plain(), indent=1)), ("race.svg", plot.of(medians))):
        with folder.whole(out / name) as file:
            file.write(content.encode())
    return race


def _factor(theirs: Losses, ours: Losses, seed: int) -> dict[str, float]:
    """The median over problems of how many times ours their loss is, with a bootstrapped 95 % interval."""
    ratios = theirs / ours
    drawn = np.random.default_rng(seed).integers(len(ratios), size=(1000, len(ratios)))
    low, high = np.percentile(np.median(ratios[drawn], axis=1), (2.5, 97.5))
    return {"value": float(np.median(ratios)), "low": float(low), "high": float(high)}
