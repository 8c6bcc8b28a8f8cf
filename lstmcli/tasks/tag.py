"""Tagging: the entities of a text, predicted as one tag per word.

The output of a text is a ``Tagged``; the targets are the true tags of all words, texts concatenated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.tags import spans, types_of
from lstmcli.tasks import chain, classify
from lstmcli.tasks.entities import compared, resampled
from lstmcli.tasks.metrics import calibration_error
from lstmcli.tasks.tag_baselines import baseline_tags, fit_baselines
from lstmcli.types import Mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lstmcli.contracts import Reads
    from lstmcli.types import Batch, Metrics, TagScores

Array = np.ndarray[Any, np.dtype[Any]]
READS: Reads = "words"
HEADING = "entities"
PRIMARY = OVERALL = "f1"
RAREST = 1e-30  # lower bound of a tag's probability

__all__ = [
    "HEADING",
    "OVERALL",
    "PRIMARY",
    "READS",
    "agreement",
    "baseline_probabilities",
    "blank",
    "calibrate",
    "describe",
    "details",
    "fit_baselines",
    "loss",
    "measure",
    "outputs",
    "outputs_of",
    "probabilities",
    "summary",
]


@dataclass(frozen=True, eq=False)
class Tagged:
    """The predicted tags and entities of a text."""

    tags: Array  # [word], the best path
    log_probs: Array  # [word, label], of each tag at each word
    entities: Array  # as tags.spans
    probabilities: Array  # [entity], of exactly this span and type


def loss(scores: TagScores, batch: Batch) -> Mean:
    """Compute the negative log-likelihood of the true path, per word."""
    from lstmcli.models import crf

    assert batch.targets is not None  # set in every training batch
    of_tags = crf.Chain(scores.transitions, scores.start, scores.end)
    path = crf.score(of_tags, scores.emissions, scores.lengths, batch.targets)
    total = crf.log_partition(of_tags, scores.emissions, scores.lengths)
    words = scores.lengths.sum()
    return Mean((total - path).sum() / words, words)


def outputs(scores: TagScores) -> Array:
    """Return one ``Tagged`` per text."""
    names = ("emissions", "transitions", "start", "end")
    return outputs_of({name: getattr(scores, name).cpu().numpy() for name in names}, scores.lengths.cpu().numpy())


def outputs_of(arrays: Mapping[str, Array], lengths: Array) -> Array:
    """Return one ``Tagged`` per text of a batch. arrays: ``emissions``, ``transitions``, ``start`` and ``end``."""
    emissions, *of_tags = (arrays[name].astype(np.float64) for name in ("emissions", "transitions", "start", "end"))
    scores = chain.Chain(*of_tags)
    tags = chain.best(scores, emissions, lengths)
    mask = np.arange(tags.shape[1]) < lengths[:, None]
    parts = (tags, *chain.probabilities(scores, emissions, lengths, tags))
    flat, marginals, first, second = (part[mask] for part in parts)  # [word], texts concatenated
    entities = spans(flat, lengths)
    probabilities = np.exp(np.minimum(first[entities[:, 0]] + second[entities[:, 1] - 1], 0))
    log_probs = np.log(np.maximum(marginals, RAREST)).astype(np.float32)
    return _by_text(flat.astype(np.int32), log_probs, entities, probabilities, lengths)


def probabilities(tagged: Array, temperature: float) -> Array:
    """Return the same with entity probabilities whose log-odds are divided by the temperature."""
    scaled = classify.probabilities(_log_odds(_probabilities(tagged)), temperature)[:, 1]
    ends = np.cumsum([len(text.probabilities) for text in tagged])
    calibrated = np.empty(len(tagged), object)
    for index, (text, of_text) in enumerate(zip(tagged, np.split(scaled, ends[:-1]), strict=True)):
        calibrated[index] = replace(text, probabilities=of_text)
    return calibrated


def agreement(tagged: Array, others: Array) -> tuple[float, float]:
    """Return the fraction of equal tags, and the largest difference of the probability of an entity that both find."""
    largest = 0.0
    for one, other in zip(tagged, others, strict=True):
        found = dict(zip(map(tuple, other.entities.tolist()), other.probabilities, strict=True))
        pairs = zip(map(tuple, one.entities.tolist()), one.probabilities, strict=True)
        largest = max([largest, *(abs(value - found[entity]) for entity, value in pairs if entity in found)])
    return float((_tags(tagged) == _tags(others)).mean()), float(largest)


def calibrate(tagged: Array, targets: Array) -> float:
    """Find the temperature that calibrates the probabilities of the predicted entities."""
    right, probabilities = _right(tagged, targets)
    return classify.calibrate(_log_odds(probabilities), right.astype(np.int64)) if len(right) else 1.0


def describe(tagged: Array, labels: Sequence[str], temperature: float) -> list[dict[str, Any]]:
    """Return the entities of each text; start and end are word indices."""
    kinds = types_of(labels)
    return [
        {
            "entities": [
                {"label": kinds[kind], "start": begin, "end": end, "probability": round(float(probability), 6)}
                for (begin, end, kind), probability in zip(text.entities.tolist(), text.probabilities, strict=True)
            ]
        }
        for text in probabilities(tagged, temperature)
    ]


def blank(labels: Sequence[str]) -> dict[str, Any]:  # noqa: ARG001 (one signature)
    """Return the answer of ``predict`` to a row without a text."""
    return {"entities": []}


def measure(tagged: Array, targets: Array, *, seed: int = 0) -> Metrics:
    """Compute precision, recall and F1 over entities, with intervals over resampled texts."""
    return resampled(compared(_tags(tagged), targets, _lengths(tagged)).counts.sum(axis=1), seed=seed)


def details(tagged: Array, targets: Array, labels: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """Compute the figures of each type, and the confusions."""
    return compared(_tags(tagged), targets, _lengths(tagged)).details(types_of(labels), seed=seed)


def summary(tagged: Array, targets: Array, temperature: float = 1.0) -> dict[str, float]:
    """Return the figures for the training loop: ``score`` (higher is better), F1, loss per word, calibration error."""
    right, found, true = compared(_tags(tagged), targets, _lengths(tagged)).counts.sum(axis=(0, 1))
    f1 = 2 * right / max(1, found + true)
    log_probs = np.concatenate([text.log_probs for text in tagged])
    nll = -float(np.take_along_axis(log_probs, targets[:, None], axis=1).mean())
    hits, chosen = _right(probabilities(tagged, temperature), targets)
    ece = calibration_error(np.stack((1 - chosen, chosen), axis=1), hits.astype(np.int64)) if len(hits) else 0.0
    return {"score": float(f1), "f1": float(f1), "loss": nll, "ece": ece}


def baseline_probabilities(fitted: dict[str, Array], codes: Array, offsets: Array) -> dict[str, Array]:
    """Return one ``Tagged`` per text, by baseline."""
    found = {}
    for name, tags in baseline_tags(fitted, codes, offsets).items():
        entities = spans(tags, np.diff(offsets))
        found[name] = _by_text(tags, np.zeros((len(tags), 0)), entities, np.ones(len(entities)), np.diff(offsets))
    return found


def _by_text(tags: Array, log_probs: Array, entities: Array, probabilities: Array, lengths: Array) -> Array:
    """Split arrays of all texts into one ``Tagged`` per text. lengths: words of each text."""
    ends = np.cumsum(lengths)
    cuts = np.searchsorted(entities[:, 0], ends[:-1])
    entities = entities.copy()
    entities[:, :2] -= np.repeat(ends - lengths, np.diff(np.r_[0, cuts, len(entities)]))[:, None]
    rows = (
        np.split(tags, ends[:-1]),
        np.split(log_probs, ends[:-1]),
        np.split(entities, cuts),
        np.split(probabilities, cuts),
    )
    tagged = np.empty(len(lengths), object)
    for text, parts in enumerate(zip(*rows, strict=True)):
        tagged[text] = Tagged(*parts)
    return tagged


def _tags(tagged: Array) -> Array:
    return np.concatenate([text.tags for text in tagged])


def _lengths(tagged: Array) -> Array:
    return np.array([len(text.tags) for text in tagged])


def _probabilities(tagged: Array) -> Array:
    return np.concatenate([text.probabilities for text in tagged])


def _log_odds(probabilities: Array) -> Array:
    """Compute logits ``[entity, 2]`` of incorrect and correct."""
    clipped = np.clip(probabilities.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.stack((np.zeros_like(clipped), np.log(clipped / (1 - clipped))), axis=1)


def _right(tagged: Array, targets: Array) -> tuple[Array, Array]:
    """Return whether each predicted entity is correct, and its probability, ``[entity]`` each."""
    lengths = _lengths(tagged)
    starts = np.cumsum(lengths) - lengths
    true = {tuple(row) for row in spans(targets, lengths).tolist()}
    right = [
        (begin + start, end + start, kind) in true
        for text, start in zip(tagged, starts.tolist(), strict=True)
        for begin, end, kind in text.entities.tolist()
    ]
    return np.array(right, bool), _probabilities(tagged)
