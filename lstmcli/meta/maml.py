"""Model-agnostic meta-learning: weights, and rates, that a few gradient steps adapt to a task.

    w_0 = w;   w_{k+1} = w_k - a_k ⊙ grad_{w_k} L(support; w_k);   meta-loss = L(query; w_K)

Finn, Abbeel & Levine (2017), "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", Algorithm 1; first
order takes the inner gradients for constants (their section 5.2). Which weights move: the head alone is ANIL (Raghu et
al. 2020). Rates may be learned: one a weight (Meta-SGD: Li et al. 2017), or one a layer and step, with a share of the
meta-loss for earlier steps (MAML++: Antoniou, Edwards & Storkey 2019, sections 4.1 and 4.4).

Where classes change from task to task no row of a head has a meaning to keep: it may start from ``prototypes``
(Proto-MAML: Triantafillou et al. 2020, "Meta-Dataset", section 3). A rate of the head is the same for every class: how
a class is numbered must not matter.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lstmcli.config import Maml as Config
from lstmcli.contracts import HEAD
from lstmcli.meta.inner import Weights, descend, moving
from lstmcli.meta.start import Stepping
from lstmcli.types import Batch, Loss


class Maml(Stepping):
    """Learns, where the recipe says so, inner rates and the scale of prototypes."""

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__(
            moving(model, config.adapted_parameters), model, start=config.head_init, share=config.multi_step_loss_weight
        )
        self.config = config
        self.rates = nn.ParameterDict()
        if config.rates != "fixed":
            for name in self.names:
                shape = (max(1, config.steps),) if config.rates == "layer-step" else _shared(name, model)
                self.rates[_key(name)] = nn.Parameter(model.get_parameter(name).new_full(shape, config.lr))

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        losses = self.losses(model, support, loss)
        exact = self.config.order == "second" and torch.is_grad_enabled()
        return descend(losses, self.start(model, support), self._rate, steps=self.config.steps, exact=exact)

    def _rate(self, name: str, step: int) -> Tensor | float:
        if self.config.rates == "fixed":
            return self.config.lr
        rate: Tensor = self.rates[_key(name)]
        return rate[min(step, len(rate) - 1)] if self.config.rates == "layer-step" else rate


def _shared(name: str, model: nn.Module) -> tuple[int, ...]:
    shape = tuple(model.get_parameter(name).shape)
    return (1, *shape[1:]) if name.startswith(f"{HEAD}.") else shape


def _key(name: str) -> str:
    return name.replace(".", "/")  # a ParameterDict has no dots in its names


def build(config: Config, model: nn.Module) -> Maml:
    """A learner for models of this kind."""
    return Maml(config, model)
