"""What learns from the same few texts without a model, scored beside an adapted model."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from lstmcli.events import Listener, Noted, Progress, silent
from lstmcli.inference.assemble import Parts
from lstmcli.inference.evaluate import Figures
from lstmcli.types import Example

SCORED = 2000  # texts that baselines are scored on: pieces of words take long to count


def figures(
    parts: Parts, support: Sequence[Example], query: Sequence[Example], seed: int, *, listener: Listener = silent
) -> dict[str, Figures]:
    """Figures of the baselines that learn from the support alone; only whole texts have some."""
    if parts.vocabulary.pretokenized or not query:
        return {}
    if len(query) > SCORED:
        listener(Noted(f"baselines are scored on {SCORED:,} of the {len(query):,} others"))
    listener(Progress("scoring the baselines"))
    chosen = np.random.default_rng(seed).permutation(len(query))[:SCORED]
    examples = [*support, *(query[place] for place in chosen)]
    features = parts.text_task.text_features([str(example.text) for example in examples])
    place_of = {label: place for place, label in enumerate(parts.vocabulary.labels)}
    targets = np.array([place_of[str(example.target)] for example in examples])
    count = len(support)
    said = parts.text_task.support_probabilities(
        features[:count], targets[:count], features[count:], labels=len(place_of)
    )
    return {
        name: {metric: asdict(figure) for metric, figure in parts.task.measure(probabilities, targets[count:]).items()}
        for name, probabilities in said.items()
    }
