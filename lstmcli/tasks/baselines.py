"""Baselines of classification: the class priors, and logistic regression over TF-IDF of words and word pairs.

Both are fitted on the training examples of the model, with the same settings for all data. Words and pairs are counted
on token ids, a few thousand texts at a time, in half the time of counting strings. TF-IDF and regression are
scikit-learn's. The fitted arrays are saved in the checkpoint.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
FEATURES = 200_000  # at most, the most frequent words and pairs
TEXTS = 2000  # counted at once
LARGE = 1000  # with more texts a term must occur twice
SPECIAL = 2  # smaller ids are padding and the unknown word
SHIFT = 2**32  # a pair's code: (first + 1) * SHIFT + second; a word's code is its id


def fit_baselines(
    ids: Array, offsets: Array, targets: Array, *, labels: int, class_weights: Array | None = None
) -> dict[str, Array]:
    """Fit the baselines.

    Args:
        ids: Token ids of all texts.
        offsets: Where each text begins, and the end, ``[text + 1]``.
        targets: ``[text]``.
        labels: Their number. A label that no text has is never predicted.
        class_weights: Of the regression, ``[label]``; its probabilities are then those under other class frequencies.

    Returns:
        prior ``[label]``; terms ``[term]``, sorted codes; idf ``[term]``; weight ``[term, label]``; bias ``[label]``;
        class_weights ``[label]`` if there are any.
        Without any known word only the prior.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = {"prior": np.bincount(targets, minlength=labels) / len(targets)}
    counted = term_features(ids, offsets)
    if counted is None:
        return fitted
    terms, weighting, features = counted
    by_class = None if class_weights is None else dict(enumerate(class_weights))
    model = LogisticRegression(C=10, max_iter=300, class_weight=by_class).fit(features, targets)
    weight, bias = np.zeros((len(terms), labels)), np.full(labels, -np.inf)  # those of a class without texts
    seen = model.classes_[-model.coef_.shape[0] :]  # a binary model has one column, for the second class
    bias[model.classes_] = 0
    weight[:, seen], bias[seen] = model.coef_.T, model.intercept_
    fitted |= {} if class_weights is None else {"class_weights": class_weights}
    return fitted | {
        "terms": terms,
        "idf": weighting.idf_.astype(np.float32),
        "weight": np.ascontiguousarray(weight, np.float32),
        "bias": bias.astype(np.float32),
    }


def term_features(ids: Array, offsets: Array) -> tuple[Array, Any, Any] | None:
    """Return the terms of the texts, sorted codes ``[term]``, the fitted TF-IDF weighting, and the features of the
    texts, ``[text, term]``; None without any known word. ids, offsets: as of ``fit_baselines``."""
    from scipy.sparse import vstack
    from sklearn.feature_extraction.text import TfidfTransformer

    found, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for part in _parts(offsets):
        new, new_counts = np.unique(_codes(ids, offsets[part])[0], return_counts=True)
        found, index = np.unique(np.concatenate((found, new)), return_inverse=True)
        counts = np.bincount(index, weights=np.concatenate((counts, new_counts))).astype(np.int64)
    frequent = counts >= (2 if len(offsets) - 1 > LARGE else 1)
    found, counts = found[frequent], counts[frequent]
    terms = np.sort(found[np.argsort(-counts, kind="stable")[:FEATURES]])
    if not len(terms):
        return None
    weighting = TfidfTransformer(sublinear_tf=True)
    features = vstack(list(_counts(ids, offsets, terms)), format="csr")
    return terms, weighting, weighting.fit(features).transform(features, copy=False)


def term_scores(fitted: dict[str, Array], ids: Array, offsets: Array) -> Array:
    """Return the scores of the fitted regression, ``[text, label]``."""
    from sklearn.feature_extraction.text import TfidfTransformer

    weighting = TfidfTransformer(sublinear_tf=True)
    weighting.idf_ = fitted["idf"]
    scores = [weighting.transform(part) @ fitted["weight"] for part in _counts(ids, offsets, fitted["terms"])]
    found: Array = np.concatenate(scores) + fitted["bias"]
    return found


def baseline_probabilities(fitted: dict[str, Array], ids: Array, offsets: Array) -> dict[str, Array]:
    """Return the probabilities of each baseline by name, ``[text, label]``."""
    texts = len(offsets) - 1
    probabilities = {"majority": np.tile(fitted["prior"], (texts, 1))}
    if "terms" in fitted:
        from scipy.special import softmax

        probabilities["linear"] = softmax(term_scores(fitted, ids, offsets), axis=1)
    return probabilities


def _parts(offsets: Array) -> list[slice]:
    """Return slices of the offsets, a few thousand texts each, to bound memory."""
    return [slice(start, start + TEXTS + 1) for start in range(0, len(offsets) - 1, TEXTS)]


def _codes(ids: Array, offsets: Array) -> tuple[Array, Array]:
    """Return the code of every known word and of every word pair within a text, and the index of its text."""
    texts = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    words = ids[offsets[0] : offsets[-1]].astype(np.int64)
    known = words >= SPECIAL
    pairs = known[:-1] & known[1:] & (texts[:-1] == texts[1:])
    pair_codes = (words[:-1][pairs] + 1) * SHIFT + words[1:][pairs]
    return np.concatenate((words[known], pair_codes)), np.concatenate((texts[known], texts[:-1][pairs]))


def _counts(ids: Array, offsets: Array, terms: Array) -> Iterator[Any]:
    """Yield sparse counts of each term in each text, ``[text, term]``, a part of the texts at a time."""
    from scipy.sparse import csr_array

    for part in _parts(offsets):
        codes, texts = _codes(ids, offsets[part])
        index = np.searchsorted(terms, codes).astype(np.int32)
        index[index == len(terms)] = 0
        known = terms[index] == codes
        ones = np.ones(int(known.sum()), np.float32)
        rows = csr_array((ones, (texts[known], index[known])), shape=(len(offsets[part]) - 1, len(terms)))
        rows.sum_duplicates()
        yield rows
