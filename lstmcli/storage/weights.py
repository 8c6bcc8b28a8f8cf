"""The tensors of a checkpoint against the model that its header describes, before that model is built."""

import math
from collections.abc import Callable, Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lstmcli import registry
from lstmcli.config import LanguageModel, RunConfig
from lstmcli.contracts import HEAD, ModelHooks, TaskHooks, hooks
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.storage.header import CLASS_WEIGHTS

if TYPE_CHECKING:
    from lstmcli.storage.checkpoint import Checkpoint

STORED = (torch.float16, torch.bfloat16, torch.float32)  # types of weights in a file; all are float32 in use
KINDS = (*STORED, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
FINITE = ("model/", "learner/", "memory/", "baseline/")
MOST_TAGS = 4_001  # of a thousand types; a table has one row and one column per tag


def build(config: RunConfig, vocabulary: Vocabulary, context: LanguageModel | None) -> nn.Module:
    """Build the model of the recipe, with new weights. context: the section of the language model in
    ``model.context``."""
    options: dict[str, Any] = {"frozen_words": vocabulary.frozen_words} if vocabulary.frozen_words else {}
    if context is not None:
        words = len(vocabulary if vocabulary.context is None else vocabulary.context)
        options["context"] = registry.model(context.name).build(context, words=words, labels=0)
    sizes = {"words": len(vocabulary) - vocabulary.frozen_words, "labels": len(vocabulary.labels)}
    return registry.model(config.model.name).build(config.model, **sizes, **options)


def plain(tensors: object, size: int) -> dict[str, Tensor]:
    """Return the tensors, checked to take no more memory than their file. size: of the file, in bytes.

    Raises:
        ValueError: They do, or they are something else than plain tensors by name.
    """
    if not isinstance(tensors, dict):
        raise ValueError("no tensors")
    total = 0
    for name, value in tensors.items():
        if not isinstance(name, str) or type(value) is not Tensor:
            raise ValueError("something else than tensors")
        usual = value.layout == torch.strided and value.device.type == "cpu" and not value.requires_grad
        if not usual or value.dtype not in KINDS or not value.is_contiguous():
            raise ValueError(f"a tensor of another kind: {name!r}")
        total += value.numel() * value.element_size()
    if total > size:
        raise ValueError("tensors are larger than the file")
    return tensors


def check(checkpoint: "Checkpoint", scales: Mapping[str, Tensor]) -> None:
    """Check that the tensors are those of the model that the header describes, and numbers. scales: per row, of
    matrices of int8 by name.

    Raises:
        ValueError: They are not.
    """
    config, vocabulary, found = checkpoint.config, checkpoint.vocabulary, checkpoint.group("model")
    _check_parts(checkpoint)
    _check_scales(checkpoint.tensors, scales)
    if vocabulary.labels and _shape(found.get(f"{HEAD}.weight"))[:1] != (len(vocabulary.labels),):
        raise ValueError(f"{len(vocabulary.labels)} labels, but a head of {_shape(found.get(f'{HEAD}.weight'))}")
    with torch.device("meta"), _Undrawn():
        model = build(config, vocabulary, checkpoint.context)
        learners = [_learner(config, model, **steps) for steps in _steps(config)]
    _compare(model.state_dict(), found, {name.removeprefix("model/") for name in scales})
    first, *others = ({name: _shape(value) for name, value in one.named_parameters()} for one in learners)
    by_step = {name for other in others for name, shape in other.items() if shape != first[name]}
    for name, value in checkpoint.group("learner").items():
        skipped = int(name in by_step)  # the shape may differ: rates per step, and another number of steps
        if name in first and _shape(value)[skipped:] != first[name][skipped:]:
            raise ValueError(f"learner/{name} is {_shape(value)} in place of {first[name]}")
    for name, value in checkpoint.tensors.items():
        infinite = name.startswith("baseline/")  # a label without a text has a bias of -inf
        if name.startswith(FINITE) and value.is_floating_point() and not _is_finite(value, infinite=infinite):
            raise ValueError(f"{name} has values that are not finite")


def _check_parts(checkpoint: "Checkpoint") -> None:
    """Check that model, task and vocabulary belong together."""
    vocabulary, reads = checkpoint.vocabulary, checkpoint.task.READS
    has = hooks(ModelHooks, registry.model(checkpoint.config.model.name))
    if (reads == "stream") != vocabulary.is_stream or (reads == "words") != vocabulary.pretokenized:
        raise ValueError("a vocabulary for another task")
    if reads != "stream" and not vocabulary.labels:
        raise ValueError("no labels")
    if reads == "words" and not vocabulary.is_tagged:
        raise ValueError("labels that are no tags")
    if reads == "words" and len(vocabulary.labels) > MOST_TAGS:
        raise ValueError("too many tags")
    by_label, weighted = checkpoint.progress.get(CLASS_WEIGHTS), hooks(TaskHooks, checkpoint.task).weighted
    if by_label and (weighted is None or by_label.keys() != set(vocabulary.labels)):
        raise ValueError("class weights of other labels")
    if (vocabulary.frozen_words and has.FROZEN_VECTORS is None) or (checkpoint.context and has.CONTEXT is None):
        raise ValueError("frozen vectors or a language model beside a model that reads none")


def _check_scales(tensors: Mapping[str, Tensor], scales: Mapping[str, Tensor]) -> None:
    for name, scale in scales.items():
        matrix = tensors.get(name)
        if matrix is None or matrix.dtype != torch.int8 or matrix.dim() != 2 or scale.shape != matrix.shape[:1]:
            raise ValueError(f"scale/{name} is of no matrix of int8 with as many rows")
        if scale.dtype != torch.half or not _is_finite(scale, infinite=False):  # of half: the products are finite too
            raise ValueError(f"scale/{name} has values that are not finite, or is of type {scale.dtype}")


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


def _is_finite(value: Tensor, *, infinite: bool) -> bool:
    """True where all are numbers; NaN is its own minimum. In a quarter of the time of ``isfinite``.

    infinite: infinite values are accepted.
    """
    return value.numel() == 0 or all(not math.isnan(end) if infinite else math.isfinite(end) for end in value.aminmax())


def _shape(value: Tensor | None) -> tuple[int, ...]:
    return () if value is None else tuple(value.shape)


class _Undrawn(TorchFunctionMode):
    """Random initial values are not drawn: on the meta device there are none, and the first draw loads 800 modules."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init" or func in (Tensor.normal_, Tensor.uniform_):
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
