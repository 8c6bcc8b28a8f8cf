"""Model-agnostic meta-learning: initial weights, and learning rates, for a few gradient steps on a task.

    w_0 = w;   w_{k+1} = w_k - a_k ⊙ grad_{w_k} L(support; w_k);   meta-loss = L(query; w_K)

Finn, Abbeel & Levine (2017), "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", Algorithm 1; first
order treats the inner gradients as constants (their section 5.2). ``adapted_parameters: head`` is ANIL (Raghu et al.
2020). ``rates`` can be learned: one per weight (Meta-SGD: Li et al. 2017), or one per layer and step, and
``multi_step_loss_weight`` adds the losses after the earlier steps (MAML++: Antoniou, Edwards & Storkey 2019, sections
4.1 and 4.4).

If each task has its own classes, a row of the head has no meaning beyond its task: ``head_init: prototypes`` computes
the head from the support (Proto-MAML: Triantafillou et al. 2020, "Meta-Dataset", section 3). The rates of the head are
the same for all classes, since the numbering of classes is arbitrary.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from lstmcli.config import Maml as Config
from lstmcli.contracts import HEAD
from lstmcli.meta.inner import Weights, adapted_names, descend
from lstmcli.meta.start import Stepping
from lstmcli.types import Batch, Loss


class Maml(Stepping):
    """MAML; with learned rates or prototypes it has parameters of its own."""

    def __init__(self, config: Config, model: nn.Module) -> None:
        super().__init__(
            adapted_names(model, config.adapted_parameters),
            model,
            head_init=config.head_init,
            multi_step_loss_weight=config.multi_step_loss_weight,
        )
        self.config = config
        self.rates = nn.ParameterDict()
        if config.rates != "fixed":
            for name in self.names:
                shape = (max(1, config.steps),) if config.rates == "layer-step" else _rate_shape(name, model)
                self.rates[_key(name)] = nn.Parameter(model.get_parameter(name).new_full(shape, config.lr))

    def trajectory(self, model: nn.Module, support: Batch, loss: Loss) -> Iterator[Weights]:
        losses = self.losses(model, support, loss)
        exact = self.config.order == "second"
        return descend(losses, self.initial_weights(model, support), self._rate, steps=self.config.steps, exact=exact)

    def _rate(self, name: str, step: int) -> Tensor | float:
        if self.config.rates == "fixed":
            return self.config.lr
        rate: Tensor = self.rates[_key(name)]
        return rate[min(step, len(rate) - 1)] if self.config.rates == "layer-step" else rate


def _rate_shape(name: str, model: nn.Module) -> tuple[int, ...]:
    """Return the shape of a parameter's rates: one per weight, of the head one for all classes."""
    shape = tuple(model.get_parameter(name).shape)
    return (1, *shape[1:]) if name.startswith(f"{HEAD}.") else shape


def _key(name: str) -> str:
    return name.replace(".", "/")  # the keys of a ParameterDict have no dots


def build(config: Config, model: nn.Module) -> Maml:
    """Build the learner for a model."""
    return Maml(config, model)
