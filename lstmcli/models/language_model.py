"""Language model: each next word from those before it, by an LSTM whose state goes on from batch to batch.

Merity, Keskar & Socher (2018), "Regularizing and Optimizing LSTM Language Models": the same features dropped at every
word, words dropped from the vocabulary (Gal & Ghahramani 2016), recurrent weights dropped, large and changing hidden
states made to cost. Output vectors are the input vectors, after a linear map (Inan et al. 2017).

In both directions (Peters et al. 2018, section 3.1): a second LSTM reads the same words from their end. It needs no
data of its own: what the forward one is to predict, turned round, is what the backward one reads. It starts again with
each batch, since what follows a batch has not been read.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import LanguageModel as Config
from lstmcli.models.dropout import locked
from lstmcli.models.layers import END, at_least_float32, word_vectors
from lstmcli.models.lstm import LSTM, State, read_each, reverse
from lstmcli.models.softmax import AdaptiveSoftmax, TiedSoftmax
from lstmcli.types import Batch, TokenScores

ENCODER = ("embedding", "readers")
BY_WORD = ("embedding.weight", "softmax.bias")


class LanguageModel(nn.Module):
    """``Batch -> TokenScores``. The batch's targets are the words that follow."""

    def __init__(self, config: Config, *, words: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = word_vectors(words, config.embedding)
        sizes = [config.embedding, *[config.hidden] * config.layers]
        directions = 2 if config.bidirectional else 1
        self.readers = nn.ModuleList(  # [direction][layer]
            nn.ModuleList(
                LSTM(inputs, hidden, weight_drop=config.weight_drop, forget_bias=config.forget_bias)
                for inputs, hidden in pairwise(sizes)
            )
            for _ in range(directions)
        )
        self.maps = nn.ModuleList(nn.Linear(config.hidden, config.embedding) for _ in range(directions))
        self.softmax: TiedSoftmax | AdaptiveSoftmax
        if config.softmax == "adaptive":
            self.softmax = AdaptiveSoftmax(words, config.embedding)
        else:
            self.softmax = TiedSoftmax(words, config.samples if config.softmax == "sampled" else 0)

    def forward(self, batch: Batch, state: State | None = None) -> TokenScores:
        """state: where the forward direction goes on, ``[layer, batch, hidden]`` each, and then the scores tell where
        it ends; none: at a beginning."""
        assert batch.targets is not None  # batches of a token stream have what follows
        lengths, mask = batch.lengths, batch.mask
        indices = mask.flatten().nonzero()[:, 0]  # of the tokens
        directions = [(batch.tokens, batch.targets)]
        if self.config.bidirectional:
            turned = (reverse(one[:, :, None], lengths)[:, :, 0] for one in (batch.targets, batch.tokens))
            directions.append((next(turned), next(turned)))
        together = self._embedded(torch.cat([tokens for tokens, _ in directions])).chunk(len(directions))
        begun = [state, *[None] * (len(directions) - 1)]
        layers, last = self._read([self._drop(embedded) for embedded in together], lengths, begun)
        features, penalties = [], []
        for direction, hidden in enumerate(layers):
            dropped = self._drop(hidden[-1])
            penalties.append(self._penalty(hidden[-1], dropped, mask))
            features.append(self.maps[direction](dropped.flatten(0, 1).index_select(0, indices)))  # [token, embedding]
        known = torch.stack([targets[mask] for _, targets in directions])  # [direction, token]
        found = self.softmax(torch.stack(features), known, self.embedding.weight)
        logs = found.new_zeros(len(directions), *mask.shape).masked_scatter(mask, found)  # [direction, batch, time]
        logs = torch.stack([logs[0], *(reverse(one[:, :, None], lengths)[:, :, 0] for one in logs[1:])])
        return TokenScores(logs, lengths, torch.stack(penalties).mean(), last)

    def following(self, batch: Batch) -> Tensor:
        """Log probabilities of the word after the last of each text, forwards: ``[batch, word]``."""
        (hidden,), _ = self._read([self.embedding(batch.tokens)], batch.lengths, [None])
        last = hidden[-1][torch.arange(len(batch.lengths), device=batch.lengths.device), batch.lengths - 1]
        return self.softmax.all(self.maps[0](last), self.embedding.weight)

    def contexts(self, batch: Batch) -> Tensor:
        """Each word in the light of all others: word vectors and hidden states, ``[layer + 1, batch, time, feature]``.

        Each text stands between two ends, as in a token stream. A layer has the features of both directions; word
        vectors come twice, so that all layers are as wide as the widest and the rest is zero.
        """
        time = batch.tokens.shape[1]
        position = torch.arange(time + 2, device=batch.tokens.device)
        ended = F.pad(batch.tokens, (1, 1), value=END).where(position <= batch.lengths[:, None], END)
        lengths = batch.lengths + 2
        turned = reverse(ended[:, :, None], lengths)[:, :, 0]
        together = [self.embedding(tokens) for tokens in (ended, turned)[: len(self.readers)]]
        size = max(self.config.hidden, self.config.embedding)
        read, _ = self._read(together, lengths, [None] * len(together))
        layers: list[Tensor] = []
        for embedded, hidden in zip(together, read, strict=True):
            padded = [F.pad(at_least_float32(layer), (0, size - layer.shape[-1])) for layer in (embedded, *hidden)]
            layers.append(torch.stack([reverse(layer, lengths) for layer in padded] if layers else padded))
        return torch.cat(layers, dim=-1)[:, :, 1:-1] * batch.mask[None, :, :, None]

    def _embedded(self, tokens: Tensor) -> Tensor:
        """Word vectors ``[batch, time, embedding]``; a word that is dropped is dropped wherever it stands."""
        vectors: Tensor = self.embedding(tokens)
        if not self.training or self.config.embedding_dropout == 0:
            return vectors
        kept = F.dropout(vectors.new_ones(len(self.embedding.weight), 1), self.config.embedding_dropout)
        return vectors * F.embedding(tokens, kept)

    def begin(self, rows: int) -> State:
        """The state before any text of so many, ``[layer, batch, hidden]`` each."""
        zeros = self.embedding.weight.new_zeros(self.config.layers, rows, self.config.hidden)
        return zeros, zeros

    def _read(
        self, inputs: list[Tensor], lengths: Tensor, states: list[State | None]
    ) -> tuple[list[list[Tensor]], State | None]:
        """Of each direction, forwards first, the hidden states of each layer, ``[batch, time, hidden]``; and where all
        layers of the first end, if it had a beginning."""
        found: list[list[Tensor]] = [[] for _ in inputs]
        ends: list[State] = []
        for number in range(self.config.layers):
            layer = [self.get_submodule(f"readers.{direction}.{number}") for direction in range(len(inputs))]
            begin = [None if state is None else (state[0][number, None], state[1][number, None]) for state in states]
            below = [self._drop(own[-1]) for own in found] if number else inputs
            read = read_each(layer, below, lengths, begin)  # type: ignore[arg-type]
            for own, (hidden, _) in zip(found, read, strict=True):
                own.append(hidden)
            if (end := read[0][1]) is not None:
                ends.append(end)
        if not ends:
            return found, None
        return found, (torch.cat([hidden for hidden, _ in ends]), torch.cat([cell for _, cell in ends]))

    def _drop(self, features: Tensor) -> Tensor:
        return locked(features, self.config.dropout, self.training)

    def _penalty(self, hidden: Tensor, dropped: Tensor, mask: Tensor) -> Tensor:
        """Merity et al. (2017), "Revisiting Activation Regularization for Language RNNs", equations 3 and 4."""
        cost = at_least_float32(hidden).new_zeros(())
        if self.training and self.config.ar_weight:
            cost = cost + self.config.ar_weight * at_least_float32(dropped[mask]).square().mean()
        if self.training and self.config.tar_weight and hidden.shape[1] > 1:
            changes = at_least_float32(hidden[:, 1:] - hidden[:, :-1])[mask[:, 1:]]
            cost = cost + self.config.tar_weight * changes.square().mean()
        return cost


def build(config: Config, *, words: int, labels: int) -> LanguageModel:  # noqa: ARG001 (it has none)
    """A model with fresh weights; what it draws comes from torch's global generator."""
    return LanguageModel(config, words=words)


def shape(config: Config) -> dict[str, object]:
    """The options that decide the shape of the weights; a sampled softmax has those of a full one."""
    found: dict[str, object] = {key: getattr(config, key) for key in ("embedding", "hidden", "layers", "bidirectional")}
    return found | {"softmax": "full" if config.softmax == "sampled" else config.softmax}
