"""The objective of meta-training: its items are meta-batches of episodes."""

from typing import Any

import numpy as np
from torch import Tensor

from lstmcli.config import RunConfig
from lstmcli.data.batches import episodes
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.episodes import Draw, Pool
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, silent
from lstmcli.inference.assemble import Parts
from lstmcli.inference.episodes import batches_of, check_task, draws_classes, outputs
from lstmcli.inference.evaluate import Figures, baseline_figures
from lstmcli.storage.examples import Inputs
from lstmcli.types import Mean

Array = np.ndarray[Any, np.dtype[Any]]
VALIDATION = 1  # combined with the seed of a run; validation episodes are the same in every epoch
TRAINING = 2
TARGETS = ("target_precision", "target_coverage")


def check(config: RunConfig) -> None:
    """Raise ConfigError if the recipe sets what has no effect on episodes."""
    if config.episodes is None:
        return
    check_task(config)
    if not config.learner.meta_trained:
        fix = "choose one that is meta-trained: --learner maml; or leave episodes out: --set episodes=none"
        what, where = "fine-tuning has nothing to learn from episodes", f"learner.name={config.learner.name}"
        raise ConfigError(what, where=where, fix=fix)
    for key in ("adversarial_epsilon", "crop", "teacher", "vat_epsilon", "entropy_weight", *TARGETS):
        if getattr(config.train, key) is not None:
            raise ConfigError(f"train.{key} has no effect on episodes", where=f"train.{key}", fix="leave it out")


def learns_head(parts: Parts) -> bool:
    """Return True if the model's own head is trained. If every task computes a new one, it stays at its initial
    weights."""
    config = parts.config
    begun = config.model.init is not None
    return not draws_classes(config) and (config.episodes is None or begun or not parts.learner.whole_texts)


class EpisodicObjective:
    """Meta-training on episodes, which seed and epoch determine, with validation on fixed episodes."""

    precision = "float32"  # many small matrix products gain nothing from bfloat16

    def __init__(self, parts: Parts, whole: dict[str, Store], stores: dict[str, Store], inputs: Inputs) -> None:
        assert parts.config.episodes is not None
        self.config = parts.config.episodes
        self._parts = parts
        self._whole = whole
        self._stores = stores
        self.state: dict[str, Tensor] = {}
        labels = parts.vocabulary.labels
        self._pools = episodes.usable(episodes.pools(inputs.train), self.config, labels, split="train")
        held_out = episodes.usable(episodes.pools(inputs.validation), self.config, labels, split="validation")
        self.validation = self._draw(held_out, self.config.validation, VALIDATION)

    def _draw(self, pools: list[Pool], count: int, *seed: int) -> list[Draw]:
        return list(episodes.draws(pools, self.config, count=count, seed=(self._parts.config.seed, *seed)))

    def items(self, epoch: int) -> list[list[Draw]]:
        """Draw the meta-batches of an epoch."""
        return batches_of(self._draw(self._pools, self.config.count, TRAINING, epoch), self.config.batch)

    def tokens(self, epoch: int) -> int:
        """Count the tokens of an epoch."""
        lengths = self._stores["train"].lengths
        return sum(int(lengths[draw.support].sum() + lengths[draw.query].sum())
                   for item in self.items(epoch) for draw in item)  # fmt: skip

    def loss(self, item: list[Draw]) -> tuple[Mean, int]:
        """Compute the meta-loss, a mean over tasks, and the number of tokens."""
        parts = self._parts
        episode = episodes.collate(self._stores["train"], item).to(parts.runtime.device)
        losses: Tensor = parts.learner.meta_loss(parts.model, episode, parts.task.loss)
        return Mean(losses.mean(), len(item)), int(episode.support.lengths.sum() + episode.query.lengths.sum())

    def evaluate(self, parts: Parts, *, listener: Listener = silent) -> dict[str, float]:
        """Compute figures on the queries of the validation episodes, after adaptation."""
        logits, targets = self.outputs(parts, "validating", listener)
        figures: dict[str, float] = self._parts.task.summary(logits, targets)
        return figures

    def outputs(self, parts: Parts, what: str, listener: Listener) -> tuple[Array, Array]:
        """Compute logits ``[text, label]`` and targets ``[text]`` of all queries of the validation episodes."""
        logits = outputs(parts, self._stores["validation"], self.validation, self.config.batch, what, listener=listener)
        return np.concatenate(logits), np.concatenate([draw.query_targets for draw in self.validation])

    def baseline_figures(self, fitted: dict[str, Array]) -> dict[str, Figures]:
        """Compute the figures of the baselines on the queries of the validation episodes."""
        if not fitted:
            return {}
        indices = np.concatenate([draw.query for draw in self.validation])
        return baseline_figures(self._parts.task, fitted, self._whole["validation"].part(indices))
