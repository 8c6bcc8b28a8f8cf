"""The tensors of a checkpoint against the model that its header describes, before that model is built."""

from collections.abc import Callable, Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lstmcli import registry
from lstmcli.config import LanguageModel, RunConfig
from lstmcli.contracts import ModelHooks, hooks
from lstmcli.data.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lstmcli.storage.checkpoint import Checkpoint

STORED = (torch.float16, torch.bfloat16, torch.float32)  # types of weights in a file; all are float32 in use


def build(config: RunConfig, vocabulary: Vocabulary, context: LanguageModel | None) -> nn.Module:
    """Build the model of the recipe, with new weights. context: the section of the language model in
    ``model.context``."""
    words, labels, frozen_words = vocabulary.sizes
    options: dict[str, Any] = {"frozen_words": frozen_words} if frozen_words else {}
    if context is not None:
        read = len(vocabulary if vocabulary.context is None else vocabulary.context)
        options["context"] = registry.model(context.name).build(context, words=read, labels=0)
    return registry.model(config.model.name).build(config.model, words=words, labels=labels, **options)


def check(checkpoint: "Checkpoint", scaled: Set[str]) -> None:
    """Check that the tensors are those of the model that the header describes. scaled: names of those that may be of
    int8, since they have scales.

    Raises:
        ValueError: They are not.
    """
    config, vocabulary, found = checkpoint.config, checkpoint.vocabulary, checkpoint.group("model")
    has = hooks(ModelHooks, registry.model(config.model.name))
    if (vocabulary.frozen_words and has.FROZEN_VECTORS is None) or (checkpoint.context and has.CONTEXT is None):
        raise ValueError("frozen vectors or a language model beside a model that reads none")
    with torch.device("meta"), Undrawn():
        model = build(config, vocabulary, checkpoint.context)
        learners = [_learner(config, model, **steps) for steps in _steps(config)]
    _compare(model.state_dict(), found, {name.removeprefix("model/") for name in scaled})
    first, *others = ({name: _shape(value) for name, value in one.named_parameters()} for one in learners)
    by_step = {name for other in others for name, shape in other.items() if shape != first[name]}
    for name, value in checkpoint.group("learner").items():
        skipped = int(name in by_step)  # the shape may differ: rates per step, and another number of steps
        if name in first and _shape(value)[skipped:] != first[name][skipped:]:
            raise ValueError(f"learner/{name} is {_shape(value)} in place of {first[name]}")


def _steps(config: RunConfig) -> Iterable[dict[str, int]]:
    """Numbers of steps, of a learner that takes steps, between which the shapes of rates per step differ."""
    return [{"steps": 1}, {"steps": 2}] if hasattr(config.learner, "steps") else [{}]


def _learner(config: RunConfig, model: nn.Module, **changed: int) -> Any:
    section = config.learner.model_copy(update=changed)
    return registry.learner(section.name).build(section, model)


def _compare(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], scaled: Set[str]) -> None:
    """scaled: the matrices that may be of int8."""
    if missing := sorted(expected.keys() - found.keys()):
        raise ValueError(f"model/{missing[0]} is missing")
    if more := sorted(found.keys() - expected.keys()):
        raise ValueError(f"model/{more[0]!r} belongs to no model of this kind")
    for name, value in expected.items():
        if _shape(found[name]) != _shape(value):
            raise ValueError(f"model/{name} is {_shape(found[name])} in place of {_shape(value)}")
        stored = (*STORED, *([torch.int8] if name in scaled else []))
        if found[name].dtype not in (stored if value.is_floating_point() else (value.dtype,)):
            raise ValueError(f"model/{name} is of type {found[name].dtype}")


def _shape(value: Tensor | None) -> tuple[int, ...]:
    return () if value is None else tuple(value.shape)


class Undrawn(TorchFunctionMode):
    """Random initial values are not drawn in this ``with`` block: those of a model whose weights are read from a file,
    or that is on the meta device, where the first draw would load 800 modules."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or func in (Tensor.normal_, Tensor.uniform_):
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
