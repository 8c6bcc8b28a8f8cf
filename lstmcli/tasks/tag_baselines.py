"""Baselines of tagging: each word's most frequent tag, and a linear model over each word and its neighbours.

Both are fitted on the training texts of the model. The code of a word is its id and its casing. The linear model
predicts the tag of each word independently, from the codes, ids and casings at the offsets -1, 0 and 1: scikit-learn's
logistic regression by stochastic gradient descent, with the same settings for all data.
"""

from typing import Any

import numpy as np

from lstmcli.types import CASINGS

Array = np.ndarray[Any, np.dtype[Any]]
AROUND = (-1, 0, 1)
KINDS = 3  # of features at each offset: code, id, casing
SHIFT = 2**40  # a feature is the number of its offset and kind, times this, plus its value


def fit_baselines(codes: Array, offsets: Array, targets: Array, *, labels: int) -> dict[str, Array]:
    """Fit the baselines. codes: ``[token]``; offsets: ``[text + 1]``; targets: ``[token]``.

    Returns:
        words ``[word]``, sorted codes, and common ``[word]``, the most frequent tag of each; terms ``[term]``, sorted
        features; weight ``[term, label]``; bias ``[label]``.
    """
    from sklearn.linear_model import SGDClassifier

    words, index = np.unique(codes, return_inverse=True)
    counts = np.zeros((len(words), labels), np.int64)
    np.add.at(counts, (index, targets), 1)
    features = _features(codes, offsets)
    terms, times = np.unique(features, return_counts=True)
    terms = terms[times > 1] if (times > 1).any() else terms
    weight, bias = np.zeros((len(terms), labels), np.float16), np.full(labels, -1e4, np.float32)
    fitted = {"words": words, "common": counts.argmax(axis=1), "terms": terms, "weight": weight, "bias": bias}
    if len(np.unique(targets)) == 1:  # one class: nothing to fit
        bias[targets[0]] = 0
        return fitted
    model = SGDClassifier(loss="log_loss", alpha=1e-6, max_iter=10, tol=None, random_state=0)
    model.fit(_matrix(features, terms), targets)
    if len(model.classes_) == 2:
        weight[:, model.classes_[1]], bias[model.classes_] = model.coef_[0], (0, model.intercept_[0])
    else:
        weight[:, model.classes_], bias[model.classes_] = model.coef_.T, model.intercept_
    return fitted


def baseline_tags(fitted: dict[str, Array], codes: Array, offsets: Array) -> dict[str, Array]:
    """Return the tags by baseline, ``[token]``; the first tags a word that was not in training as outside."""
    index = np.minimum(np.searchsorted(fitted["words"], codes), len(fitted["words"]) - 1)
    common = np.where(fitted["words"][index] == codes, fitted["common"][index], 0)
    matrix = _matrix(_features(codes, offsets), fitted["terms"])
    scores = matrix @ fitted["weight"].astype(np.float32) + fitted["bias"]
    return {"majority": common, "linear": scores.argmax(axis=1)}


def _features(codes: Array, offsets: Array) -> Array:
    """Compute the features, ``[token, feature]``; positions outside the text have the value -1."""
    text = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    columns = []
    for number, offset in enumerate(AROUND):
        shifted, shifted_text = np.roll(codes, -offset), np.roll(text, -offset)
        codes_there = np.where(shifted_text == text, shifted.astype(np.int64), -1)
        if offset and len(codes_there):
            codes_there[-1 if offset > 0 else 0] = -1  # np.roll wraps around
        casings = np.where(codes_there < 0, -1, codes_there % CASINGS)
        for kind, value in enumerate((codes_there, codes_there // CASINGS, casings)):
            columns.append((number * KINDS + kind) * SHIFT + value + CASINGS)
    return np.stack(columns, axis=1)


def _matrix(features: Array, terms: Array) -> Any:
    """Return the sparse indicator matrix of the terms, ``[token, term]``."""
    from scipy.sparse import csr_array

    index = np.minimum(np.searchsorted(terms, features), len(terms) - 1)
    known = terms[index] == features
    ends = np.concatenate(([0], np.cumsum(known.sum(axis=1)))).astype(np.int32)
    ones = np.ones(int(known.sum()), np.float32)
    return csr_array((ones, index[known].astype(np.int32), ends), shape=(len(features), len(terms)))
