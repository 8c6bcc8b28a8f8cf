"""Tagging: word vectors concatenated with features of each word's characters, an LSTM, and a CRF or softmax.

Character features come from an LSTM (Lample et al. 2016, section 4.1) or from a convolution of width 3 with max pooling
(Ma & Hovy 2016, section 2.1). A vector encodes capitalisation (Collobert et al. 2011). Variational dropout drops the
same features at every word of a text (Gal & Ghahramani 2016; Reimers & Gurevych 2017, section 7.4). Contextual vectors
of a language model are optional (Peters et al. 2018).
"""

from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import Tagger as Config
from lstmcli.models.context import WEIGHTS, Context
from lstmcli.models.dropout import locked
from lstmcli.models.language_model import LanguageModel
from lstmcli.models.layers import PADDING, argmax_over_time, at_least_float32, build_lstm, with_unknowns, word_vectors
from lstmcli.models.lstm import LSTM
from lstmcli.tags import FORBIDDEN, allowed
from lstmcli.types import BYTES, CASINGS, Batch, TagScores, WordFeatures

ENCODER = ("embedding", "lstm")
READER = "lstm"
CONTEXT = WEIGHTS
FROZEN_VECTORS = "carried"  # a key of checkpoints
WIDTH = Config.WIDTH


class Tagger(nn.Module):
    """``Batch -> TagScores``. Words from ``words`` on have frozen pretrained vectors."""

    carried: Tensor  # [word, embedding]
    between: Tensor  # [label, label]; like the next two zero, or FORBIDDEN where the tag scheme rules it out
    first: Tensor  # [label]
    last: Tensor  # [label]

    def __init__(
        self, config: Config, *, words: int, labels: int, frozen_words: int = 0, context: LanguageModel | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.words = words
        self.embedding = word_vectors(words, config.embedding)
        self.register_buffer(FROZEN_VECTORS, torch.zeros(frozen_words, config.embedding, dtype=torch.float16))
        inputs = config.embedding + config.casing
        if config.characters != "none":
            inputs += config.character_features
            # Of characters; the name is a key of checkpoints.
            self.letters = nn.Embedding(BYTES, config.character_embedding, padding_idx=PADDING)
        if config.characters == "cnn":
            self.convolution = nn.Linear(WIDTH * config.character_embedding, config.character_features)
        if config.characters == "lstm":
            self.reader = LSTM(config.character_embedding, config.character_features // 2, bidirectional=True)
            inputs -= config.character_features % 2
        if config.casing:
            self.casing = nn.Embedding(CASINGS, config.casing)
        self.context = None if context is None else Context(context)
        inputs += 0 if self.context is None else self.context.features
        self.lstm = build_lstm(config, inputs)
        self.head = nn.Linear(config.hidden * (2 if config.bidirectional else 1), labels)
        if config.head == "crf":
            self.transitions = nn.Parameter(torch.zeros(labels, labels))
            self.start = nn.Parameter(torch.zeros(labels))
            self.end = nn.Parameter(torch.zeros(labels))
        chain = allowed(labels) if config.head == "crf" else [torch.ones(labels, labels), *torch.ones(2, labels)]
        for name, valid in zip(("between", "first", "last"), chain, strict=True):
            scores = torch.where(torch.as_tensor(valid).bool(), 0.0, FORBIDDEN)
            self.register_buffer(name, scores, persistent=False)

    def forward(self, batch: Batch) -> TagScores:
        assert batch.word_features is not None  # batches of pretokenized words have them
        tokens = batch.tokens
        if self.training and self.config.word_dropout > 0:
            tokens = with_unknowns(batch, self.config.word_dropout)
        features = [self._vectors(tokens), *self._features(batch.word_features)]
        if self.context is not None:
            features.append(self.context(replace(batch, tokens=batch.word_features.context[batch.word_features.forms])))
        hidden, _ = self.lstm(self._drop(torch.cat(features, dim=-1)), batch.lengths)
        embedding = self._drop(hidden)
        emissions = at_least_float32(self.head(embedding))  # [batch, time, label]
        if self.config.head == "softmax":
            return TagScores(emissions, self.between, self.first, self.last, embedding, batch.lengths)
        transitions, start, end = self.transitions + self.between, self.start + self.first, self.end + self.last
        return TagScores(emissions, transitions, start, end, embedding, batch.lengths)

    def _vectors(self, tokens: Tensor) -> Tensor:
        if not len(self.carried):
            vectors: Tensor = self.embedding(tokens)
            return vectors
        vectors = self.embedding(tokens.clamp(max=self.words - 1))
        frozen = F.embedding((tokens - self.words).clamp(min=0), self.carried)
        return torch.where((tokens < self.words)[:, :, None], vectors, frozen.to(vectors.dtype))

    def _features(self, words: WordFeatures) -> list[Tensor]:
        """Features of the words' characters, ``[batch, time, feature]`` each: computed once per form."""
        features = []
        if self.config.casing:
            features.append(self.casing(words.casing))
        if self.config.characters != "none":
            read = self._convolve if self.config.characters == "cnn" else self._read
            features.append(read(words.characters))
        return [F.embedding(words.forms, feature) for feature in features]

    def _convolve(self, characters: Tensor) -> Tensor:
        """Compute the character features of each surface form by a convolution and max pooling, ``[form, feature]``.

        There are few characters, so a table holds what each adds to a feature at each position of the window. The
        argmax over time is found without gradients; only the terms at the argmax are differentiated.

        characters: ``[form, time]``.
        """
        known = torch.arange(BYTES, device=characters.device)[:, None] != PADDING
        weight = self.convolution.weight.view(-1, WIDTH, self.config.character_embedding)
        table = (self.letters.weight * known) @ weight.permute(2, 1, 0).flatten(1)
        rows = at_least_float32(table).view(BYTES * WIDTH, -1)  # [character and position, feature]
        padded = F.pad(characters, (1, 1), value=PADDING)
        positions = torch.arange(WIDTH, device=padded.device)
        spans = (padded.unfold(1, WIDTH, 1) * WIDTH + positions).unbind(dim=2)  # of each position: [form, time]
        with torch.no_grad():
            # Windows around padding must not be the maximum.
            masked = rows.index_fill(0, padded.new_tensor([PADDING * WIDTH + 1]), FORBIDDEN)
            sums = reduce(torch.add, (F.embedding(span, masked) for span in spans))  # [form, time, feature]
            argmax = argmax_over_time(sums)  # [form, feature]
        chosen = torch.stack([span.gather(1, argmax) for span in spans])  # [position, form, feature]
        return rows.gather(0, chosen.flatten(0, 1)).view_as(chosen).sum(dim=0) + self.convolution.bias

    def _read(self, characters: Tensor) -> Tensor:
        """Compute the same by an LSTM: its last hidden state in both directions, concatenated."""
        _, state = self.reader(self.letters(characters), (characters != PADDING).sum(dim=1), carry=True)
        assert state is not None
        return torch.cat((state[0][0], state[0][1]), dim=-1)

    def _drop(self, features: Tensor) -> Tensor:
        return locked(features, self.config.dropout, self.training)


def build(
    config: Config, *, words: int, labels: int, frozen_words: int = 0, context: LanguageModel | None = None
) -> Tagger:
    """Build a model with new weights, drawn from torch's global generator.

    frozen_words: number of words with frozen pretrained vectors.
    """
    return Tagger(config, words=words, labels=labels, frozen_words=frozen_words, context=context)


def shape(config: Config) -> dict[str, object]:
    """Return the options that decide the shape of the weights."""
    keys = ("embedding", "characters", "character_embedding", "character_features", "casing", "head", "hidden",
            "layers", "bidirectional", "context")  # fmt: skip
    return {key: getattr(config, key) for key in keys}
