"""Language modelling: each next word of a token stream, measured in perplexity.

The outputs of a text are ``[direction + 1]``: minus the log probability of its words in each direction, and their
number, the end counted as one. Perplexity is exp of their mean per word over all texts and directions.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lstmcli.contracts import Reads
from lstmcli.tasks import intervals
from lstmcli.tasks.ngrams import baseline_log_probs, fit_baselines
from lstmcli.tasks.spelling import spelling_costs
from lstmcli.types import Batch, Mean, Measure, Metrics, TokenScores

Array = np.ndarray[Any, np.dtype[Any]]
READS: Reads = "stream"
HEADING = "language models"
PRIMARY = "perplexity"
LOWER_IS_BETTER = True  # of the primary figure

__all__ = [
    "HEADING",
    "LOWER_IS_BETTER",
    "PRIMARY",
    "READS",
    "baseline_probabilities",
    "blank",
    "by_character",
    "calibrate",
    "describe",
    "fit_baselines",
    "kept",
    "loss",
    "measure",
    "outputs",
    "probabilities",
    "spelling_costs",
    "summary",
    "unknown_words",
]


def loss(scores: TokenScores, batch: Batch) -> Mean:  # noqa: ARG001 (the scores are those of the targets)
    """Compute minus the log probability per word, plus the model's regularisation."""
    count = scores.lengths.sum()
    return Mean(-scores.log_probs.sum() / (count * len(scores.log_probs)) + scores.penalty, count)


def outputs(scores: TokenScores) -> Array:
    """Return the outputs of each text, ``[text, direction + 1]``."""
    return kept(-scores.log_probs.double().sum(dim=2).cpu().numpy(), scores.lengths.cpu().numpy())


def kept(losses: Array, counts: Array) -> Array:
    """Combine losses ``[direction, text]`` and numbers of words ``[text]`` to outputs ``[text, direction + 1]``."""
    return np.concatenate((losses, counts[None]), axis=0).T.astype(np.float64)


def probabilities(outputs: Array, temperature: float) -> Array:  # noqa: ARG001 (perplexity has no temperature)
    """Return the outputs themselves."""
    return outputs


def calibrate(outputs: Array, targets: Array) -> float:  # noqa: ARG001
    """Return 1: a language model is trained for its probabilities."""
    return 1.0


def describe(outputs: Array, labels: Sequence[str], temperature: float) -> list[dict[str, Any]]:  # noqa: ARG001
    """Return the perplexity and the number of words of each text."""
    perplexities = np.exp(_totals(outputs) / outputs[:, -1])
    return [{"perplexity": round(float(value), 4), "words": int(row[-1])}
            for value, row in zip(perplexities, outputs, strict=True)]  # fmt: skip


def blank(labels: Sequence[str]) -> dict[str, Any]:  # noqa: ARG001 (one signature)
    """Return the answer of ``predict`` to a row without a text."""
    return {"perplexity": None, "words": None, "next": {}}


def measure(outputs: Array, targets: Array, *, seed: int = 0) -> Metrics:  # noqa: ARG001 (one signature)
    """Compute perplexity with its 95 % interval over resampled texts. All unknown words count as one word ``<unk>``, so
    only perplexities of one vocabulary can be compared."""
    figures = _resampled(_totals(outputs), outputs[:, -1], seed)
    return {PRIMARY: Measure(*(float(np.exp(rate)) for rate in figures))}


def unknown_words(unknown: Array, words: Array, *, seed: int = 0) -> Metrics:
    """Compute the proportion of unknown words, with its interval as ``measure``. unknown, words: counts ``[text]``."""
    return {"unknown_words": Measure(*_resampled(unknown, words, seed))}


def by_character(outputs: Array, characters: Array, spelled: Array, *, seed: int = 0) -> Metrics:
    """Compute bits per character, comparable between vocabularies and tokenisations, with its interval as ``measure``.

    Args:
        outputs: ``[text, direction + 1]``.
        characters: ``[text]``, the end of each text counted as one.
        spelled: ``[text]``, nats for the spelling of unknown words beside the probability of ``<unk>``
            (``spelling_costs``). Case that the vocabulary folds costs nothing.
        seed: Of the resamples.
    """
    figures = _resampled(_totals(outputs) + spelled, characters, seed)
    return {"bits_per_character": Measure(*(rate / math.log(2) for rate in figures))}


def _totals(outputs: Array) -> Array:
    """Compute minus the log probability of each text, ``[text]``, a mean over directions."""
    totals: Array = outputs[:, :-1].mean(axis=1)
    return totals


def _resampled(totals: Array, counts: Array, seed: int) -> tuple[float, float, float]:
    """Return the sum of the totals over that of the counts, and its 95 % interval over resampled texts."""

    def rates(drawn: Array) -> Array:
        found: Array = totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
        return found

    low, high = intervals.covering(intervals.by_index(rates, len(totals), intervals.generator(seed)))
    return float(totals.sum() / counts.sum()), low, high


def summary(outputs: Array, targets: Array, temperature: float = 1.0) -> dict[str, float]:  # noqa: ARG001
    """Return the figures for the training loop: ``score`` (higher is better), loss per word, perplexity."""
    loss = float(_totals(outputs).sum() / outputs[:, -1].sum())
    return {"score": -loss, "perplexity": float(np.exp(loss)), "loss": loss}


def baseline_probabilities(fitted: dict[str, Array], codes: Array, offsets: Array) -> dict[str, Array]:
    """Return the outputs of each baseline by name."""
    lengths = np.diff(offsets)
    return {
        name: kept(-np.add.reduceat(log_probs, offsets[:-1])[None], lengths)
        for name, log_probs in baseline_log_probs(fitted, codes, offsets).items()
    }
