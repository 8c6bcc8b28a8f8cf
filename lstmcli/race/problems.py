"""The optimiser benchmark: random problems, and the losses of learned and hand-designed optimisers on them."""

import copy
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, Progress, silent
from lstmcli.types import Batch, ClassScores, Mean

WORST, LEAST = 1e30, 1e-12  # bounds of losses: diverged, and zero within rounding
SOLVED = 1e-6  # added to losses before the logarithm, else the easiest problems would outweigh all others
LEARNERS = "choose one that does: --set learner.name=lstm-optimizer"
READ: dict[str, tuple[str, ...]] = {
    "data": ("name", "cache"),
    "tokens": (),
    "model": (),
    "train": ("epochs", "accumulate", "optimizer", "lr", "weight_decay", "schedule", "warmup", "clip", "patience"),
    "episodes": ("batch", "count"),
}  # keys of the recipe that the benchmark reads, beside the learner's
RATES = tuple(10 ** (power / 4) for power in range(-16, 9))  # 0.0001 to 100, four per decade
HAND_DESIGNED: dict[str, Callable[[list[Tensor], float], torch.optim.Optimizer]] = {
    "sgd": lambda weights, lr: torch.optim.SGD(weights, lr),
    "momentum": lambda weights, lr: torch.optim.SGD(weights, lr, momentum=0.9),
    "rmsprop": lambda weights, lr: torch.optim.RMSprop(weights, lr),
    "adam": lambda weights, lr: torch.optim.Adam(weights, lr),
}

Losses = np.ndarray[Any, np.dtype[Any]]  # [step + 1, problem], the initial loss first


