"""Baselines fitted on the support alone, scored beside an adapted model."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from lstmcli.events import Listener, Noted, Progress, silent
from lstmcli.inference.assemble import Parts
from lstmcli.inference.evaluate import Figures
from lstmcli.types import Example

SCORED = 2000  # texts that baselines are scored on: counting character n-grams is slow


def figures(
    parts: Parts, support: Sequence[Example], query: Sequence[Example], seed: int, *, listener: Listener = silent
) -> dict[str, Figures]:
    """Compute the figures of the baselines fitted on the support; none for taggers."""
    if parts.task.READS != "text" or not query:
        return {}
    if len(query) > SCORED:
        listener(Noted(f"baselines are scored on {SCORED:,} of the {len(query):,} others"))
    listener(Progress("scoring the baselines"))
    chosen = np.random.default_rng(seed).permutation(len(query))[:SCORED]
    examples = [*support, *(query[index] for index in chosen)]
    features = parts.text_task.text_features([str(example.text) for example in examples])
    targets = parts.vocabulary.targets(examples)
    count = len(support)
    by_name = parts.text_task.support_probabilities(
        features[:count], targets[:count], features[count:], labels=len(parts.vocabulary.labels)
    )
    return {
        name: {metric: asdict(figure) for metric, figure in parts.task.measure(probabilities, targets[count:]).items()}
        for name, probabilities in by_name.items()
    }
