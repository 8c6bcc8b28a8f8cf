"""A convolutional classifier: Kim (2014), "Convolutional Neural Networks for Sentence Classification", of one width.

h_t = relu(W [x_t, ..., x_{t + width - 1}] + b);   feature = max over t of h_t
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.types import Batch, ClassScores
from tests.contract.extension.sections import Convolution as Config

ENCODER = ("embedding", "convolution")  # trains at the encoder's share of the learning rate


class Cnn(nn.Module):
    """``Batch -> ClassScores``."""

    def __init__(self, config: Config, *, words: int, labels: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(words, config.embedding, padding_idx=0)
        self.convolution = nn.Linear(config.width * config.embedding, config.channels)
        self.head = nn.Linear(config.channels, labels)

    def forward(self, batch: Batch) -> ClassScores:
        vectors = self.embedding(batch.tokens) * batch.mask[:, :, None]  # [batch, time, embedding]
        padded = F.pad(vectors, (0, 0, 0, self.config.width - 1))
        spans = padded.unfold(1, self.config.width, 1).flatten(2)  # [batch, time, embedding * width]
        hidden = self.convolution(spans).relu()  # [batch, time, channel]; what begins at padding does not count
        pooled: Tensor = torch.where(batch.mask[:, :, None], hidden, 0).amax(dim=1)
        pooled = F.dropout(pooled, self.config.dropout, self.training)
        return ClassScores(logits=self.head(pooled).float(), embedding=pooled)


def build(config: Config, *, words: int, labels: int) -> Cnn:
    """A model with new weights, drawn from torch's global generator."""
    return Cnn(config, words=words, labels=labels)


def shape(config: Config) -> dict[str, object]:
    """The options that decide the shape of the weights."""
    return {"embedding": config.embedding, "channels": config.channels, "width": config.width}