class Net(nn.Module):
    """The network whose weights an optimiser trains on a problem: linear layers with tanh between them.

    A single layer starts at zero, so that all coordinates start alike; several layers start at random.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        *between, last = pairwise(sizes)
        layers = [part for size in between for part in (nn.Linear(*size), nn.Tanh())]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(*last, bias=bool(between))
        if not between:
            nn.init.zeros_(self.head.weight)

    def forward(self, batch: Batch) -> ClassScores:
        embedding = self.layers(batch.tokens)
        return ClassScores(self.head(embedding), embedding)


def loss(scores: ClassScores, batch: Batch) -> Mean:
    """Compute the loss of one problem: the sum of squares for real targets, the mean cross-entropy for labels."""
    assert batch.targets is not None
    if batch.targets.is_floating_point():
        return Mean((scores.logits[:, 0] - batch.targets).square().sum(), 1)
    return Mean(F.cross_entropy(scores.logits, batch.targets), 1)


class Problems:
    """The objective of the training loop: problems of the kind that the recipe names.

    best: the state of the learner with the best validation score.

    Raises:
        ConfigError: The recipe sets what the benchmark does not read or cannot do.
    """

    def __init__(self, config: RunConfig) -> None:
        _check(config)
        assert config.episodes is not None
        kind = registry.find(registry.PROBLEMS, config.data.name)
        self.config = config
        self.net = Net(kind.SIZES)
        self.learner = registry.find(registry.LEARNERS, config.learner.name).build(config.learner, self.net)
        if not list(self.learner.parameters()):
            what = "the learner has nothing to learn from problems"
            raise ConfigError(what, where=f"learner.name={config.learner.name}", fix=LEARNERS)
        self.best = copy.deepcopy(self.learner.state_dict())
        for value in self.learner.parameters():  # a diverged problem has no useful gradient
            value.register_hook(partial(torch.nan_to_num, nan=0.0, posinf=0.0, neginf=0.0))
        self.steps: int = getattr(config.learner, "steps", 0)
        self._draw = kind.draw
        self._batch, self._count = config.episodes.batch, config.episodes.count
        self.validation, self.fresh = (kind.draw(kind.COUNT, part, config.seed) for part in ("validation", "test"))

    def items(self, epoch: int) -> list[tuple[int, int]]:
        """Return the epoch and number of each meta-batch."""
        return [(epoch, number) for number in range(self._count // self._batch)]

    def loss(self, item: tuple[int, int]) -> tuple[Mean, int]:
        """Compute the mean log loss after the last step."""
        problems = self._draw(self._batch, "train", self.config.seed, *item)
        *_, end = self.learner.trajectory(self.net, problems, loss)
        losses = self.learner.losses(self.net, problems, loss)(end).nan_to_num(nan=WORST).clamp_max(WORST)
        return Mean((losses + SOLVED).log().mean(), self._batch), 0

    def evaluate(self, *, listener: Listener = silent) -> dict[str, float]:
        """Compute the median log loss after the last step, lower is better."""
        listener(Progress("validating"))
        log = float(np.median(np.log(self.learned_losses(self.validation)[-1])))
        return {"score": -log, "loss": log}

    def learned_losses(self, problems: Batch) -> Losses:
        """Compute the losses of the learned optimiser."""
        losses = self.learner.losses(self.net, problems, loss)
        with torch.no_grad():
            trajectory = self.learner.trajectory(self.net, problems, loss)
            return _bounded(torch.stack([losses(weights) for weights in trajectory]))

    def hand_designed_losses(self, name: str, rate: float, problems: Batch) -> Losses:
        """Compute the losses of a hand-designed optimiser."""
        losses = self.learner.losses(self.net, problems, loss)
        start = next(self.learner.trajectory(self.net, problems, loss))
        weights = {key: value.detach().clone().requires_grad_() for key, value in start.items()}
        optimizer = HAND_DESIGNED[name](
            list(weights.values()), rate
        )  # one for all problems: it treats coordinates independently
        curve = []
        for step in range(self.steps + 1):
            optimizer.zero_grad()
            current = losses(weights)
            curve.append(current.detach())
            if step < self.steps:
                current.sum().backward()
                optimizer.step()
        return _bounded(torch.stack(curve))

    def best_rate(self, name: str) -> float:
        """Find the rate in the grid with the lowest median loss after the last step on validation problems."""
        finals = [np.median(self.hand_designed_losses(name, rate, self.validation)[-1]) for rate in RATES]
        return RATES[int(np.argmin(finals))]


def _check(config: RunConfig) -> None:
    """Raise ConfigError if the recipe sets what the benchmark cannot do or does not read."""
    learner, episodes = config.learner, config.episodes
    where = f"learner.name={learner.name}"
    if not hasattr(learner, "steps"):
        raise ConfigError("the learner takes no steps", where=where, fix=LEARNERS)
    if episodes is None or episodes.count < episodes.batch:
        fix = "--set episodes.count=1600"
        raise ConfigError("too few problems to train on: not one meta-batch", where="episodes.count", fix=fix)
    unread = {
        "learner.head_init=model": getattr(learner, "head_init", "model") != "model",
        "learner.multi_step_loss_weight=0": getattr(learner, "multi_step_loss_weight", 0) > 0,
        "device=cpu": config.device not in ("auto", "cpu"),
        "precision=float32": config.precision == "bfloat16",
    }
    for section, read in READ.items():
        values = getattr(config, section)
        for key, field in type(values).model_fields.items():
            default = "none" if field.default is None else field.default
            unread[f"{section}.{key}={default}"] = key not in read and getattr(values, key) != field.default
    for fix in (key for key, is_set in unread.items() if is_set):
        what = (
            "the optimiser benchmark draws its problems, runs on the CPU in float32, and trains on the last loss alone"
        )
        raise ConfigError(what, where=fix.partition("=")[0], fix=f"--set {fix}")


def _bounded(curve: Tensor) -> Losses:
    """Clamp losses to [``LEAST``, ``WORST``]; not-a-number counts as ``WORST``."""
    return curve.double().nan_to_num(nan=WORST).clamp(LEAST, WORST).numpy()
