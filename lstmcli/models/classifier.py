"""Text classification: embed, run an LSTM, pool over time, apply a linear layer.

Pooling: the last hidden states (forward at the end, backward at the start), their mean or maximum over time, maximum
beside mean (the concat pooling of Howard & Ruder 2018, section 3.3, without the last state), or attention with a
learned query (Yang et al. 2016, section 2.2).

``context``: the contextual vector of each word (``models/context.py``) is concatenated to its word vector. The language
model reads the same tokens.

``film``: the embedding of a text's first token scales each pooled feature (Perez et al. 2018, equation 2 without its
shift). Where the first token names the task, as in ``t5 A fine book.``, each task weights the features its own way.

``sentence_embedding``: a linear map of the pooled states plus one of the weighted sum of the word vectors, scaled to
one length, is concatenated to the pooled states. It learns the embeddings of a teacher (Reimers & Gurevych 2019), in
which texts of similar meaning are close: features for classes never seen in training. The words alone are a good part
of such an embedding (Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings"); the LSTM adds
what depends on their order. The map reads the states before dropout.

``bag_of_words``: a bag of words is concatenated to the pooled states. It is the weighted sum of a fixed random vector
per word, scaled to one length. Such a random projection nearly keeps the inner products of the word counts (Achlioptas
2003). The weight per word is learned. It starts at the inverse document frequency that Zipf's law gives for the word's
rank, so frequent words count little. On classes never seen in training, shared words tell more than LSTM states.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import TextReader as Config
from lstmcli.models.context import WEIGHTS, Context
from lstmcli.models.dropout import dropout
from lstmcli.models.language_model import LanguageModel
from lstmcli.models.layers import UNKNOWN, argmax_over_time, at_least_float32, build_lstm, with_unknowns, word_vectors
from lstmcli.types import Batch, ClassScores

GAIN = 3.0  # initial length of the bag of words: about that of the pooled states
ADDED_GAIN = 8.0  # the same for a bag added to a trained model, whose pooled states have a length of about 2
SIMILARITY = 0.7  # in a bag added to a trained model: how much similar spelling counts in the products of its words
ENCODER = ("embedding", "lstm")
READER = "lstm"
BY_WORD = ("embedding.weight", "projection", "salience", "word_weight")
CONTEXT = WEIGHTS
PARENTS = {"language-model": ("embedding", "hidden")}


class Classifier(nn.Module):
    """Map a ``Batch`` to ``ClassScores``."""

    def __init__(self, config: Config, *, words: int, labels: int, context: LanguageModel | None = None) -> None:
        super().__init__()
        self.config = config
        self.embedding = word_vectors(words, config.embedding)
        self.context = None if context is None else Context(context)
        self.lstm = build_lstm(config, config.embedding + (0 if self.context is None else self.context.features))
        features = config.hidden * (2 if config.bidirectional else 1)
        if config.pooling == "attention":
            self.attend = nn.Linear(features, features)
            self.query = nn.Linear(features, 1, bias=False)
        features *= 2 if config.pooling == "max-mean" else 1
        if config.film:
            self.film = nn.Linear(config.embedding, features, bias=False)
            nn.init.zeros_(self.film.weight)  # initially no first token scales anything
        if config.bag_of_words:
            initial = initial_bag(words, config.bag_of_words)
            self.register_buffer("projection", initial["projection"])
            self.salience = nn.Parameter(initial["salience"])  # weight per word
            self.gain = nn.Parameter(initial["gain"])
        if config.sentence_embedding:
            self.sentence = nn.Linear(features, config.sentence_embedding, bias=False)
            self.sentence_words = nn.Linear(config.embedding, config.sentence_embedding, bias=False)
            self.word_weight = nn.Parameter(torch.ones(words))
            self.register_buffer("sentence_gain", torch.tensor(1.0))
        self.head = nn.Linear(features + config.sentence_embedding + config.bag_of_words, labels)

    def forward(self, batch: Batch) -> ClassScores:
        tokens = batch.tokens
        if self.training and self.config.word_dropout > 0:
            tokens = with_unknowns(batch, self.config.word_dropout)
        embedded = self.embedding(tokens)  # [batch, time, embedding]
        states = self._pooled(embedded, batch, self.config.dropout)
        pooled = dropout(states, self.config.dropout, self.training)  # [batch, feature]
        if self.config.film:
            pooled = pooled * (1 + at_least_float32(self.film(embedded[:, 0])))
        if self.config.sentence_embedding:
            sentence = self.get_buffer("sentence_gain") * self._sentence(tokens, embedded, states, batch)
            pooled = torch.cat((at_least_float32(pooled), sentence), dim=-1)
        if self.config.bag_of_words:
            weights = F.embedding(tokens, self.salience[:, None]) * batch.mask[:, :, None]  # [batch, time, 1]
            summed = (weights * F.embedding(tokens, self.get_buffer("projection"))).sum(dim=1)
            pooled = torch.cat((at_least_float32(pooled), self.gain * F.normalize(summed, dim=-1)), dim=-1)
        return ClassScores(logits=at_least_float32(self.head(pooled)), embedding=pooled)

    def sentences(self, batch: Batch) -> Tensor:
        """Compute the sentence embeddings, of length 1, without dropout: ``[batch, dimension]``."""
        embedded = self.embedding(batch.tokens)
        return self._sentence(batch.tokens, embedded, self._pooled(embedded, batch, 0.0), batch)

    def _pooled(self, embedded: Tensor, batch: Batch, rate: float) -> Tensor:
        """Run the LSTM over word vectors and pool its states: ``[batch, feature]``. rate: of dropout on the vectors."""
        if self.context is not None:
            embedded = torch.cat((embedded, self.context(batch)), dim=-1)
        hidden, _ = self.lstm(dropout(embedded, rate, self.training), batch.lengths)
        return self._pool(hidden, batch)  # [batch, time, directions * hidden] to [batch, feature]

    def _sentence(self, tokens: Tensor, embedded: Tensor, states: Tensor, batch: Batch) -> Tensor:
        weights = F.embedding(tokens, self.word_weight[:, None]) * batch.mask[:, :, None]  # [batch, time, 1]
        words = (weights * at_least_float32(embedded)).sum(dim=1) / batch.lengths[:, None].sqrt()
        mapped = at_least_float32(self.sentence(states)) + at_least_float32(self.sentence_words(words))
        return F.normalize(mapped, dim=-1)

    def _pool(self, hidden: Tensor, batch: Batch) -> Tensor:
        mask = batch.mask[:, :, None]  # [batch, time, 1]
        if self.config.pooling == "last":
            last = hidden[torch.arange(len(hidden), device=hidden.device), batch.lengths - 1]
            size = self.config.hidden
            return torch.cat((last[:, :size], hidden[:, 0, size:]), dim=-1)
        if self.config.pooling == "attention":
            energy = at_least_float32(self.query(torch.tanh(self.attend(hidden)))).masked_fill(~mask, float("-inf"))
            attended: Tensor = (energy.softmax(dim=1) * hidden).sum(dim=1)
            return attended  # [batch, feature]
        pooled = []
        if "max" in self.config.pooling:
            # Masking padding by addition and gathering the maximum by its index takes a third of the time of ``amax``.
            masked = torch.zeros_like(mask, dtype=hidden.dtype).masked_fill(~mask, float("-inf"))
            pooled.append(at_least_float32(hidden.gather(1, argmax_over_time(hidden + masked)[:, None])[:, 0]))
        if "mean" in self.config.pooling:  # hidden states are zero at padding; the sum keeps their precision
            pooled.append(at_least_float32(hidden.sum(dim=1)) / batch.lengths[:, None])
        return torch.cat(pooled, dim=-1)


def initial_bag(words: int, dimensions: int) -> dict[str, Tensor]:
    """Return the tensors of an untrained bag of words, by parameter name."""
    random = torch.Generator().manual_seed(0)  # not learned: the same projection in every model
    return {
        "projection": (torch.empty(words, dimensions).normal_(generator=random) / math.sqrt(dimensions)).half(),
        "salience": torch.arange(2, words + 2).log() / math.log(words + 2),  # [word]
        "gain": torch.tensor(GAIN),
    }


def build(config: Config, *, words: int, labels: int, context: LanguageModel | None = None) -> Classifier:
    """Build a model with new weights, drawn from torch's global generator."""
    return Classifier(config, words=words, labels=labels, context=context)


