"""Model-agnostic meta-learning: weights, and rates, that a few gradient steps bend to a task.

    w_0 = w;   w_{k+1} = w_k - a_k ⊙ grad_{w_k} L(support; w_k);   meta-loss = L(query; w_K)

Finn, Abbeel & Levine (2017), "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", Algorithm 1; first
order takes the inner gradients for constants (their section 5.2). Which weights move: the head alone is ANIL (Raghu et
al. 2020). Rates may be learned: one a weight (Meta-SGD: Li et al. 2017), or one a layer and step, with a share of the
meta-loss for earlier steps (MAML++: Antoniou, Edwards & Storkey 2019, sections 4.1 and 4.4).

Where classes change from task to task no row of a head has a meaning to keep. Started from ``prototypes`` the head is

    logit_k = s (2 c_k · e - |c_k|²),   which orders the classes as -s |e - c_k|² does,

with c_k the mean embedding of class k's support (Triantafillou et al. 2020, "Meta-Dataset", section 3, Proto-MAML) and
s learned; with no steps it is a prototypical network (Snell, Swersky & Zemel 2017). A rate of the head is the same for
every class: how a class is numbered must not matter.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstmcli.config import Maml as Config
from lstmcli.meta.inner import HEAD, Learner, Weights, asked, classes, descend, moving, spread
from lstmcli.types import Batch, Episode, Loss


class Maml(Learner):
    """Learns, where the recipe says so, inner rates and the scale of prototypes."""

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__(moving(model, config.moves))
        self.config = config
        self.rates = nn.ParameterDict()
        if config.rates != "fixed":
            for name in self.names:
                shape = (max(1, config.steps),) if config.rates == "layer-step" else _shared(name, model)
                self.rates[_key(name)] = nn.Parameter(model.get_parameter(name).new_full(shape, config.lr))
        if config.start == "prototypes":
            self.scale = nn.Parameter(model.get_parameter(f"{HEAD}.bias").new_zeros(()))  # log s

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        losses = self.losses(model, support, loss)
        exact = self.config.order == "second" and torch.is_grad_enabled()
        return descend(losses, self._start(model, support), self._rate, steps=self.config.steps, exact=exact)

    def meta_loss(self, model: nn.Module, episode: Episode, loss: Loss) -> Tensor:
        """The loss of each task's query after adaptation, ``[task]``; with ``multi_step`` after earlier steps too."""
        queried = self.losses(model, episode.query, loss)
        share, steps = self.config.multi_step, self.config.steps
        total: Tensor | float = 0.0
        for step, weights in enumerate(self.trajectory(model, episode.support, loss)):
            if step == steps:
                total = total + (1 - share * (steps > 1)) * queried(weights)
            elif step > 0 and share:
                total = total + share / (steps - 1) * queried(weights)
        assert isinstance(total, Tensor)
        return total

    def _rate(self, name: str, step: int) -> Tensor | float:
        if self.config.rates == "fixed":
            return self.config.lr
        rate: Tensor = self.rates[_key(name)]
        return rate[min(step, len(rate) - 1)] if self.config.rates == "layer-step" else rate

    def _start(self, model: nn.Module, support: Batch) -> Weights:
        weights = spread(model, self.names, len(support.tokens))
        if self.config.start == "own":
            return weights
        embedding = asked(model, support, [f"{HEAD}.bias"], lambda scores, _: classes(scores).embedding)({})
        assert support.targets is not None
        labels = len(model.get_parameter(f"{HEAD}.bias"))
        member = F.one_hot(support.targets, labels).to(embedding.dtype)  # [task, batch, label]
        counts = member.sum(dim=1).clamp_min(1)[:, :, None]
        centres = member.mT @ embedding / counts  # [task, label, feature]
        scale = self.scale.exp()
        own = {f"{HEAD}.weight": 2 * scale * centres, f"{HEAD}.bias": -scale * centres.square().sum(dim=-1)}
        return weights | own


def _shared(name: str, model: nn.Module) -> tuple[int, ...]:
    shape = tuple(model.get_parameter(name).shape)
    return (1, *shape[1:]) if name.startswith(f"{HEAD}.") else shape


def _key(name: str) -> str:
    return name.replace(".", "/")  # a ParameterDict has no dots in its names


def build(config: Config, model: nn.Module) -> Maml:
    """A learner for models of this kind."""
    return Maml(config, model)
