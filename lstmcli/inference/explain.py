"""The contribution of each word to the predicted label: integrated gradients of its log odds.

    c_i = (x_i - u) · ∫_0^1 ∂F(u + α (x - u)) / ∂x_i dα,    Σ_i c_i = F(x) - F(u)

Sundararajan, Taly & Yan (2017), "Axiomatic Attribution for Deep Networks", equation 1, summed over the features of each
word. F is log(p / (1 - p)) of the calibrated probability p of the label: its logit minus the log-sum-exp of the others,
at the checkpoint's temperature, in nats. x_i is all that the model has of the word at position i, the rows of its
tensors with one row per word (word vectors, bag of words). The baseline u is the text with every word unknown to the
model, so words that it does not know contribute nothing.

The integral is a midpoint rule of ``STEPS`` points. What it leaves, F(x) - F(u) - Σ_i c_i, is distributed over the
words in proportion to their absolute contributions, so that the sum is exact.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from lstmcli.config import Tokens
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.text.spans import Span, token_spans
from lstmcli.data.text.vocabulary import END, PADDING, UNKNOWN
from lstmcli.inference.assemble import Parts, in_batches, logits_from_memory
from lstmcli.inference.batches import EVALUATION_TOKENS
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.sinks import Answer
from lstmcli.types import Batch

Array = np.ndarray[Any, np.dtype[Any]]
STEPS = 3  # points of the midpoint rule; each costs about three times a prediction
FIXED = END + 1  # first ids, which keep their rows: padding, the unknown word, and the end of a text
BLANK: Answer = {"contributions": [], "base_value": None, "cut": None}  # of a row that cannot be used


class Explainer:
    """Explains predictions of a model that labels whole texts."""

    def __init__(self, checkpoint: Checkpoint, parts: Parts) -> None:
        self._parts = parts
        self._temperature = checkpoint.temperature
        self._by_word = sorted(checkpoint.by_word & parts.model.state_dict().keys())
        self._unknown: dict[int, Array] = {}  # logits of the text of so many unknown words

    def of(self, texts: Sequence[str], full: Store, logits: Array, labels: Sequence[str]) -> list[Answer]:
        """Explain the label of each text.

        Args:
            texts: As they were given.
            full: The texts whole; the model reads them truncated.
            logits: Of the texts as the model reads them, ``[text, label]``.
            labels: The label of each text that is explained.

        Returns:
            Per text the contributions ``[[start, end, weight], ...]`` of all its words in their order, with character
            offsets; the base value F(u); and the characters of the words in its middle that the model did not read,
            whose weights are zero, as ``[start, end]``.
        """
        config, known = self._parts.config.tokens, self._parts.vocabulary.labels
        store = full.truncated(config)
        targets = np.array([known.index(label) for label in labels])
        weights = self.integrated(store, targets)
        base = log_odds(self._of_unknown_words(store.lengths), targets, self._temperature)
        change = log_odds(logits, targets, self._temperature) - base
        spans = token_spans(self._parts.vocabulary, texts)
        return [
            _answer(of_words, completed(found, float(total)), float(value), config)
            for of_words, found, total, value in zip(spans, weights, change, base, strict=True)
        ]

    def integrated(self, store: Store, labels: Ints, steps: int = STEPS) -> list[Array]:
        """Compute the integrated gradients of each text's log odds, ``[token]``, by the midpoint rule.

        labels: ``[text]``; steps: points of the rule.
        """
        found: list[Array] = [np.zeros(0)] * len(store)

        def work(batch: Batch, indices: Ints) -> Array:
            return self._integrated(batch, torch.from_numpy(labels[indices]).to(batch.tokens.device), steps)

        for indices, rows in in_batches(self._parts, store, work, batch_tokens=EVALUATION_TOKENS // steps):
            for index, row in zip(indices.tolist(), rows, strict=True):
                found[index] = row[: store.lengths[index]]
        return found

    def _integrated(self, batch: Batch, labels: Tensor, steps: int) -> Array:
        """As ``integrated``, of one batch: ``[batch, time]``, all points of the rule at once.

        Every position gets an id of its own, so that the gradients of its rows are those of the position.
        """
        count, time = batch.tokens.shape
        ids = torch.arange(steps * count * time, device=batch.tokens.device).view(-1, time) + FIXED
        ids = ids.where(batch.mask.repeat(steps, 1), PADDING)
        model = _Logits(self._parts)
        points, changes, state = {}, {}, self._parts.model.state_dict()
        for name in self._by_word:
            table = state[name]
            fixed = table[:FIXED].float()
            change = table[batch.tokens.flatten()].float() - fixed[UNKNOWN]  # [batch * time, ...]
            between = [fixed[UNKNOWN] + (step + 0.5) / steps * change for step in range(steps)]
            points[f"model.{name}"] = torch.cat((fixed, *between)).requires_grad_()
            changes[f"model.{name}"] = change
        with torch.enable_grad():
            logits = functional_call(model, points, (Batch(ids, batch.lengths.repeat(steps)),))
            odds = _log_odds(logits, labels.repeat(steps), self._temperature)
            gradients = torch.autograd.grad(odds.sum(), list(points.values()))
        total = batch.tokens.new_zeros(count * time, dtype=torch.float32)
        for name, gradient in zip(points, gradients, strict=True):
            mean = gradient[FIXED:].view(steps, *changes[name].shape).mean(dim=0)
            total += (mean * changes[name]).flatten(1).sum(dim=1) if mean.ndim > 1 else mean * changes[name]
        found: Array = (total.view(count, time) * batch.mask).double().cpu().numpy()
        return found

    def _of_unknown_words(self, lengths: Ints) -> Array:
        """Return the logits of texts of unknown words, of these lengths, ``[text, label]``."""
        new = np.array(sorted(set(lengths.tolist()) - self._unknown.keys()), dtype=lengths.dtype)
        if len(new):
            offsets = np.concatenate(([0], new.cumsum()))
            store = Store(np.full(offsets[-1], UNKNOWN, np.int32), offsets)

            def work(batch: Batch, _: Ints) -> Array:
                with torch.inference_mode():
                    logits: Array = _Logits(self._parts)(batch).double().cpu().numpy()
                return logits

            for indices, rows in in_batches(self._parts, store, work):
                self._unknown |= zip(new[indices].tolist(), rows, strict=True)
        return np.stack([self._unknown[length] for length in lengths.tolist()])


class _Logits(nn.Module):
    """The logits of a batch as one module, whose weights ``functional_call`` can substitute.

    It has a copy of the model that shares its tensors: other threads call the same model.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        tensors = chain(parts.model.parameters(), parts.model.buffers())
        self.model = copy.deepcopy(parts.model, {id(tensor): tensor for tensor in tensors})
        self._parts = replace(parts, model=self.model)

    def forward(self, batch: Batch) -> Tensor:
        if self._parts.memory:
            return logits_from_memory(self._parts, batch)
        with self._parts.runtime.autocast():
            logits: Tensor = self.model(batch).logits
        return logits


