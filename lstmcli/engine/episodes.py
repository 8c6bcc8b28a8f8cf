"""Meta-training: what the loop's items, loss and validation are where a run learns to adapt."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmcli.config import RunConfig
from lstmcli.data import episodes, store
from lstmcli.data.episodes import Draw, Pool
from lstmcli.data.store import Store
from lstmcli.engine.assemble import EVALUATION_TOKENS, Parts
from lstmcli.engine.evaluate import Figures, baseline_figures
from lstmcli.engine.inputs import Inputs
from lstmcli.errors import ConfigError
from lstmcli.types import Batch, Episode, Example, Mean, Progress, Work

Array = np.ndarray[Any, np.dtype[Any]]
VALIDATION = 1  # beside the seed of a run: of its validation episodes, the same in every epoch
TRAINING = 2


def check_task(config: RunConfig) -> None:
    """Raises ConfigError where the model is of a task that episodes are not drawn for."""
    if config.task != "classify":
        fix = "give a model that labels whole texts: -c FILE, or train one: lstmcli train reviews"
        raise ConfigError("episodes are drawn of whole texts with labels", where=f"task: {config.task}", fix=fix)


def check(config: RunConfig) -> None:
    """Raises ConfigError where the recipe asks of episodes what they cannot do."""
    if config.episodes is None:
        return
    check_task(config)
    if config.learner.name == "finetune":
        fix = "choose one that has: --set learner.name=maml, or reptile; or leave episodes out"
        raise ConfigError("fine-tuning has nothing to learn from episodes", where="learner.name=finetune", fix=fix)
    for key in ("adversarial", "crop", "teacher", "virtual", "entropy"):
        if getattr(config.train, key) is not None:
            raise ConfigError(f"train.{key} has no effect on episodes", where=f"train.{key}", fix="leave it out")


def drawn_anew(config: RunConfig) -> bool:
    """True where each task has classes of its own."""
    return config.episodes is not None and config.episodes.ways is not None


def labels_of(config: RunConfig, examples: Sequence[Example]) -> tuple[str, ...]:
    """What the head tells apart: the data's labels, or where classes are drawn anew their numbers."""
    if config.episodes is not None and config.episodes.ways is not None:
        return tuple(f"class {number}" for number in range(1, config.episodes.ways + 1))
    return store.labels_of(examples)


def learns_head(parts: Parts) -> bool:
    """True where the model's own head is learned. Where every task makes one anew, it stays as it was at the start."""
    config = parts.config
    begun = config.model.init is not None
    return not drawn_anew(config) and (config.episodes is None or begun or not parts.learner.whole_texts)


def check_finite(values: Iterable[Tensor]) -> None:
    """Raises ConfigError where steps led to what is not a number."""
    if not all(bool(torch.isfinite(value).all()) for value in values):
        fix = "take fewer: --steps N, or train with a lower rate of the learner: --set learner.lr=0.01"
        raise ConfigError("the steps lead to weights that are not numbers", where="learner.lr", fix=fix)


