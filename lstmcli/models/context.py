"""Vectors in context: what a language model makes of each word, mixed as the task needs it.

    x_t = γ Σ_j s_j h_{t,j},    s = softmax(w)

Peters et al. (2018), "Deep contextualized word representations", equation 1. h_{t,0} is the language model's vector of
the word, h_{t,j} the hidden states of its layer j, in both directions side by side; γ and w learn with the task. The
language model does not: what it has learned of much text, little text with labels would spoil.

Its states are not kept from one epoch to the next: to read a batch again was 13 % of a step's time (a tagger of 200
cells a direction, a language model of 256), for the task's own LSTM is as wide and has a derivative to work out.
"""

import copy

import torch
from torch import Tensor, nn

from lstmcli.models.language_model import LanguageModel
from lstmcli.types import Batch

WEIGHTS = "context.model"  # where a model with a ``context`` holds the weights of the language model


class Context(nn.Module):
    """``Batch -> [batch, time, feature]``, of tokens in the language model's vocabulary; zero at padding."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model = copy.deepcopy(model)
        del model.maps, model.softmax  # only the encoder is needed
        for module in model.modules():  # buffers: saved with the weights, but they do not learn
            for name, weight in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, weight.detach())
        self.mix = nn.Parameter(torch.zeros(model.config.layers + 1))  # w
        self.gain = nn.Parameter(torch.ones(1))  # γ
        self.features = max(model.config.hidden, model.config.embedding) * len(model.readers)

    def train(self, mode: bool = True) -> "Context":
        """As of any module, but that the language model never drops anything."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, batch: Batch) -> Tensor:
        with torch.no_grad():
            layers = self.model.contexts(batch)  # [layer + 1, batch, time, feature]
        shares = self.mix.softmax(dim=0)
        mixed: Tensor = self.gain * torch.tensordot(shares.to(layers.dtype), layers, dims=1)
        return mixed