def log_odds(logits: Array, labels: Ints, temperature: float) -> Array:
    """Compute log(p / (1 - p)) of each text's label, ``[text]``. logits: ``[text, label]``."""
    return _log_odds(torch.from_numpy(logits).double(), torch.from_numpy(labels), temperature).numpy()


def _log_odds(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    logits = logits / temperature
    label = labels[:, None]
    return logits.gather(1, label)[:, 0] - logits.scatter(1, label, float("-inf")).logsumexp(dim=1)


def completed(weights: Array, change: float) -> Array:
    """Distribute what the weights lack to the change of the log odds, in proportion to their absolute values."""
    absolute = np.abs(weights)
    total = absolute.sum()
    return weights + (change - weights.sum()) * absolute / total if total > 0 else weights


def _answer(spans: Sequence[Span], weights: Array, base_value: float, tokens: Tokens) -> Answer:
    """Return the explanation of one text. spans: of the word of each token, read or not; weights: of those read."""
    head = round(tokens.max_tokens * tokens.head)
    over = len(spans) - len(weights)
    cut = [spans[head][0], spans[head + over - 1][1]] if over else None
    each = np.insert(weights, min(head, len(weights)), np.zeros(over))
    contributions: list[list[Any]] = []
    for (begin, end), weight in zip(spans, each.tolist(), strict=True):
        if contributions and contributions[-1][:2] == [begin, end]:  # another piece of the same word
            contributions[-1][2] += weight
        else:
            contributions.append([begin, end, weight])
    rounded = [[begin, end, round(weight, 6)] for begin, end, weight in contributions]
    return {"contributions": rounded, "base_value": round(base_value, 6), "cut": cut}
