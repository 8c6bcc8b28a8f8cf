"""A support that the encoder has read once: what an adaptation of the head alone needs of the texts and the model."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lstmcli.contracts import HEAD
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store
from lstmcli.events import Listener, silent
from lstmcli.inference import assemble
from lstmcli.inference.assemble import Parts
from lstmcli.types import Batch, ClassScores

Array = np.ndarray[Any, np.dtype[Any]]


class Frozen(nn.Module):
    """The head of a model, with the embeddings of the texts: the one token of a text is its row in ``embeddings``."""

    def __init__(self, model: nn.Module, embeddings: Tensor) -> None:
        super().__init__()
        self.add_module(HEAD, model.get_submodule(HEAD))
        self.register_buffer("embeddings", embeddings)

    def forward(self, batch: Batch) -> ClassScores:
        embedding = self.get_buffer("embeddings")[batch.tokens[:, 0]]
        return ClassScores(logits=self.get_submodule(HEAD)(embedding), embedding=embedding)


def support_of(parts: Parts, store: Store, *, listener: Listener = silent) -> tuple[Parts, Batch]:
    """Return the parts to adapt to the support, and the support as one batch.

    If the learner changes nothing but the head of a model that labels whole texts, the texts are embedded here, in
    small batches, and the model of the parts is ``Frozen``: memory and time of the adaptation do not depend on their
    length.
    """
    device = parts.runtime.device
    in_head = all(name.startswith(f"{HEAD}.") for name in parts.learner.names)
    if parts.task.READS != "text" or not in_head:
        return parts, batching.collate(store, np.arange(len(store))).to(device)
    rows = assemble.embeddings(parts, store, "reading the support", listener=listener)
    model, batch = read_once(parts, rows, store.known_targets)
    return replace(parts, model=model), batch


def read_once(parts: Parts, rows: Array, targets: Array) -> tuple[Frozen, Batch]:
    """Return the head of the model, and a batch of the texts. rows: their embeddings, ``[text, feature]``."""
    device = parts.runtime.device
    tokens, lengths = torch.arange(len(rows))[:, None], torch.ones(len(rows), dtype=torch.int64)
    batch = Batch(tokens, lengths, torch.from_numpy(targets))
    return Frozen(parts.model, torch.from_numpy(rows).to(device)).eval(), batch.to(device)
