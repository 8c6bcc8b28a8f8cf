"""Fine-tuning of the linear head: the learner that needs no meta-training, and the one that others must beat.

    w <- w - lr * grad_w [L(support; w) + anchor * |w - w_0|^2],  steps times

over the head's weights w alone. The encoder stands still, so the texts are read once and each step costs a product of
two small matrices. The anchor holds the head near the weights it came with (L2-SP: Li, Grandvalet & Davoine 2018,
"Explicit Inductive Bias for Transfer Learning"), since a few texts decide little.
"""

from dataclasses import replace

import torch
from torch import nn
from torch.func import functional_call

from lstmcli.config import Finetune as Config
from lstmcli.meta.inner import Substituted
from lstmcli.types import Batch, Loss

HEAD = "head"  # the model's last linear layer, which maps ClassScores.embedding to logits


def adapt(config: Config, model: nn.Module, support: Batch, loss: Loss) -> Substituted:
    """The model with a head fitted to the support set; the model itself is left as it is.

    support: the labelled texts to learn from; loss: as training has it.
    """
    head = model.get_submodule(HEAD)
    with torch.no_grad():
        scores = model(support)
    before = {name: value.detach() for name, value in head.named_parameters()}
    embedding = scores.embedding.to(before["weight"].dtype)  # [batch, feature]
    weights = {name: value.clone().requires_grad_() for name, value in before.items()}
    for _ in range(config.steps):
        logits = functional_call(head, weights, (embedding,))
        pull = torch.stack([(weights[name] - before[name]).square().sum() for name in weights]).sum()
        objective = loss(replace(scores, logits=logits), support).value + config.anchor * pull
        gradients = torch.autograd.grad(objective, list(weights.values()))
        weights = {
            name: (value - config.lr * gradient).detach().requires_grad_()
            for (name, value), gradient in zip(weights.items(), gradients, strict=True)
        }
    return Substituted(model, {f"{HEAD}.{name}": value.detach() for name, value in weights.items()})
