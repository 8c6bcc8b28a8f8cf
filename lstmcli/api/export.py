"""Export the model in a file for ONNX Runtime. Torch starts with the model, which the export is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmcli.api import files
from lstmcli.config import Data
from lstmcli.events import Listener, Noted, silent
from lstmcli.storage import examples as inputs
from lstmcli.types import Example

if TYPE_CHECKING:
    from lstmcli.inference.export import Exported
    from lstmcli.storage.checkpoint import Checkpoint

BUNDLED = {"text": "opinions", "words": "entities"}  # to compare with where the texts of the model are not at hand


def export(
    model: files.Name,
    output: str | Path,
    *,
    int8: bool = False,
    data: files.Name | None = None,
    reading: Mapping[str, Any] = files.AS_IT_IS,
    listener: Listener = silent,
) -> "Exported":
    """Write an ONNX file that ``predict`` and ``evaluate``, and any program with ONNX Runtime, can run.

    It is compared with the model on held-out texts, and not written unless they agree: 99.9 % of the labels or tags
    equal and probabilities within 1e-5; with ``int8``, 98 % equal and accuracy within 0.2 points, or one text more or
    less (F1 over entities of a tagger, micro F1 of several labels per text).

    Args:
        model, reading: As in ``lstmcli.api.files``.
        output: A .onnx file.
        int8: Store matrices as integers of eight bits: a smaller and faster model, whose probabilities differ slightly.
        data: As ``--data``; None: up to 1,000 held-out texts of what the model was trained on, if they are at hand.
        listener: Called with each event.

    Raises:
        CheckpointError, DataError: the model or the data cannot be used.
        ConfigError: the model cannot be exported, or the export does not agree with it.
        RuntimeSetupError: the file cannot be written.
    """
    from lstmcli.inference import export as exporting

    out = Path(output)
    exporting.claim(out)
    checkpoint, path = files.opened(model, (), listener)
    exporting.check(checkpoint, str(path))
    examples = _examples(checkpoint, data, reading, listener)

    from lstmcli.machine import runtime
    from lstmcli.report import card

    rows = card.rows(checkpoint, path)
    with runtime.unchanged(checkpoint.config):
        described = "\n".join(f"{name}: {value}" for name, value in rows)
        return exporting.run(checkpoint, examples, out=out, card=described, int8=int8, listener=listener)


def _examples(
    checkpoint: "Checkpoint", data: files.Name | None, reading: Mapping[str, Any], listener: Listener
) -> Sequence[Example]:
    """Return texts to compare the models on."""
    learned = checkpoint.arrays("learned").get("texts")
    if data is not None:
        source = files.source(data, checkpoint.config, reading, listener)
        _, examples = inputs.to_score(source, None, checkpoint.config, learned, listener=listener)
        return files.as_known(examples, checkpoint, listener=listener)
    if examples := inputs.old(checkpoint.config, learned, listener=listener):
        return examples
    listener(
        Noted("the model's own data was not found: compared on bundled texts, without labels; on yours: --data FILE")
    )
    examples = inputs.split(Data(name=BUNDLED[checkpoint.task.READS]), "test", listener=listener)
    return [replace(example, target=None) for example in examples]
