"""The objective of supervised training: its items are batches of texts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lstmcli.contracts import EMBEDDING
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.inference import assemble
from lstmcli.inference.assemble import Parts
from lstmcli.storage.examples import SENTENCES, UNLABELLED
from lstmcli.training import class_weights, sentences
from lstmcli.training.adversarial import Adversary
from lstmcli.training.group import ALONE, Group
from lstmcli.training.objective import Objective
from lstmcli.types import Mean

Array = np.ndarray[Any, np.dtype[Any]]
SOFT_LABELS = "taught"  # key of a run's state: the teacher's probabilities for the unlabelled texts, if it has one


@dataclass(frozen=True)
class Item:
    """The indices of a batch: of the texts of an epoch, or of the sentences."""

    epoch: int
    indices: Ints
    sentences: bool = False


class SupervisedObjective(Objective):
    """Supervised training on batches of texts."""

    def __init__(self, parts: Parts, whole: dict[str, Store], stores: dict[str, Store], group: Group = ALONE) -> None:
        super().__init__(parts, whole, stores, assemble.outputs)
        self._group = group
        self._learned = _learned(stores if parts.config.train.crop is None else whole)
        self._cropped = (-1, self._learned)  # epoch and texts
        self.state |= class_weights.state_of(parts.task)
        if UNLABELLED in whole:
            self.state[SOFT_LABELS] = torch.from_numpy(whole[UNLABELLED].known_targets)
        self._sentences = stores.get(SENTENCES)
        embedding = parts.model.get_submodule(EMBEDDING)
        assert isinstance(embedding, nn.Embedding)
        self._adversary = Adversary(embedding)

    def items(self, epoch: int) -> list[Item]:
        """Return the batches of an epoch: of texts, and interleaved those of sentences with a teacher's embeddings."""
        config = self._parts.config
        seed, size = (config.seed, epoch), config.train.batch_tokens
        batches = batching.shuffled(self._texts(epoch).lengths, batch_tokens=size, seed=seed)
        items = [Item(epoch, indices) for indices in batches]
        if self._sentences is None:
            return items
        batches = batching.shuffled(self._sentences.lengths, batch_tokens=size // 2, seed=(*seed, 1))
        items += [Item(epoch, indices, sentences=True) for indices in batches]
        return [items[index] for index in np.random.default_rng((*seed, 2)).permutation(len(items))]

    def tokens(self, epoch: int) -> int:
        """Count the tokens of an epoch."""
        of_sentences = 0 if self._sentences is None else int(self._sentences.offsets[-1])
        return int(self._texts(epoch).offsets[-1]) + of_sentences

    def loss(self, item: Item) -> tuple[Mean, int]:
        """Compute the loss of this process's share of a batch, and the number of tokens of the batch."""
        parts, train = self._parts, self._parts.config.train
        store = self._sentences if item.sentences else self._texts(item.epoch)
        assert store is not None
        lengths = store.lengths_of(item.indices)
        indices, tokens = item.indices, int(lengths.sum())
        if self._group.several:
            indices = indices[self._group.share(lengths)]
            if not len(indices):
                return self._of_no_text(item), tokens
        if item.sentences:
            return sentences.loss(parts, store, indices), tokens
        batch = batching.collate(store, indices).to(parts.runtime.device)

        def scores_of() -> Any:
            with parts.runtime.autocast():
                return parts.model(batch)

        def loss_of() -> Mean:
            scores = scores_of()
            mean: Mean = parts.task.loss(scores, batch)
            if train.entropy_weight is None:
                return mean
            return mean + train.entropy_weight * parts.text_task.entropy(scores)

        epsilon = train.adversarial_epsilon
        mean = loss_of() if epsilon is None else self._adversary.loss(loss_of, epsilon, self._weighted)
        if train.vat_epsilon is not None:
            mean += self._adversary.virtual(scores_of, parts.text_task.divergence, batch.tokens, train.vat_epsilon)
        return mean, tokens

    def _weighted(self, mean: Mean) -> Tensor:
        return self._group.mean(mean)[0]

    def _of_no_text(self, item: Item) -> Mean:
        """Return the loss of an empty share, after taking part in what the other processes add up meanwhile."""
        nothing = Mean(torch.zeros(()), 0)
        if self._parts.config.train.adversarial_epsilon is not None and not item.sentences:
            self._group.mean(nothing)
        return nothing

    def _texts(self, epoch: int) -> Store:
        """Return the training texts of the epoch, cropped with ``train.crop``."""
        config = self._parts.config
        if config.train.crop is None:
            return self._learned
        if self._cropped[0] != epoch:
            self._cropped = (epoch, self._learned.cropped(config.train.crop, seed=(config.seed, epoch)))
        return self._cropped[1]


def _learned(stores: dict[str, Store]) -> Store:
    """Join the labelled texts and those with soft labels."""
    return stores["train"].with_soft_labels(stores[UNLABELLED]) if UNLABELLED in stores else stores["train"]
