"""Meta-training: what the loop's items, loss and validation are where a run learns to adapt."""

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
VALIDATION = 1  # beside the seed of a run: of its validation episodes, the same in every epoch
TRAINING = 2


def check(config: RunConfig) -> None:
    """Raises ConfigError where the recipe asks of episodes what they cannot do."""
    if config.episodes is None:
        return
    check_task(config)
    if config.learner.name == "finetune":
        fix = "choose one that is meta-trained: --learner maml; or leave episodes out: --set episodes=none"
        raise ConfigError("fine-tuning has nothing to learn from episodes", where="learner.name=finetune", fix=fix)
    for key in ("adversarial_epsilon", "crop", "teacher", "vat_epsilon", "entropy_weight"):
        if getattr(config.train, key) is not None:
            raise ConfigError(f"train.{key} has no effect on episodes", where=f"train.{key}", fix="leave it out")


def learns_head(parts: Parts) -> bool:
    """True where the model's own head is learned. Where every task makes a new one, it stays as it was at the start."""
    config = parts.config
    begun = config.model.init is not None
    return not draws_classes(config) and (config.episodes is None or begun or not parts.learner.whole_texts)


class EpisodicObjective:
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
        self._pools = episodes.usable(episodes.pools(inputs.train), self.config, labels, split="train")
        held = episodes.usable(episodes.pools(inputs.validation), self.config, labels, split="validation")
        self.validation = self._draw(held, self.config.validation, VALIDATION)

    def _draw(self, pools: list[Pool], count: int, *seed: int) -> list[Draw]:
        return list(episodes.draws(pools, self.config, count=count, seed=(self._parts.config.seed, *seed)))

    def items(self, epoch: int) -> list[list[Draw]]:
        """The meta-batches of an epoch."""
        return batches_of(self._draw(self._pools, self.config.count, TRAINING, epoch), self.config.batch)

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

    def evaluate(self, parts: Parts, *, listener: Listener = silent) -> dict[str, float]:
        """Figures on the queries of the validation episodes, after adaptation."""
        logits, targets = self.outputs(parts, "validating", listener)
        figures: dict[str, float] = self._parts.task.summary(logits, targets)
        return figures

    def outputs(self, parts: Parts, what: str, listener: Listener) -> tuple[Array, Array]:
        """Of all queries of the validation episodes: logits ``[text, label]`` and targets ``[text]``."""
        logits = outputs(parts, self._stores["validation"], self.validation, self.config.batch, what, listener=listener)
        return np.concatenate(logits), np.concatenate([one.query_targets for one in self.validation])

    def beside(self, fitted: dict[str, Array]) -> dict[str, Figures]:
        """The figures of the baselines on the queries of the validation episodes."""
        if not fitted:
            return {}
        places = np.concatenate([one.query for one in self.validation])
        return baseline_figures(self._parts.task, fitted, self._whole["validation"].part(places))
