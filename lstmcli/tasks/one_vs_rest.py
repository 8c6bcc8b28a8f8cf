"""Baselines of multi-label classification: each label's own majority, and logistic regression of each label.

The regression reads TF-IDF of words and word pairs as ``tasks/baselines.py``. Its thresholds are chosen as the model's
are, by the F1 of each label, on a tenth of the training texts that a first fit leaves out.
"""

from typing import Any

import numpy as np

from lstmcli.tasks import intervals, label_sets
from lstmcli.tasks.baselines import term_features, term_scores

Array = np.ndarray[Any, np.dtype[Any]]
HELD_OUT = 10  # every tenth text
FEWEST = 100  # texts from which on thresholds are chosen
EDGE = 1e-6  # thresholds are kept this far from 0 and 1


def fit_baselines(ids: Array, offsets: Array, targets: Array, *, labels: int) -> dict[str, Array]:
    """Fit the baselines. ids, offsets: as of ``tasks/baselines.py``; targets: ``[text, label]``.

    Returns:
        prior ``[label]``; terms ``[term]``; idf ``[term]``; weight ``[term, label]``; bias ``[label]``; thresholds
        ``[label]``. Without any known word only the prior.
    """
    fitted = {"prior": targets.mean(axis=0, dtype=np.float64)}
    counted = term_features(ids, offsets)
    if counted is None:
        return fitted
    terms, weighting, features = counted
    thresholds = np.full(labels, label_sets.HALF)
    if len(targets) >= FEWEST:
        left = intervals.generator(0).permutation(len(targets)) % HELD_OUT == 0
        weight, bias = _regressions(features[~left], targets[~left])
        thresholds = label_sets.best_thresholds(_sigmoid(features[left] @ weight + bias), targets[left])
    weight, bias = _regressions(features, targets)
    return fitted | {
        "terms": terms,
        "idf": weighting.idf_.astype(np.float32),
        "weight": np.ascontiguousarray(weight, np.float32),
        "bias": bias.astype(np.float32),
        "thresholds": thresholds.clip(EDGE, 1 - EDGE),
    }


def baseline_probabilities(fitted: dict[str, Array], ids: Array, offsets: Array) -> dict[str, Array]:
    """Return the probabilities of each baseline by name, ``[text, label]``.

    The log odds of the regression are shifted, so that each label's threshold lies at 0.5.
    """
    found = {"majority": np.tile(fitted["prior"], (len(offsets) - 1, 1))}
    if "terms" in fitted:
        thresholds = fitted["thresholds"]
        shift = np.log(thresholds) - np.log1p(-thresholds)
        found["linear"] = _sigmoid(term_scores(fitted, ids, offsets) - shift)
    return found


def support_probabilities(support: Any, targets: Array, query: Any, *, labels: int) -> dict[str, Array]:
    """Fit a regression per label on the support alone, and return the probabilities of the query by name.

    support, query: as of ``few_shot.text_features``; targets: ``[text, label]``.
    """
    assert targets.shape[1] == labels
    present = np.unique(support.indices)  # other terms have a weight of zero: leaving them out is only faster
    weight, bias = _regressions(support[:, present], targets)
    return {"support linear": _sigmoid(query[:, present] @ weight + bias)}


def _regressions(features: Any, targets: Array) -> tuple[Array, Array]:
    """Fit a logistic regression per label and return weights ``[term, label]`` and biases ``[label]``; of a label that
    no text has, or every text, the bias is infinite."""
    from scipy.sparse import csr_array
    from sklearn.linear_model import LogisticRegression

    parts = features.data, *(part.astype(np.int32) for part in (features.indices, features.indptr))  # for liblinear
    features = csr_array(parts, shape=features.shape)
    count = targets.shape[1]
    weight, bias = np.zeros((features.shape[1], count)), np.full(count, -np.inf)
    for label in range(count):
        column = targets[:, label]
        if column.min() == column.max():
            bias[label] = np.inf if column.max() else -np.inf
            continue
        model = LogisticRegression(C=10, solver="liblinear", random_state=0).fit(features, column)
        weight[:, label], bias[label] = model.coef_[0], model.intercept_[0]
    return weight, bias


def _sigmoid(scores: Array) -> Array:
    from scipy.special import expit

    found: Array = expit(scores)
    return found