class Course:
    """The episodes of a run: drawn by seed and epoch, learned from side by side, validated on others."""

    precision = "float32"  # small products at many weights gain nothing from fewer digits

    def __init__(self, parts: Parts, whole: dict[str, Store], stores: dict[str, Store], inputs: Inputs) -> None:
        assert parts.config.episodes is not None
        self.config = parts.config.episodes
        self._parts = parts
        self._whole = whole
        self._stores = stores
        self.state: dict[str, Tensor] = {}
        labels = parts.vocabulary.labels
        self._pools = episodes.usable(episodes.pools(inputs.train), self.config, labels)
        held = episodes.usable(episodes.pools(inputs.validation), self.config, labels)
        self.validation = self._draw(held, self.config.validation, VALIDATION)

    def _draw(self, pools: list[Pool], count: int, *seed: int) -> list[Draw]:
        return list(episodes.draws(pools, self.config, count=count, seed=(self._parts.config.seed, *seed)))

    def items(self, epoch: int) -> list[list[Draw]]:
        """The meta-batches of an epoch."""
        return _batches(self._draw(self._pools, self.config.count, TRAINING, epoch), self.config.batch)

    def tokens(self, epoch: int) -> int:
        """How many an epoch reads."""
        lengths = self._stores["train"].lengths
        return sum(int(lengths[one.support].sum() + lengths[one.query].sum())
                   for item in self.items(epoch) for one in item)  # fmt: skip

    def loss(self, item: list[Draw]) -> tuple[Mean, int]:
        """The meta-loss, a mean over tasks."""
        parts = self._parts
        episode = episodes.collate(self._stores["train"], item).to(parts.runtime.device)
        losses: Tensor = parts.learner.meta_loss(parts.model, episode, parts.task.loss)
        return Mean(losses.mean(), len(item)), int(episode.support.lengths.sum() + episode.query.lengths.sum())

    def evaluate(self, parts: Parts) -> Work[dict[str, float]]:
        """Figures on the queries of the validation episodes, after adaptation."""
        logits, targets = yield from self.outputs(parts, "validating")
        figures: dict[str, float] = self._parts.task.summary(logits, targets)
        return figures

    def outputs(self, parts: Parts, what: str) -> Work[tuple[Array, Array]]:
        """Of all queries of the validation episodes: logits ``[text, label]`` and targets ``[text]``."""
        logits = yield from outputs(parts, self._stores["validation"], self.validation, self.config.batch, what)
        return np.concatenate(logits), np.concatenate([one.query_targets for one in self.validation])

    def beside(self, fitted: dict[str, Array]) -> dict[str, Figures]:
        """The figures of the baselines on the queries of the validation episodes."""
        if not fitted:
            return {}
        places = np.concatenate([one.query for one in self.validation])
        return baseline_figures(self._parts.task, fitted, self._whole["validation"].part(places))


def outputs(
    parts: Parts, store: Store, drawn: Sequence[Draw], batch: int, what: str, *, known: int | None = None
) -> Work[list[Array]]:
    """The logits of each episode's query after adaptation to its support, ``[text, label]``.

    known: how many words the model knew before it met the data, as of ``episodes.collate``.
    """
    parts.model.eval()
    results: list[Array] = []
    for item in _batches(list(drawn), batch):
        episode = episodes.collate(store, item, known=known).to(parts.runtime.device)
        results += adapted(parts, episode)
        yield Progress(what, len(results), len(drawn))
    return results


def adapted(parts: Parts, episode: Episode) -> list[Array]:
    """The logits of each task's query at the weights that its support leads to."""
    with torch.no_grad():
        steps = parts.learner.trajectory(parts.model, episode.support, parts.task.loss)
        return logits_at(parts, deque(steps, maxlen=1).pop(), episode.query)


def logits_at(parts: Parts, weights: dict[str, Tensor], batch: Batch) -> list[Array]:
    """The logits of each task at its weights, ``[text, label]`` each; the texts are read a few at a time."""
    tasks, texts, time = batch.tokens.shape
    size = max(1, EVALUATION_TOKENS // (tasks * time))
    pieces = []
    for start in range(0, texts, size):
        here = slice(start, start + size)
        piece = Batch(batch.tokens[:, here], batch.lengths[:, here])
        pieces.append(parts.learner.logits(parts.model, piece)(weights))
    return list(torch.cat(pieces, dim=1).float().cpu().numpy())


def _batches(drawn: list[Draw], size: int) -> list[list[Draw]]:
    """Up to ``size`` neighbours of one shape together."""
    alike = groupby(drawn, key=lambda one: (len(one.support), len(one.query)))
    groups = (list(group) for _, group in alike)
    return [group[start : start + size] for group in groups for start in range(0, len(group), size)]
