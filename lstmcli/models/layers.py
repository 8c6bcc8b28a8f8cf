"""Layers that the models share: word vectors, word dropout, the LSTM of the recipe."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import Tagger, TextReader
from lstmcli.models.lstm import LSTM
from lstmcli.types import Batch

PADDING, UNKNOWN, END = 0, 1, 2


def word_vectors(words: int, dimensions: int) -> nn.Embedding:
    """Build an embedding of random vectors of length about one; padding is zero."""
    embedding = nn.Embedding(words, dimensions, padding_idx=PADDING)
    nn.init.normal_(embedding.weight, std=dimensions**-0.5)
    embedding.weight.data[PADDING] = 0
    return embedding


def with_unknowns(batch: Batch, probability: float) -> Tensor:
    """Replace random tokens by the unknown word, ``[batch, time]``, so that its vector is trained too."""
    dropped = torch.rand(batch.tokens.shape, device=batch.tokens.device) < probability
    return torch.where(dropped & batch.mask, UNKNOWN, batch.tokens)


def build_lstm(config: TextReader | Tagger, inputs: int) -> LSTM:
    """Build the LSTM that the model's section describes."""
    return LSTM(
        inputs,
        config.hidden,
        layers=config.layers,
        bidirectional=config.bidirectional,
        dropout=config.dropout,
        weight_drop=config.weight_drop,
        forget_bias=config.forget_bias,
    )


def argmax_over_time(values: Tensor) -> Tensor:
    """Find the index of each feature's maximum over time, ``[batch, feature]``, in a fifth of the time of ``max`` on a
    CPU. values: ``[batch, time, feature]``."""
    _, indices = F.max_pool1d(values.detach().mT, values.shape[1], return_indices=True)
    return indices[:, :, 0]


def at_least_float32(tensor: Tensor) -> Tensor:
    """Upcast to float32 or keep float64: sums over time and logits need more than bfloat16's three digits."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
