"""Batches of about equal cost: texts of like length together, as many as a budget of tokens allows.

On a CPU this replaces ``pack_padded_sequence``, whose backward pass is many times slower than padding.
"""

import numpy as np

from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints, runs
from lstmcli.data.spool import taken
from lstmcli.types import Batch, WordFeatures

JITTER = 0.1  # lengths are blurred by ± 10 %, so that not the same texts are batched together in every epoch


def shuffled(lengths: Ints, *, batch_tokens: int, seed: tuple[int, ...]) -> list[Ints]:
    """Return the indices of each batch of one epoch, in the order drawn by the seed."""
    random = np.random.default_rng(seed)
    order = np.argsort(-lengths * random.uniform(1 - JITTER, 1 + JITTER, len(lengths)), kind="stable")
    batches = _cut(lengths, order, batch_tokens)
    return [batches[index] for index in random.permutation(len(batches))]


def by_length(lengths: Ints, *, batch_tokens: int) -> list[Ints]:
    """Return the indices of each batch, longest texts first: the least padding there can be."""
    return _cut(lengths, np.argsort(-lengths, kind="stable"), batch_tokens)


def _cut(lengths: Ints, order: Ints, batch_tokens: int) -> list[Ints]:
    batches = []
    start = 0
    while start < len(order):
        # Padding counts: a batch costs its number of texts times its longest text.
        window = order[start : start + max(1, batch_tokens)]
        costs = np.maximum.accumulate(lengths[window]) * np.arange(1, len(window) + 1)
        size = max(1, int(np.searchsorted(costs, batch_tokens, side="right")))
        batches.append(window[:size])
        start += size
    return batches


def padded(store: Store, indices: Ints) -> tuple[Ints, Ints]:
    """Return the tokens of the texts at the indices, padded to the longest of them, ``[batch, time]``, and their
    lengths, ``[batch]``."""
    lengths = store.lengths_of(indices).astype(np.int64)
    tokens = np.zeros((len(indices), int(lengths.max())), dtype=np.int64)
    flat = runs(store.offsets[indices], lengths)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = taken(store.ids, flat)
    return tokens, lengths


def word_features(store: Store, indices: Ints) -> dict[str, Ints]:
    """Return the features of the words of the texts at the indices, as a ``types.WordFeatures`` has them; none of raw
    text."""
    if store.forms is None or store.form_ids is None:
        return {}
    lengths = store.lengths_of(indices)
    inside = np.arange(lengths.max()) < lengths[:, None]
    return store.forms.features_of(store.form_ids[runs(store.offsets[indices], lengths)], inside)


def collate(store: Store, indices: Ints) -> Batch:
    """Return the texts at the indices, padded to the longest of them."""
    import torch

    tokens, lengths = padded(store, indices)
    inside = np.arange(tokens.shape[1]) < lengths[:, None]
    flat = runs(store.offsets[indices], lengths)
    of_words = {name: torch.from_numpy(value) for name, value in word_features(store, indices).items()}
    targets = store.targets
    if targets is not None and store.per_token:
        targets = np.zeros_like(tokens)
        targets[inside] = store.known_targets[flat]
    elif targets is not None:
        targets = targets[indices]
    return Batch(
        torch.from_numpy(tokens),
        torch.from_numpy(lengths),
        None if targets is None else torch.from_numpy(targets),
        WordFeatures(**of_words) if of_words else None,
    )
