"""The texts of a pool that are most worth labelling: uncertain, and different from each other.

Zhdanov (2019), "Diverse mini-batch Active Learning": of the texts with the smallest margins between the probabilities
of the two likeliest labels, k-means makes as many clusters as there are texts to choose, weighted by uncertainty, and
of each cluster the text nearest to its centre is taken. The embeddings are those of the encoder.

Where a text can have several labels, each label is a decision of its own, and a text is as uncertain as its most
uncertain label is.
"""

import heapq
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from lstmcli.data.batches.encoded import text_hashes
from lstmcli.events import Listener, Progress, silent
from lstmcli.inference.predict import Prediction, Predictions
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.sinks import Answer
from lstmcli.storage.text_io import Question
from lstmcli.types import Example

Array = np.ndarray[Any, np.dtype[Any]]
CANDIDATES = 10  # uncertain texts per text to choose
BLANK: Answer = {"row": 0, "text": "", "label": "", "proposal": "", "probability": None}
UNSURE = "unsure"  # column of the label whose probability is given, where a text can have several


def selected(
    checkpoint: Checkpoint,
    predictions: Predictions,
    windows: Iterable[list[Question]],
    count: int,
    *,
    seed: int,
    listener: Listener = silent,
) -> list[Prediction]:
    """Choose the rows that are most worth labelling, the most uncertain first.

    Rows that cannot be used, repeated texts, and texts that the model has learned from are not chosen. Memory does not
    grow with the pool.

    Args:
        checkpoint: Of the predictions.
        predictions: Of a model that labels whole texts, each with one label or several.
        windows: The rows of the pool.
        count: How many to choose; of a smaller pool, all.
        seed: Of the clusters.

    Returns:
        Their predictions: an empty label to be filled in, the predicted one as a proposal, and its probability. Of
        several labels the proposal has all, and the probability is that of the most uncertain one, which is named.
    """
    proposed = _Proposed(predictions.thresholds, checkpoint.config.data.label_separator)
    learned = set(checkpoint.arrays("learned").get("texts", np.empty(0)).tolist())
    heap: list[tuple[float, int, Prediction]] = []  # the least uncertain first; of equals, the last
    texts: set[str] = set()
    for number, prediction in enumerate(predictions.of(windows), 1):
        listener(Progress("reading the pool", number))
        answer = prediction.answer
        if "problem" in answer:
            continue
        score = proposed.uncertainty(answer)
        text = " ".join(answer["text"].split()).lower()
        if text in texts or (len(heap) == CANDIDATES * count and score <= heap[0][0]) or _hash(answer) in learned:
            continue
        texts.add(text)
        put = heapq.heappush if len(heap) < CANDIDATES * count else heapq.heapreplace
        dropped = put(heap, (score, -number, prediction))
        if dropped is not None:
            texts.discard(" ".join(dropped[2].answer["text"].split()).lower())
    ranked = [prediction for _, _, prediction in sorted(heap, key=lambda one: (-one[0], -one[1]))]
    if len(ranked) <= count:
        return [proposed(prediction) for prediction in ranked]
    listener(Progress("choosing different texts"))
    weights = np.array(sorted((score for score, *_ in heap), reverse=True))
    embeddings = predictions.embeddings([prediction.answer["text"] for prediction in ranked])
    return [proposed(ranked[index]) for index in diverse(embeddings, weights, count, seed=seed).tolist()]


def _hash(answer: Answer) -> int:
    return int(text_hashes([Example(answer["text"])])[0])


class _Proposed:
    """Makes proposals of the predictions of a model, so that nobody learns from them unseen."""

    def __init__(self, thresholds: Array, separator: str | None) -> None:
        """thresholds: of each label, ``[label]``, where a text can have several; separator: of the labels of a text."""
        self._thresholds, self._separator = thresholds, separator

    def uncertainty(self, answer: Answer) -> float:
        """Return how uncertain the label of the text is, or the most uncertain of its labels."""
        rows = np.array([list(answer["probabilities"].values())])
        found = of_each_label(rows, self._thresholds).max() if "labels" in answer else uncertainty(rows)[0]
        return float(found)

    def __call__(self, prediction: Prediction) -> Prediction:
        answer = prediction.answer
        found = BLANK | {key: answer[key] for key in ("row", "text")}
        if "labels" in answer:
            of_labels = of_each_label(np.array([*answer["probabilities"].values()]), self._thresholds)
            unsure, probability = [*answer["probabilities"].items()][int(of_labels.argmax())]
            separator = self._separator or ", "
            found |= {"proposal": separator.join(answer["labels"]) or separator}
            found |= {"probability": probability, UNSURE: unsure}
        else:
            found |= {"proposal": answer["label"], "probability": answer["probability"]}
        return replace(prediction, answer=found | ({"kept": answer["kept"]} if "kept" in answer else {}))


def uncertainty(probabilities: Array) -> Array:
    """Compute one minus the margin between the two likeliest labels, ``[text]``. probabilities: ``[text, label]``."""
    ordered = np.sort(probabilities, axis=1)
    found: Array = 1 - (ordered[:, -1] - ordered[:, -2])
    return found


def of_each_label(probabilities: Array, thresholds: Array) -> Array:
    """Compute one minus the margin between having a label and not having it, ``[..., label]``.

    Log odds are shifted, so that the threshold of each label lies at 0.5: the margin of a rare label with a threshold
    of 0.01 is as large at 0.001 as at 0.092. probabilities: ``[..., label]``; thresholds: ``[label]``.
    """
    given, not_given = probabilities * (1 - thresholds), (1 - probabilities) * thresholds
    total = given + not_given
    found: Array = 1 - np.abs(given - not_given) / np.where(total > 0, total, 1)
    return found


def diverse(embeddings: Array, weights: Array, count: int, *, seed: int) -> Array:
    """Choose texts from different clusters: the indices, ascending, ``[count]``; all where there are no more.

    Args:
        embeddings: ``[text, feature]``.
        weights: Of each text, ``[text]``; at least zero.
        count: How many to choose.
        seed: Of the initial centres.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    if len(embeddings) <= count:
        return np.arange(len(embeddings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different embeddings than clusters
        means = KMeans(count, n_init=1, random_state=seed)
        distances = means.fit_transform(embeddings, sample_weight=weights + 1e-6)  # [text, cluster]
    chosen: dict[int, None] = {}
    for cluster in range(count):
        order = distances[:, cluster].argsort(kind="stable").tolist()
        chosen[next(index for index in order if index not in chosen)] = None
    return np.array(sorted(chosen))
