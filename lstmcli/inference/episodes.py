"""Few-shot inference: adapt to the support of each episode, and score its query."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.data.batches import encoded as store
from lstmcli.data.batches import episodes
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.episodes import Draw
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, Progress, silent
from lstmcli.inference.assemble import Parts
from lstmcli.inference.batches import EVALUATION_TOKENS
from lstmcli.types import Batch, Episode, Example

Array = np.ndarray[Any, np.dtype[Any]]


def check_task(config: RunConfig) -> None:
    """Raise ConfigError if the model does not label whole texts, the only task with episodes."""
    if registry.task(config.task).READS != "text":
        fix = "give a model that labels whole texts: -c FILE, or train one: lstmcli train opinions"
        raise ConfigError("episodes are drawn of whole texts with labels", where=f"model: {config.model.name}", fix=fix)


def draws_classes(config: RunConfig) -> bool:
    """Return True if each episode draws its own classes."""
    return config.episodes is not None and config.episodes.ways is not None


def labels_of(config: RunConfig, examples: Sequence[Example]) -> tuple[str, ...]:
    """Return the labels of the head: the data's, or numbered classes if each episode draws its own."""
    if config.episodes is not None and config.episodes.ways is not None:
        return tuple(f"class {number}" for number in range(1, config.episodes.ways + 1))
    return store.labels_of(examples)


def check_finite(values: Iterable[Tensor]) -> None:
    """Raise ConfigError if adapted values are not finite."""
    if not all(bool(torch.isfinite(value).all()) for value in values):
        rate = "lstmcli train RECIPE --set learner.lr=0.01"
        fix = f"take fewer: lstmcli adapt --steps N; or train with a lower rate of the learner: {rate}"
        raise ConfigError("the steps lead to weights that are not numbers", where="learner.lr", fix=fix)


def outputs(
    parts: Parts,
    store: Store,
    drawn: Sequence[Draw],
    batch: int,
    what: str,
    listener: Listener = silent,
    *,
    known: int | None = None,
) -> list[Array]:
    """Compute the logits of each episode's query after adaptation to its support, ``[text, label]`` each.

    known: size of the vocabulary before words of the data were added, as in ``episodes.collate``.
    """
    parts.model.eval()
    results: list[Array] = []
    for item in batches_of(list(drawn), batch):
        episode = episodes.collate(store, item, known=known).to(parts.runtime.device)
        results += adapted(parts, episode)
        listener(Progress(what, len(results), len(drawn)))
    return results


def adapted(parts: Parts, episode: Episode) -> list[Array]:
    """Adapt to each task's support, and compute the logits of its query, ``[text, label]`` each."""
    with torch.no_grad():
        steps = parts.learner.trajectory(parts.model, episode.support, parts.task.loss)
        return logits_at(parts, deque(steps, maxlen=1).pop(), episode.query)


def logits_at(parts: Parts, weights: dict[str, Tensor], batch: Batch) -> list[Array]:
    """Compute the logits of each task at its weights, ``[text, label]`` each, a few texts at a time."""
    tasks, texts, time = batch.tokens.shape
    size = max(1, EVALUATION_TOKENS // (tasks * time))
    pieces = []
    for start in range(0, texts, size):
        piece = Batch(batch.tokens[:, start : start + size], batch.lengths[:, start : start + size])
        pieces.append(parts.learner.logits(parts.model, piece)(weights))
    return list(torch.cat(pieces, dim=1).float().cpu().numpy())


def batches_of(drawn: list[Draw], size: int) -> list[list[Draw]]:
    """Batch consecutive episodes of one shape, at most ``size`` each."""
    by_shape = groupby(drawn, key=lambda draw: (len(draw.support), len(draw.query)))
    groups = (list(group) for _, group in by_shape)
    return [group[start : start + size] for group in groups for start in range(0, len(group), size)]
