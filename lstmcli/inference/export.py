"""Make an ONNX file of a model, and check that it gives the answers of the model before it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lstmcli import registry
from lstmcli.data.batches.encoded import encode
from lstmcli.data.batches.sampling import labels
from lstmcli.errors import ConfigError, RuntimeSetupError, counted
from lstmcli.events import Listener, Progress, silent
from lstmcli.inference import engines
from lstmcli.storage import atomic, onnx_file
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.types import Example

if TYPE_CHECKING:
    from lstmcli.graphs import GraphTask

Array = np.ndarray[Any, np.dtype[Any]]
MOST = 2_000  # texts that both models are run on
EQUAL, EQUAL_INT8 = 0.999, 0.98  # fraction of equal labels, at least
PROBABILITY = 1e-5  # largest difference, of a model in float32
OVERALL = 0.002  # largest difference of that metric, of a model with weights of int8; one text more or less is accepted
REFERENCE = {"device": "cpu", "precision": "float32"}  # of the model in torch


@dataclass(frozen=True)
class Exported:
    """A written file, and how it agrees with the model.

    opset: of ONNX; texts: that both were run on; equal: fraction of equal labels or tags; largest: difference of a
    probability; metric: the ``OVERALL`` one of the task; reached: its value of the model and of the file, none where
    the texts have no labels of the model.
    """

    path: Path
    size: int
    int8: bool
    opset: int
    texts: int
    equal: float
    largest: float
    metric: str
    reached: tuple[float, float] | None

    def plain(self) -> dict[str, Any]:
        """Return the result as JSON has it; the metric under its name, by ``model`` and ``export``."""
        found = vars(self) | {"path": str(self.path)}
        pair = found.pop("reached")
        named = None if pair is None else dict(zip(("model", "export"), pair, strict=True))
        return found | {found.pop("metric"): named}


def check(checkpoint: Checkpoint, where: str) -> None:
    """Raise ConfigError where the model cannot be exported, CheckpointError where it is damaged. where: its file."""
    checkpoint.check_weights(where)
    if not engines.installed():
        what = "an export is run on ONNX Runtime, which is not installed"
        raise ConfigError(what, where=engines.RUNTIME, fix="pip install onnx onnxruntime")
    checkpoint.group("model")  # torch compares the tensors with its model
    checkpoint.check_head()
    if reason := engines.unexportable(checkpoint):
        fix = "run it with lstmcli and torch; classifiers and taggers that 'lstmcli train' wrote can be exported"
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
        card: Model card stored in the file.
        int8: Store the matrices of the LSTMs and the word vectors as integers of eight bits.

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
    listener(Progress("comparing it with the model"))
    equal, largest, reached = _compared(checkpoint, onnx_file.of_bytes(content, str(out)), used, listener)
    opset = next(one.version for one in model.opset_import if not one.domain)
    metric = cast("GraphTask", checkpoint.task).OVERALL
    found = Exported(out, len(content), int8, opset, len(used), equal, largest, metric, reached)
    _check_agreement(found)
    with atomic.whole(out) as file:
        file.write(content)
    return found


def _compared(
    checkpoint: Checkpoint, exported: Checkpoint, examples: Sequence[Example], listener: Listener
) -> tuple[float, float, tuple[float, float] | None]:
    """Return the fraction of equal labels or tags, the largest difference of a probability, and the metric of both."""
    config = checkpoint.config.model_copy(update=REFERENCE)
    known = set(checkpoint.vocabulary.classes)
    labelled = all(one.target is not None and known.issuperset(labels(one)) for one in examples)
    store = encode(checkpoint.vocabulary, examples, cache=None, labelled=labelled, listener=listener)
    store = store.truncated(config.tokens)
    models = (engines.Engine(replace(checkpoint, config=config)), engines.Onnx(exported))
    task, deciding = models[0].task, cast("GraphTask", models[0].task)
    first, second = (
        task.probabilities(model.score(store, listener=listener), checkpoint.temperature) for model in models
    )
    agreement = deciding.agreement(first, second)
    if not labelled:
        return *agreement, None
    reached = [task.measure(one, store.known_targets)[deciding.OVERALL].value for one in (first, second)]
    return *agreement, (reached[0], reached[1])


def _check_agreement(found: Exported) -> None:
    """Raise ConfigError where the two models do not agree."""
    equal = f"{found.equal:.2%} of the labels of {counted(found.texts, 'text')} are equal"
    shown = f"{equal}, probabilities differ by up to {found.largest:.1g}"
    fix = "leave out --int8" if found.int8 else "report it, with the model: this is a fault of the program"
    agrees = found.equal >= (EQUAL_INT8 if found.int8 else EQUAL) and (found.int8 or found.largest <= PROBABILITY)
    if found.int8 and found.reached is not None:
        model, export = found.reached
        agrees = agrees and abs(model - export) <= max(OVERALL, 1 / found.texts)
        shown = f"{shown}, {found.metric} {model:.2%} and {export:.2%}"
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
