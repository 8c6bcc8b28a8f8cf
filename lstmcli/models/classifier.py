"""Text classification: embed, read with an LSTM, pool over time, and a linear layer.

Pooling: the last hidden states (forward at the end, backward at the start), their mean or maximum over time, maximum
beside mean (the concat pooling of Howard & Ruder 2018, section 3.3, without the last state), or attention with a
learned query (Yang et al. 2016, section 2.2).

With ``context`` what a language model makes of each word in its context stands beside the word's vector (Peters et al.
2018); it reads the same tokens.

With ``film`` a text's first word scales each feature that is pooled of the text (Perez et al. 2018, equation 2 without
its shift): where that word says what is asked, as in ``t5 A fine book.``, the same features count for more or less.

With ``bag`` the pooled states stand beside a bag of the words themselves: a fixed random vector a word (Achlioptas
2003: products of such sums are nearly those of the counts), weighted, summed and brought to one length. A word's weight
is learned and begins with what Zipf's law makes of its rank for an inverse document frequency: frequent words say
little. Of classes that were never seen in training, shared words say more than what an LSTM has learned of others.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import Classifier as Config
from lstmcli.models.context import Context
from lstmcli.models.dropout import dropout
from lstmcli.models.language_model import LanguageModel
from lstmcli.models.layers import greatest, reader, wide, with_unknowns, word_vectors
from lstmcli.types import Batch, ClassScores

GAIN = 3.0  # length of the bag at the start: about that of the pooled states


class Classifier(nn.Module):
    """``Batch -> ClassScores``."""

    def __init__(self, config: Config, *, words: int, labels: int, context: LanguageModel | None = None) -> None:
        super().__init__()
        self.config = config
        self.embedding = word_vectors(words, config.embedding)
        self.context = None if context is None else Context(context)
        self.lstm = reader(config, config.embedding + (0 if self.context is None else self.context.features))
        features = config.hidden * (2 if config.bidirectional else 1)
        if config.pooling == "attention":
            self.attend = nn.Linear(features, features)
            self.query = nn.Linear(features, 1, bias=False)
        features *= 2 if config.pooling == "max-mean" else 1
        if config.film:
            self.film = nn.Linear(config.embedding, features, bias=False)
            nn.init.zeros_(self.film.weight)  # at the start whatever is asked is read alike
        if config.bag_of_words:
            begun = bag(words, config.bag_of_words)
            self.register_buffer("projection", begun["projection"])
            self.salience = nn.Parameter(begun["salience"])
            self.gain = nn.Parameter(begun["gain"])
        self.head = nn.Linear(features + config.bag_of_words, labels)

    def forward(self, batch: Batch) -> ClassScores:
        tokens = batch.tokens
        if self.training and self.config.word_dropout > 0:
            tokens = with_unknowns(batch, self.config.word_dropout)
        embedded = self.embedding(tokens)  # [batch, time, embedding]
        first = embedded[:, 0]
        if self.context is not None:
            embedded = torch.cat((embedded, self.context(batch)), dim=-1)
        embedded = dropout(embedded, self.config.dropout, self.training)
        hidden, _ = self.lstm(embedded, batch.lengths)  # [batch, time, directions * hidden]
        pooled = dropout(self._pool(hidden, batch), self.config.dropout, self.training)  # [batch, feature]
        if self.config.film:
            pooled = pooled * (1 + wide(self.film(first)))
        if self.config.bag_of_words:
            weights = F.embedding(tokens, self.salience[:, None]) * batch.mask[:, :, None]  # [batch, time, 1]
            summed = (weights * F.embedding(tokens, self.get_buffer("projection"))).sum(dim=1)
            pooled = torch.cat((wide(pooled), self.gain * F.normalize(summed, dim=-1)), dim=-1)
        return ClassScores(logits=wide(self.head(pooled)), embedding=pooled)

    def _pool(self, hidden: Tensor, batch: Batch) -> Tensor:
        mask = batch.mask[:, :, None]  # [batch, time, 1]
        if self.config.pooling == "last":
            last = hidden[torch.arange(len(hidden), device=hidden.device), batch.lengths - 1]
            size = self.config.hidden
            return torch.cat((last[:, :size], hidden[:, 0, size:]), dim=-1)
        if self.config.pooling == "attention":
            energy = wide(self.query(torch.tanh(self.attend(hidden)))).masked_fill(~mask, float("-inf"))
            attended: Tensor = (energy.softmax(dim=1) * hidden).sum(dim=1)
            return attended  # [batch, feature]
        pooled = []
        if "max" in self.config.pooling:
            # Padding is barred by an addition and what is greatest picked by place: a third of the time of ``amax``.
            outside = torch.zeros_like(mask, dtype=hidden.dtype).masked_fill(~mask, float("-inf"))
            pooled.append(wide(hidden.gather(1, greatest(hidden + outside)[:, None])[:, 0]))
        if "mean" in self.config.pooling:  # zero at padding; the sum is as coarse as the states
            pooled.append(wide(hidden.sum(dim=1)) / batch.lengths[:, None])
        return torch.cat(pooled, dim=-1)


def bag(words: int, dimensions: int) -> dict[str, Tensor]:
    """What the bag of a model that has learned nothing of it consists of, by the names of its tensors."""
    random = torch.Generator().manual_seed(0)  # no weight: the same in every model
    return {
        "projection": (torch.randn(words, dimensions, generator=random) / math.sqrt(dimensions)).half(),
        "salience": torch.arange(2, words + 2).log() / math.log(words + 2),  # [word]
        "gain": torch.tensor(GAIN),
    }


def build(config: Config, *, words: int, labels: int, context: LanguageModel | None = None) -> Classifier:
    """A model with fresh weights; what it draws comes from torch's global generator."""
    return Classifier(config, words=words, labels=labels, context=context)
