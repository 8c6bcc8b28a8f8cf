"""Few-shot classification: figures per episode, their mean over episodes, and baselines fitted on the support.

The baselines use TF-IDF of words, word pairs and character n-grams of two to four characters. With few texts, similar
spelling is most of the signal.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from lstmcli.tasks import intervals
from lstmcli.tasks.metrics import weighted
from lstmcli.types import Measure, Metrics

Array = np.ndarray[Any, np.dtype[Any]]
LOGIT_SCALE = 10.0  # of the softmax over cosines; any value keeps their order


def episode_figures(probabilities: Array, targets: Array) -> dict[str, float]:
    """Compute each metric of one episode. probabilities: ``[text, label]``; targets: ``[text]``."""
    return {
        name: float(value[0]) for name, value in weighted(probabilities, targets, np.ones((1, len(targets)))).items()
    }


def over_episodes(figures: Sequence[dict[str, float]], *, seed: int = 0, least: float = 0.0) -> Metrics:
    """Return the mean of each metric over the episodes that have it (AUC needs texts of both classes). They lie between
    ``least`` and 1.

    The 95 % interval is that of drawing the episodes again, widened as Student's is over the normal one,
    since resampling a few episodes shows too little of their spread. Of one episode it is all that there could be.
    """
    random = intervals.generator(seed)
    metrics = {}
    for name in dict.fromkeys(name for one in figures for name in one):
        values = np.array([one[name] for one in figures if name in one])
        means = intervals.by_index(partial(_means, values), len(values), random)
        mean = values.mean()
        spread = np.array(intervals.covering(means)) - mean
        wider = mean + intervals.widening(len(values)) * spread if len(values) > 1 else (least, 1.0)
        low, high = np.clip(wider, least, 1)
        metrics[name] = Measure(float(mean), float(low), float(high))
    return metrics


def _means(values: Array, drawn: Array) -> Array:
    means: Array = values[drawn].mean(axis=1)
    return means


def text_features(texts: Sequence[str]) -> Any:
    """Compute TF-IDF of the texts, ``[text, term]``; document frequencies are those of all texts, without labels."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import FeatureUnion

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=200_000)
    if not any(map(words.build_analyzer(), texts)):  # punctuation only
        return characters.fit_transform(texts).tocsr()
    return FeatureUnion([("words", words), ("characters", characters)]).fit_transform(texts).tocsr()


def support_probabilities(support: Any, targets: Array, query: Any, *, labels: int) -> dict[str, Array]:
    """Fit baselines on the support alone, and return their probabilities of the query by name, ``[text, label]``.

    support, query: as ``text_features``. A class without texts in the support has a probability of zero.
    """
    from scipy.special import softmax
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

    present = np.unique(support.indices)  # other terms have a weight of zero: leaving them out is only faster
    lengths = np.sqrt(query.multiply(query).sum(axis=1))
    support, query = support[:, present], query[:, present]
    one_hot = np.eye(labels)[targets]  # [text, label]
    prototypes = normalize((support.T @ one_hot).T)
    cosines = (query @ prototypes.T) / np.maximum(np.asarray(lengths).reshape(-1, 1), 1e-9)
    probabilities = {"centroid": softmax(LOGIT_SCALE * cosines, axis=1)}
    if len(np.unique(targets)) > 1:
        model = LogisticRegression(C=10, max_iter=300).fit(support, targets)
        probabilities["support linear"] = np.zeros((query.shape[0], labels))
        probabilities["support linear"][:, model.classes_] = model.predict_proba(query)
    return probabilities