def shape(config: Config) -> dict[str, object]:
    """Return the options that decide the shape of the weights."""
    keys = ("embedding", "hidden", "layers", "bidirectional", "pooling", "film", "context")
    return {key: getattr(config, key) for key in (*keys, "sentence_embedding", "bag_of_words")}


def inherited(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a language model's word vectors and the first layer of each direction to the classifier's names."""
    first_layer = {
        f"lstm.{kind}_l0{suffix}": f"readers.{direction}.0.{kind}_l0"
        for direction, suffix in enumerate(("", "_reverse"))
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    names = first_layer | {"embedding.weight": "embedding.weight"}
    return {name: weights[source] for name, source in names.items() if source in weights}


def with_bag(weights: dict[str, Tensor], likeness: Tensor) -> dict[str, Tensor]:
    """Add a bag of words to the weights of a model without one; its head does not use the bag yet.

    Words beyond the rows of the embedding are new: they get the vector of the unknown word.

    Args:
        weights: By parameter name.
        likeness: A random vector per word, similar for words of similar spelling, ``[word, dimension]``.
    """
    size, dimensions = likeness.shape
    added = initial_bag(size, dimensions)
    mixed = (1 - SIMILARITY) ** 0.5 * added["projection"].float() + SIMILARITY**0.5 * likeness
    head = weights["head.weight"]
    changed = {"projection": mixed.half(), "salience": added["salience"], "gain": torch.tensor(ADDED_GAIN)}
    for name in {*BY_WORD} & weights.keys():
        rows = weights[name]
        changed[name] = torch.cat((rows, rows[UNKNOWN].expand(size - len(rows), *rows.shape[1:])))
    if "sentence_gain" in weights:  # the sentence embedding becomes as long as the bag; the logits stay the same
        changed["sentence_gain"] = torch.tensor(ADDED_GAIN)
        start = head.shape[1] - len(weights["sentence.weight"])
        rescaled = head[:, start:] * weights["sentence_gain"] / ADDED_GAIN
        head = torch.cat((head[:, :start], rescaled), dim=1)
    changed["head.weight"] = torch.cat((head, head.new_zeros(len(head), dimensions)), dim=1)
    return weights | changed
