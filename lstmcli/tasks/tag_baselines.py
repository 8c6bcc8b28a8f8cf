"""What a tagger must be read beside: each word's most frequent tag, and a linear model of a word and its neighbours.

Words are codes that tell the word and how it is capitalised. Both are fitted on the model's own training texts. The
linear model tags each word by itself from the codes, the words and the casings at -1, 0 and 1: scikit-learn's logistic
regression by stochastic gradient descent, with settings that do not change from data to data.
"""

from typing import Any

import numpy as np

from lstmcli.types import CASINGS

Array = np.ndarray[Any, np.dtype[Any]]
AROUND = (-1, 0, 1)
KINDS = 3  # of features at each place: the code, the word, the casing
SHIFT = 2**40  # a feature is its place and kind, times this, plus its value


def fit_baselines(codes: Array, offsets: Array, targets: Array, *, labels: int) -> dict[str, Array]:
    """words ``[word]``, sorted codes, and ``common [word]``, the tag of each; terms ``[term]``, sorted features; weight
    ``[term, label]``; bias ``[label]``.

    codes: ``[token]``; offsets: of the texts; targets: ``[token]``.
    """
    from sklearn.linear_model import SGDClassifier

    words, place = np.unique(codes, return_inverse=True)
    tally = np.zeros((len(words), labels), np.int64)
    np.add.at(tally, (place, targets), 1)
    features = _features(codes, offsets)
    terms, times = np.unique(features, return_counts=True)
    terms = terms[times > 1] if (times > 1).any() else terms
    weight, bias = np.zeros((len(terms), labels), np.float16), np.full(labels, -1e4, np.float32)
    fitted = {"words": words, "common": tally.argmax(axis=1), "terms": terms, "weight": weight, "bias": bias}
    if len(np.unique(targets)) == 1:  # nothing to tell apart
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
    """By baseline, ``[token]`` tags; a word that training did not have is outside."""
    place = np.minimum(np.searchsorted(fitted["words"], codes), len(fitted["words"]) - 1)
    common = np.where(fitted["words"][place] == codes, fitted["common"][place], 0)
    matrix = _matrix(_features(codes, offsets), fitted["terms"])
    scores = matrix @ fitted["weight"].astype(np.float32) + fitted["bias"]
    return {"majority": common, "linear": scores.argmax(axis=1)}


def _features(codes: Array, offsets: Array) -> Array:
    """``[token, feature]``; beyond a text's ends stands a word of no code."""
    text = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    columns = []
    for number, step in enumerate(AROUND):
        moved, of_text = np.roll(codes, -step), np.roll(text, -step)
        near = np.where(of_text == text, moved.astype(np.int64), -1)
        if step and len(near):
            near[-1 if step > 0 else 0] = -1  # what roll brings round
        for kind, value in enumerate((near, near // CASINGS, np.where(near < 0, -1, near % CASINGS))):
            columns.append((number * KINDS + kind) * SHIFT + value + CASINGS)
    return np.stack(columns, axis=1)


def _matrix(features: Array, terms: Array) -> Any:
    """A sparse ``[token, term]`` of ones."""
    from scipy.sparse import csr_array

    place = np.minimum(np.searchsorted(terms, features), len(terms) - 1)
    inside = terms[place] == features
    ends = np.concatenate(([0], np.cumsum(inside.sum(axis=1)))).astype(np.int32)
    ones = np.ones(int(inside.sum()), np.float32)
    return csr_array((ones, place[inside].astype(np.int32), ends), shape=(len(features), len(terms)))
