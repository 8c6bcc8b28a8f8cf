"""Language modelling: each next word of a token stream, measured in perplexity.

What is kept of a text is ``[direction + 1]``: minus the log probability of its words in each direction, and how many
they are, its end counted as one. Perplexity is exp of the mean a word over all texts and directions.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lstmcli.tasks.ngrams import baseline_logs, fit_baselines
from lstmcli.tasks.spelling import spelling_costs
from lstmcli.types import Batch, Mean, Measure, Metrics, TokenScores

Array = np.ndarray[Any, np.dtype[Any]]
PRIMARY = "perplexity"
LESS_IS_BETTER = True  # of the primary figure
DRAWS = 1000  # resamples of the texts for an interval

__all__ = [
    "LESS_IS_BETTER",
    "PRIMARY",
    "baseline_probabilities",
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


def loss(scores: TokenScores, batch: Batch) -> Mean:  # noqa: ARG001 (the scores tell of the targets)
    """Minus the log probability a word, and what the model's regularisation costs."""
    count = scores.lengths.sum()
    return Mean(-scores.logs.sum() / (count * len(scores.logs)) + scores.penalty, count)


def outputs(scores: TokenScores) -> Array:
    """Of each text by itself: ``[text, direction + 1]``."""
    return kept(-scores.logs.double().sum(dim=2).cpu().numpy(), scores.lengths.cpu().numpy())


def kept(losses: Array, counts: Array) -> Array:
    """losses: ``[direction, text]``; counts: ``[text]``; returns ``[text, direction + 1]``."""
    return np.concatenate((losses, counts[None]), axis=0).T.astype(np.float64)


def probabilities(outputs: Array, temperature: float) -> Array:  # noqa: ARG001 (perplexity is of the probabilities as they are)
    """The outputs themselves."""
    return outputs


def calibrate(outputs: Array, targets: Array) -> float:  # noqa: ARG001
    """Always 1: a language model is trained for its probabilities."""
    return 1.0


def describe(outputs: Array, labels: Sequence[str], temperature: float) -> list[dict[str, Any]]:  # noqa: ARG001
    """How well each text was predicted."""
    found = np.exp(_rates(outputs))
    return [{"perplexity": round(float(value), 4), "words": int(row[-1])}
            for value, row in zip(found, outputs, strict=True)]  # fmt: skip


def measure(outputs: Array, targets: Array, *, seed: int = 0) -> Metrics:  # noqa: ARG001 (one signature)
    """Perplexity, with its 95 % interval over resampled texts. Every unknown word counts as the same word ``<unk>``, so
    that only perplexities of one vocabulary can be compared."""
    figures = _resampled(_totals(outputs), outputs[:, -1], seed)
    return {PRIMARY: Measure(*(float(np.exp(rate)) for rate in figures))}


def unknown_words(unknown: Array, words: Array, *, seed: int = 0) -> Metrics:
    """The share of unknown words, with its interval as ``measure``. unknown, words: how many, ``[text]``."""
    return {"unknown_words": Measure(*_resampled(unknown, words, seed))}


def by_character(outputs: Array, characters: Array, spelled: Array, *, seed: int = 0) -> Metrics:
    """Bits per character, which can be compared where words are cut or known differently; as ``measure``.

    characters: ``[text]``, the end of each counted as one; spelled: ``[text]``, nats that the spelling of its unknown
    words costs beside the probability of ``<unk>`` (``spelling_costs``). Case that the vocabulary folds costs nothing.
    """
    figures = _resampled(_totals(outputs) + spelled, characters, seed)
    return {"bits_per_character": Measure(*(rate / math.log(2) for rate in figures))}


def _totals(outputs: Array) -> Array:
    """Minus the log probability of each text, a mean over directions."""
    totals: Array = outputs[:, :-1].mean(axis=1)
    return totals


def _resampled(totals: Array, counts: Array, seed: int) -> tuple[float, float, float]:
    """The sum of the totals over that of the counts, and its 95 % interval over resampled texts."""
    random = np.random.default_rng(seed)
    draws = (random.integers(0, len(totals), len(totals)) for _ in range(DRAWS))
    low, high = np.quantile([totals[draw].sum() / counts[draw].sum() for draw in draws], (0.025, 0.975))
    return float(totals.sum() / counts.sum()), float(low), float(high)


def summary(outputs: Array, targets: Array, temperature: float = 1.0) -> dict[str, float]:  # noqa: ARG001
    """What training looks at: ``score`` (higher is better), the loss a word, perplexity."""
    loss = _rate(outputs)
    return {"score": -loss, "perplexity": float(np.exp(loss)), "loss": loss}


def baseline_probabilities(fitted: dict[str, Array], codes: Array, offsets: Array) -> dict[str, Array]:
    """By baseline, the outputs."""
    lengths = np.diff(offsets)
    return {
        name: kept(-np.add.reduceat(logs, offsets[:-1])[None], lengths)
        for name, logs in baseline_logs(fitted, codes, offsets).items()
    }


def _rates(outputs: Array) -> Array:
    """Minus the log probability per word, of each text."""
    rates: Array = _totals(outputs) / outputs[:, -1]
    return rates


def _rate(outputs: Array) -> float:
    return float(_totals(outputs).sum() / outputs[:, -1].sum())
