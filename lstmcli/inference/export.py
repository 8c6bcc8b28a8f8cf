"""Make an ONNX file of a model, and check that it gives the answers of the model before it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli import registry
from lstmcli.data.batches.encoded import encode
from lstmcli.errors import ConfigError, RuntimeSetupError
from lstmcli.events import Listener, Progress, silent
from lstmcli.inference import engines
from lstmcli.storage import atomic, onnx_file
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.types import Example

Array = np.ndarray[Any, np.dtype[Any]]
MOST = 2_000  # texts that both models are run on
EQUAL, EQUAL_INT8 = 0.999, 0.98  # fraction of equal labels, at least
PROBABILITY = 1e-5  # largest difference, of a model in float32
ACCURACY = 0.002  # largest difference, of a model with weights of int8; one text more or less is accepted
REFERENCE = {"device": "cpu", "precision": "float32"}  # of the model in torch


@dataclass(frozen=True)
class Exported:
    """A written file, and how it agrees with the model.

    opset: of ONNX; texts: that both were run on; equal: fraction of equal labels; largest: difference of a probability;
    accuracy: of the model and of the file, none where the texts have no labels of the model.
    """

    path: Path
    size: int
    int8: bool
    opset: int
    texts: int
    equal: float
    largest: float
    accuracy: tuple[float, float] | None

    def plain(self) -> dict[str, Any]:
        """Return the result as JSON has it; accuracy by ``model`` and ``export``."""
        pair = None if self.accuracy is None else dict(zip(("model", "export"), self.accuracy, strict=True))
        return vars(self) | {"path": str(self.path), "accuracy": pair}


def check(checkpoint: Checkpoint, where: str) -> None:
    """Raise ConfigError where the model cannot be exported, CheckpointError where it is damaged. where: its file."""
    checkpoint.check_weights(where)
    if not engines.installed():
        what = "an export is run on ONNX Runtime, which is not installed"
        raise ConfigError(what, where=engines.RUNTIME, fix="pip install onnx onnxruntime")
    checkpoint.group("model")  # torch compares the tensors with its model
    checkpoint.check_head()
    if reason := engines.unexportable(checkpoint):
        fix = "run it with lstmcli and torch; a classifier that 'lstmcli train' wrote can be exported"
        raise ConfigError(f"the model cannot be exported: {reason}", where=where, fix=fix)


def run(
    checkpoint: Checkpoint,
    examples: Sequence[Example],
    *,
    out: Path,
    card: str,
    int8: bool = False,
    listener: Listener = silent,
) -> Exported:
    """Write the file, unless it does not agree with the model.

    Args:
        checkpoint: Of a model that can be exported.
        examples: Texts that the model was not trained on, with or without labels; up to ``MOST`` are used.
        out: The file.
        card: What the file says about the model.
        int8: Store the matrices of the LSTM and the word vectors as integers of eight bits.

    Raises:
        ConfigError: the file does not agree with the model; nothing is written.
        RuntimeSetupError: the file cannot be written.
    """
    listener(Progress("building the graph"))
    section = checkpoint.config.model
    module = registry.graph(section.name)
    arrays = module.prepared(section, checkpoint.arrays("model", whole=False))
    model = module.model(section, module.quantised(arrays) if int8 else arrays)
    content = onnx_file.to_bytes(checkpoint, model, card)
    used = [examples[index] for index in np.unique(np.linspace(0, len(examples) - 1, MOST).astype(int)).tolist()]
    labelled = all(isinstance(one.target, str) and one.target in checkpoint.vocabulary.labels for one in used)
    listener(Progress("comparing it with the model"))
    found = _compared(checkpoint, onnx_file.of_bytes(content, str(out)), used, listener, labelled=labelled)
    equal, largest, accuracy = found
    _check_agreement(int8, len(used), equal, largest, accuracy)
    with atomic.whole(out) as file:
        file.write(content)
    opset = next(one.version for one in model.opset_import if not one.domain)
    return Exported(out, len(content), int8, opset, len(used), equal, largest, accuracy)


def _compared(
    checkpoint: Checkpoint, exported: Checkpoint, examples: Sequence[Example], listener: Listener, *, labelled: bool
) -> tuple[float, float, tuple[float, float] | None]:
    """Return the fraction of equal labels, the largest difference of a probability, and the two accuracies."""
    config = checkpoint.config.model_copy(update=REFERENCE)
    store = encode(checkpoint.vocabulary, examples, cache=None, labelled=labelled, listener=listener)
    store = store.truncated(config.tokens)
    models = (engines.Engine(replace(checkpoint, config=config)), engines.Onnx(exported))
    task, labels = models[0].task, checkpoint.vocabulary.labels
    outputs = [model.score(store, listener=listener) for model in models]
    first, second = (task.describe(one, labels, checkpoint.temperature) for one in outputs)
    pairs = [task.probabilities(one, checkpoint.temperature) for one in outputs]
    equal = np.mean([one["label"] == other["label"] for one, other in zip(first, second, strict=True)])
    accuracy = None
    if labelled:
        right = [np.mean([one["label"] == example.target for one, example in zip(found, examples, strict=True)])
                 for found in (first, second)]  # fmt: skip
        accuracy = float(right[0]), float(right[1])
    return float(equal), float(np.abs(pairs[0] - pairs[1]).max()), accuracy


def _check_agreement(
    int8: bool, texts: int, equal: float, largest: float, accuracy: tuple[float, float] | None
) -> None:
    """Raise ConfigError where the two models do not agree."""
    shown = f"{equal:.2%} of {texts:,} labels are equal, probabilities differ by up to {largest:.1g}"
    fix = "leave out --int8" if int8 else "report it, with the model: this is a fault of the program"
    agrees = equal >= (EQUAL_INT8 if int8 else EQUAL) and (int8 or largest <= PROBABILITY)
    if int8 and accuracy is not None:
        agrees = agrees and abs(accuracy[0] - accuracy[1]) <= max(ACCURACY, 1 / texts)
        shown = f"{shown}, accuracy {accuracy[0]:.2%} and {accuracy[1]:.2%}"
    if not agrees:
        raise ConfigError(f"the export does not agree with the model: {shown}", where="export", fix=fix)


def claim(out: Path) -> None:
    """Raise an error where the file cannot be written, or its ending is another."""
    if out.suffix.lower() != checkpoints.EXPORTED:
        where = f"{out}"
        raise ConfigError(
            "an exported model ends in .onnx", where=where, fix=f"{out.with_suffix(checkpoints.EXPORTED)}"
        )
    if out.is_dir():
        raise RuntimeSetupError("it is a folder", where=str(out), fix="give a file inside it")
    atomic.claim_file(out)
