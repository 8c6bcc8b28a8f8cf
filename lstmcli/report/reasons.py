"""Why the model made its most confident mistakes: the contributions of the words to the label that it gave."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from lstmcli.data.batches.encoded import encode
from lstmcli.inference.engines import Onnx
from lstmcli.inference.evaluate import Scored
from lstmcli.inference.explain import Explainer
from lstmcli.report.judged import Mistake
from lstmcli.storage.sinks import Answer


def of(scored: Scored, mistakes: Sequence[Mistake]) -> list[Answer]:
    """Explain the wrong label of each text by integrated gradients, see ``lstmcli.inference.explain``.

    The contributions sum to the log odds of the probability that was scored: where ONNX Runtime scored, in float32,
    gradients are of float32 too.
    """
    engine, parts = scored.engine, scored.engine.parts
    if isinstance(engine, Onnx):
        parts = replace(parts, runtime=replace(parts.runtime, dtype=torch.float32))
    rows, labels = [one.row for one in mistakes], [one.predicted for one in mistakes]
    examples = [scored.examples[row] for row in rows]
    full = encode(engine.vocabulary, examples, cache=None, labelled=False)
    texts = [str(example.text) for example in examples]
    return Explainer(engine.checkpoint, parts).of(texts, full, scored.outputs[rows], labels)
