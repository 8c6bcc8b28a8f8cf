"""Tagging: the entities of a text, found as one tag a word.

What evaluation keeps of a text is a ``Tagged``; what it is held against are the true tags of all words, end to end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lstmcli.models import crf
from lstmcli.tags import spans, types_of
from lstmcli.tasks import classify
from lstmcli.tasks.entities import compared, resampled
from lstmcli.tasks.metrics import calibration_error
from lstmcli.tasks.tag_baselines import baseline_tags, fit_baselines
from lstmcli.types import Batch, Mean, Metrics, TagScores

Array = np.ndarray[Any, np.dtype[Any]]
PRIMARY = "f1"
RAREST = 1e-30  # probability of a tag

__all__ = [
    "PRIMARY",
    "baseline_probabilities",
    "calibrate",
    "describe",
    "details",
    "fit_baselines",
    "loss",
    "measure",
    "outputs",
    "probabilities",
    "summary",
]


@dataclass(frozen=True, eq=False)
class Tagged:
    """tags: ``[word]``, the best path; logs: ``[word, label]``, log probability of each tag at each word; entities: as
    ``tags.spans``; probabilities: ``[entity]``, that exactly this entity stands there."""

    tags: Array
    logs: Array
    entities: Array
    probabilities: Array


def loss(scores: TagScores, batch: Batch) -> Mean:
    """Negative log-likelihood of the true path, a word."""
    assert batch.targets is not None  # batches to learn from carry targets
    chain = _chain(scores)
    reached = crf.score(chain, scores.emissions, scores.lengths, batch.targets)
    total = crf.log_partition(chain, scores.emissions, scores.lengths)
    words = scores.lengths.sum()
    return Mean((total - reached).sum() / words, words)


def outputs(scores: TagScores) -> Array:
    """A ``Tagged`` a text."""
    # ProbabilityTables are differences of sums over the text, of which float32 leaves little in a long one.
    chain, emissions, lengths = _chain(scores, torch.float64), scores.emissions.double(), scores.lengths
    tags = crf.best(chain, emissions, lengths)
    mask = torch.arange(tags.shape[1], device=tags.device) < lengths[:, None]
    parts = (tags, *crf.probabilities(chain, emissions, lengths, tags))
    flat, marginals, first, second = (part[mask].cpu().numpy() for part in parts)  # [word] of all texts end to end
    entities = spans(flat, lengths.cpu().numpy())
    probabilities = np.exp(np.minimum(first[entities[:, 0]] + second[entities[:, 1] - 1], 0))
    logs = np.log(np.maximum(marginals, RAREST)).astype(np.float32)
    return _by_text(flat.astype(np.int32), logs, entities, probabilities, lengths.cpu().numpy())


def probabilities(tagged: Array, temperature: float) -> Array:
    """The same with probabilities of entities at this temperature of their log-odds."""
    moved = classify.probabilities(_odds(_probabilities(tagged)), temperature)[:, 1]
    ends = np.cumsum([len(one.probabilities) for one in tagged])
    calibrated = np.empty(len(tagged), object)
    for place, (one, own) in enumerate(zip(tagged, np.split(moved, ends[:-1]), strict=True)):
        calibrated[place] = replace(one, probabilities=own)
    return calibrated


def calibrate(tagged: Array, targets: Array) -> float:
    """The temperature at which the probabilities of found entities fit how often they are right."""
    right, probabilities = _right(tagged, targets)
    return classify.calibrate(_odds(probabilities), right.astype(np.int64)) if len(right) else 1.0


def describe(tagged: Array, labels: Sequence[str], temperature: float) -> list[dict[str, Any]]:
    """The entities of each text; start and end count words."""
    kinds = types_of(labels)
    return [
        {
            "entities": [
                {"label": kinds[kind], "start": begin, "end": end, "probability": round(float(probability), 6)}
                for (begin, end, kind), probability in zip(one.entities.tolist(), one.probabilities, strict=True)
            ]
        }
        for one in probabilities(tagged, temperature)
    ]


def measure(tagged: Array, targets: Array, *, seed: int = 0) -> Metrics:
    """Precision, recall and F1 over entities as conlleval counts them, resampled over texts."""
    return resampled(compared(_tags(tagged), targets, _lengths(tagged)).counts.sum(axis=1), seed=seed)


def details(tagged: Array, targets: Array, labels: Sequence[str]) -> dict[str, Any]:
    """Figures of each type, and what was taken for what."""
    found = compared(_tags(tagged), targets, _lengths(tagged))
    return found.details(types_of(labels))


def summary(tagged: Array, targets: Array, temperature: float = 1.0) -> dict[str, float]:
    """What training looks at: ``score`` (higher is better), F1, the loss a word, calibration error of entities."""
    right, wanted = compared(_tags(tagged), targets, _lengths(tagged)).counts.sum(axis=(0, 1))[[0, 2]]
    found = sum(len(one.entities) for one in tagged)
    f1 = 2 * right / max(1, found + wanted)
    logs = np.concatenate([one.logs for one in tagged])
    nll = -float(np.take_along_axis(logs, targets[:, None], axis=1).mean())
    hits, chosen = _right(probabilities(tagged, temperature), targets)
    ece = calibration_error(np.stack((1 - chosen, chosen), axis=1), hits.astype(np.int64)) if len(hits) else 0.0
    return {"score": float(f1), "f1": float(f1), "loss": nll, "ece": ece}


def baseline_probabilities(fitted: dict[str, Array], codes: Array, offsets: Array) -> dict[str, Array]:
    """By baseline, a ``Tagged`` a text."""
    found = {}
    for name, tags in baseline_tags(fitted, codes, offsets).items():
        entities = spans(tags, np.diff(offsets))
        found[name] = _by_text(tags, np.zeros((len(tags), 0)), entities, np.ones(len(entities)), np.diff(offsets))
    return found


def _by_text(tags: Array, logs: Array, entities: Array, probabilities: Array, lengths: Array) -> Array:
    """A ``Tagged`` a text of what lies end to end. lengths: words of each."""
    ends = np.cumsum(lengths)
    cuts = np.searchsorted(entities[:, 0], ends[:-1])
    entities = entities.copy()
    entities[:, :2] -= np.repeat(ends - lengths, np.diff(np.r_[0, cuts, len(entities)]))[:, None]
    rows = (
        np.split(tags, ends[:-1]),
        np.split(logs, ends[:-1]),
        np.split(entities, cuts),
        np.split(probabilities, cuts),
    )
    tagged = np.empty(len(lengths), object)
    for text, parts in enumerate(zip(*rows, strict=True)):
        tagged[text] = Tagged(*parts)
    return tagged


def _chain(scores: TagScores, dtype: torch.dtype | None = None) -> crf.Chain:
    return crf.Chain(*(part.to(dtype) for part in (scores.transitions, scores.start, scores.end)))


def _tags(tagged: Array) -> Array:
    return np.concatenate([one.tags for one in tagged])


def _lengths(tagged: Array) -> Array:
    return np.array([len(one.tags) for one in tagged])


def _probabilities(tagged: Array) -> Array:
    return np.concatenate([one.probabilities for one in tagged])


def _odds(probabilities: Array) -> Array:
    """Two columns of logits, for no and yes."""
    clipped = np.clip(probabilities.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.stack((np.zeros_like(clipped), np.log(clipped / (1 - clipped))), axis=1)


def _right(tagged: Array, targets: Array) -> tuple[Array, Array]:
    """Of each entity found: whether it is one, and its probability."""
    lengths = _lengths(tagged)
    starts = np.cumsum(lengths) - lengths
    true = {tuple(row) for row in spans(targets, lengths).tolist()}
    right = [
        (begin + start, end + start, kind) in true
        for one, start in zip(tagged, starts.tolist(), strict=True)
        for begin, end, kind in one.entities.tolist()
    ]
    return np.array(right, bool), _probabilities(tagged)
