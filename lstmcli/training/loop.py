"""The training loop: a generator of events; it does not print or save, and does not know what an item is."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from lstmcli.config import Train
from lstmcli.errors import CheckpointError, ConfigError
from lstmcli.events import Evaluated, Event, Stepped
from lstmcli.training.group import ALONE, Group
from lstmcli.types import Mean

Item = TypeVar("Item")
START, END = 1 / 25, 1 / 1000  # first and last rate of the one-cycle schedule over the largest (Smith & Topin 2018)


@dataclass
class Position:
    """The position of a run, which with weights, optimiser and random states is all that resuming needs."""

    epoch: int = 0
    batch: int = 0  # items of the epoch done
    step: int = 0
    stale: int = 0  # evaluations since the best
    loss_sum: float = 0.0
    loss_count: int = 0
    best: tuple[float, float] = (-math.inf, -math.inf)  # score, and minus the loss to break ties


@dataclass(frozen=True)
class Job(Generic[Item]):
    """What the loop trains, and how.

    items: the items of an epoch; loss_of: the loss of an item and its number of tokens; evaluate: figures on held-out
    data, among them ``score`` (higher is better) and ``loss``; threads: CPU threads of a step, None: all; trained: the
    initial weights are a model already, and are evaluated before the first step; group: the processes that take the
    steps together, whose losses are of their shares of an item.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    items: Callable[[int], Sequence[Item]]
    loss_of: Callable[[Item], tuple[Mean, int]]
    evaluate: Callable[[], dict[str, float]]
    threads: int | None = None
    trained: bool = False
    group: Group = ALONE
    seed: int = 0


def optimizer_for(
    model: nn.Module, config: Train, *, encoder: Iterable[str] = (), rates: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Build the optimiser of the recipe.

    Args:
        model: All its parameters are trained.
        config: The section ``train``.
        encoder: Submodules whose learning rate is multiplied by ``encoder_lr_scale``.
        rates: Learned rates of a learner, which have no weight decay.
    """
    prefixes = tuple(f"{name}." for name in encoder)
    body = [value for name, value in model.named_parameters() if name.startswith(prefixes)]
    rest = [value for name, value in model.named_parameters() if not name.startswith(prefixes)]
    groups: list[dict[str, Any]] = [{"params": body, "lr_scale": config.encoder_lr_scale}, {"params": rest}]
    if config.encoder_lr_scale == 1 or not body or not rest:
        groups = [{"params": list(model.parameters())}]
    if rates_list := list(rates):
        groups.append({"params": rates_list, "weight_decay": 0.0})
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=0.9, weight_decay=config.weight_decay)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)  # fused: 3 × faster


def learning_rate(config: Train, done: float) -> float:
    """Compute the learning rate after the fraction ``done`` of the run: a cosine up, then a cosine down."""
    if config.schedule == "constant":
        return config.lr
    if done < config.warmup:
        begin, end, fraction = START, 1.0, done / config.warmup
    else:
        begin, end, fraction = 1.0, END, (done - config.warmup) / (1 - config.warmup)
    return config.lr * (end + (begin - end) * (1 + math.cos(math.pi * min(fraction, 1.0))) / 2)


def steps_of(items: int, config: Train) -> int:
    """Count the steps of a run whose epochs have so many items."""
    return config.epochs * -(-items // config.accumulate)


def fit(job: Job[Item], config: Train, at: Position) -> Iterator[Event]:
    """Train from the position to the end. At every event ``at`` is the position of the current weights.

    Raises:
        ConfigError: the loss, or a figure of validation, is no longer a number.
    """
    total = steps_of(len(job.items(0)), config)
    available = torch.get_num_threads()
    if job.trained and at.best[0] == -math.inf:
        yield _evaluated(job, config, at, loss=None)
    while at.epoch < config.epochs and (config.patience is None or at.stale < config.patience):
        job.model.train()
        torch.set_num_threads(job.threads or available)
        items = job.items(at.epoch)
        for start in range(at.batch, len(items), config.accumulate):
            accumulated = items[start : start + config.accumulate]
            for group in job.optimizer.param_groups:
                group["lr"] = group.get("lr_scale", 1.0) * learning_rate(config, at.step / total)
            job.optimizer.zero_grad(set_to_none=True)
            tokens, total_loss = 0, 0.0
            for index, item in enumerate(accumulated, at.batch):
                job.group.seed(job.seed, at.epoch, index)
                mean, item_tokens = job.loss_of(item)
                value, loss, count = job.group.mean(mean)
                if not math.isfinite(loss):
                    raise _diverged(f"the loss is {loss} at step {at.step}", config)
                if value.requires_grad:  # an empty share has no graph
                    value.backward()  # type: ignore[no-untyped-call]
                tokens, total_loss = tokens + item_tokens, total_loss + loss
                at.loss_sum += loss * count
                at.loss_count += count
            if len(accumulated) > 1:
                torch._foreach_div_(
                    [value.grad for value in job.model.parameters() if value.grad is not None], len(accumulated)
                )
            job.group.add_up_gradients(job.model)
            if config.clip is not None:
                nn.utils.clip_grad_norm_(job.model.parameters(), config.clip)
            job.optimizer.step()
            at.batch += len(accumulated)
            at.step += 1
            yield Stepped(at.step, total_loss / len(accumulated), tokens)
        torch.set_num_threads(available)
        loss = at.loss_sum / max(1, at.loss_count)
        at.epoch, at.batch, at.loss_sum, at.loss_count = at.epoch + 1, 0, 0.0, 0
        yield _evaluated(job, config, at, loss=loss)


def _diverged(what: str, config: Train) -> ConfigError:
    fix = f"lower the learning rate: --set train.lr={config.lr / 4:g}"
    return ConfigError(what, where=f"train.lr={config.lr:g}", fix=fix)


def _evaluated(job: Job[Item], config: Train, at: Position, *, loss: float | None) -> Evaluated:
    """Evaluate the current weights, and count the evaluations since the best. Raises ConfigError where the figures are
    no numbers."""
    try:
        metrics = job.group.of_first(job.evaluate)
    except CheckpointError as error:  # as after training, where the remedy is another
        if not at.step:
            raise
        raise _diverged(f"{error.what} after step {at.step}", config) from error
    if not math.isfinite(metrics["score"]) or math.isnan(metrics["loss"]):
        raise _diverged(f"the validation loss is {metrics['loss']} after step {at.step}", config)
    rank = (metrics["score"], -metrics["loss"])
    is_best = rank > at.best
    at.best = max(at.best, rank)
    at.stale = 0 if is_best else at.stale + 1
    return Evaluated(at.epoch, at.step, loss, metrics, is_best)
