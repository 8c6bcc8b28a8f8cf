"""Language model: an LSTM that predicts each next word; its state carries over from batch to batch.

Merity, Keskar & Socher (2018), "Regularizing and Optimizing LSTM Language Models": variational dropout, embedding
dropout (Gal & Ghahramani 2016), weight drop, activation regularisation (AR) and temporal AR (TAR). The output vectors
are tied to the input vectors, after a linear map (Inan et al. 2017).

``bidirectional`` (Peters et al. 2018, section 3.1): a second LSTM reads the same words from the end. The reversed
targets of the forward direction are the inputs of the backward one. The backward state starts at zero in each batch,
since the text after the batch has not been read.
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
    """Map a ``Batch``, whose targets are the next words, to ``TokenScores``."""

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
        """Score the targets.

        state: hidden and cell from which the forward direction continues, ``[layer, batch, hidden]`` each; the scores
        then hold its last state. None: start at zero, return no state.
        """
        assert batch.targets is not None  # set in every batch of a token stream
        lengths, mask = batch.lengths, batch.mask
        indices = mask.flatten().nonzero()[:, 0]  # of the tokens
        directions = [(batch.tokens, batch.targets)]  # inputs and targets of each
        if self.config.bidirectional:
            inputs, targets = (reverse(words[:, :, None], lengths)[:, :, 0] for words in (batch.targets, batch.tokens))
            directions.append((inputs, targets))
        embedded = self._embedded(torch.cat([tokens for tokens, _ in directions])).chunk(len(directions))
        states = [state, *[None] * (len(directions) - 1)]
        layers, last = self._read([self._drop(vectors) for vectors in embedded], lengths, states)
        features, penalties = [], []
        for direction, hidden in enumerate(layers):
            dropped = self._drop(hidden[-1])
            penalties.append(self._penalty(hidden[-1], dropped, mask))
            features.append(self.maps[direction](dropped.flatten(0, 1).index_select(0, indices)))  # [token, embedding]
        known = torch.stack([targets[mask] for _, targets in directions])  # [direction, token]
        found = self.softmax(torch.stack(features), known, self.embedding.weight)  # [direction, token]
        log_probs = found.new_zeros(len(directions), *mask.shape).masked_scatter(mask, found)
        backward = (reverse(direction[:, :, None], lengths)[:, :, 0] for direction in log_probs[1:])
        log_probs = torch.stack([log_probs[0], *backward])  # [direction, batch, time]
        return TokenScores(log_probs, lengths, torch.stack(penalties).mean(), last)

    def following(self, batch: Batch) -> Tensor:
        """Compute the log probability of each word to follow the text, ``[batch, word]``, in the forward direction."""
        (hidden,), _ = self._read([self.embedding(batch.tokens)], batch.lengths, [None])
        last = hidden[-1][torch.arange(len(batch.lengths), device=batch.lengths.device), batch.lengths - 1]
        return self.softmax.all(self.maps[0](last), self.embedding.weight)

    def contexts(self, batch: Batch) -> Tensor:
        """Compute word vectors and the hidden states of each layer, ``[layer + 1, batch, time, feature]``.

        Each text is read between two end-of-text tokens, as in training. The features of a layer are those of both
        directions concatenated; word vectors are repeated for this. Layers narrower than the widest end in zeros.
        """
        time = batch.tokens.shape[1]
        position = torch.arange(time + 2, device=batch.tokens.device)
        ended = F.pad(batch.tokens, (1, 1), value=END).where(position <= batch.lengths[:, None], END)
        lengths = batch.lengths + 2
        backward = reverse(ended[:, :, None], lengths)[:, :, 0]
        embedded = [self.embedding(tokens) for tokens in (ended, backward)[: len(self.readers)]]
        size = max(self.config.hidden, self.config.embedding)
        read, _ = self._read(embedded, lengths, [None] * len(embedded))
        directions: list[Tensor] = []
        for vectors, hidden in zip(embedded, read, strict=True):
            padded = [F.pad(at_least_float32(layer), (0, size - layer.shape[-1])) for layer in (vectors, *hidden)]
            directions.append(torch.stack([reverse(layer, lengths) for layer in padded] if directions else padded))
        return torch.cat(directions, dim=-1)[:, :, 1:-1] * batch.mask[None, :, :, None]

    def _embedded(self, tokens: Tensor) -> Tensor:
        """Embed the tokens, ``[batch, time, embedding]``; a word that is dropped is dropped at every position."""
        vectors: Tensor = self.embedding(tokens)
        if not self.training or self.config.embedding_dropout == 0:
            return vectors
        kept = F.dropout(vectors.new_ones(len(self.embedding.weight), 1), self.config.embedding_dropout)
        return vectors * F.embedding(tokens, kept)

    def begin(self, rows: int) -> State:
        """Return the zero state for a batch of so many rows, ``[layer, batch, hidden]`` each."""
        zeros = self.embedding.weight.new_zeros(self.config.layers, rows, self.config.hidden)
        return zeros, zeros

    def _read(
        self, inputs: list[Tensor], lengths: Tensor, states: list[State | None]
    ) -> tuple[list[list[Tensor]], State | None]:
        """Run all layers of each direction.

        Returns:
            By direction and layer the hidden states ``[batch, time, hidden]``, and the last state of all layers of the
            forward direction if it was given an initial one.
        """
        outputs: list[list[Tensor]] = [[] for _ in inputs]
        ends: list[State] = []
        for number in range(self.config.layers):
            layer = [self.get_submodule(f"readers.{direction}.{number}") for direction in range(len(inputs))]
            begin = [None if state is None else (state[0][number, None], state[1][number, None]) for state in states]
            below = [self._drop(layers[-1]) for layers in outputs] if number else inputs
            read = read_each(layer, below, lengths, begin)  # type: ignore[arg-type]
            for layers, (hidden, _) in zip(outputs, read, strict=True):
                layers.append(hidden)
            if (end := read[0][1]) is not None:
                ends.append(end)
        if not ends:
            return outputs, None
        return outputs, (torch.cat([hidden for hidden, _ in ends]), torch.cat([cell for _, cell in ends]))

    def _drop(self, features: Tensor) -> Tensor:
        return locked(features, self.config.dropout, self.training)

    def _penalty(self, hidden: Tensor, dropped: Tensor, mask: Tensor) -> Tensor:
        """Compute the AR and TAR penalties.

        Merity et al. (2017), "Revisiting Activation Regularization for Language RNNs", equations 3 and 4.
        """
        cost = at_least_float32(hidden).new_zeros(())
        if self.training and self.config.ar_weight:
            cost = cost + self.config.ar_weight * at_least_float32(dropped[mask]).square().mean()
        if self.training and self.config.tar_weight and hidden.shape[1] > 1:
            changes = at_least_float32(hidden[:, 1:] - hidden[:, :-1])[mask[:, 1:]]
            cost = cost + self.config.tar_weight * changes.square().mean()
        return cost


def build(config: Config, *, words: int, labels: int) -> LanguageModel:  # noqa: ARG001 (no labels)
    """Build a model with new weights, drawn from torch's global generator."""
    return LanguageModel(config, words=words)


def shape(config: Config) -> dict[str, object]:
    """Return the options that decide the shape of the weights; a sampled softmax has the weights of a full one."""
    keys = ("embedding", "hidden", "layers", "bidirectional")
    options: dict[str, object] = {key: getattr(config, key) for key in keys}
    return options | {"softmax": "full" if config.softmax == "sampled" else config.softmax}
