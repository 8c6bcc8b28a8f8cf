"""Contextual word vectors: a learned mix of the layers of a frozen language model.

    x_t = γ Σ_j s_j h_{t,j},    s = softmax(w)

Peters et al. (2018), "Deep contextualized word representations", equation 1. h_{t,0} is the language model's word
vector, h_{t,j} the hidden states of its layer j, both directions concatenated; γ and w are trained with the task. The
language model is frozen: it has seen much more text than the task has, and fine-tuning on little text would degrade it.

Hidden states are recomputed in every epoch instead of cached: that took 13 % of a step's time (a tagger of 200 cells
per direction, a language model of 256), since the task's own LSTM is as wide and also needs a backward pass.
"""

import copy

import torch
from torch import Tensor, nn

from lstmcli.models.language_model import LanguageModel
from lstmcli.types import Batch

WEIGHTS = "context.model"  # the submodule that holds the language model's weights


class Context(nn.Module):
    """Map a ``Batch`` of the language model's tokens to vectors ``[batch, time, feature]``, zero at padding."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model = copy.deepcopy(model)
        del model.maps, model.softmax  # only the encoder is needed
        for module in model.modules():  # parameters become buffers: saved with the weights, never trained
            for name, weight in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, weight.detach())
        self.mix = nn.Parameter(torch.zeros(model.config.layers + 1))  # w
        self.gain = nn.Parameter(torch.ones(1))  # γ
        self.features = max(model.config.hidden, model.config.embedding) * len(model.readers)

    def train(self, mode: bool = True) -> "Context":
        """Set the training mode, but keep the language model in evaluation mode, without dropout."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, batch: Batch) -> Tensor:
        layers = self.model.contexts(batch)  # [layer + 1, batch, time, feature]
        mix = self.mix.softmax(dim=0)  # s
        mixed: Tensor = self.gain * torch.tensordot(mix.to(layers.dtype), layers, dims=1)
        return mixed
