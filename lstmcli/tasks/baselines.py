"""What a score must be read beside: the majority class, and logistic regression over TF-IDF of words and word pairs.

Both are fitted on the same training examples as the model, with settings that do not change from data to data. Words
and pairs are counted on token ids, a few thousand texts at a time and without the strings: half the time of counting
text again. Weights and fit are scikit-learn's. What is fitted is plain arrays, travels in the checkpoint, and can be
asked about any texts later.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
FEATURES = 200_000  # the most frequent words and pairs
TEXTS = 2000  # counted at once
LARGE = 1000  # texts from which on a term must occur twice
SPECIAL = 2  # ids below are padding and the unknown word
SHIFT = 2**32  # a pair's code: (first + 1) * SHIFT + second; a word's code is its id


def fit_baselines(ids: Array, offsets: Array, targets: Array, *, labels: int) -> dict[str, Array]:
    """prior ``[label]``; terms ``[term]``, sorted codes; idf ``[term]``; weight ``[term, label]``; bias ``[label]``.

    ids, offsets: the encoded texts; targets: ``[text]``. Without any known word only the prior is fitted. A label that
    no text has, as of a model that a run begins with, is never said.
    """
    from scipy.sparse import vstack
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    fitted = {"prior": np.bincount(targets, minlength=labels) / len(targets)}
    found, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for part in _parts(offsets):
        new, times = np.unique(_codes(ids, offsets[part])[0], return_counts=True)
        found, place = np.unique(np.concatenate((found, new)), return_inverse=True)
        counts = np.bincount(place, weights=np.concatenate((counts, times))).astype(np.int64)
    often = counts >= (2 if len(targets) > LARGE else 1)
    found, counts = found[often], counts[often]
    terms = np.sort(found[np.argsort(-counts, kind="stable")[:FEATURES]])
    if not len(terms):
        return fitted
    weighting = TfidfTransformer(sublinear_tf=True)
    features = weighting.fit_transform(vstack(list(_counts(ids, offsets, terms)), format="csr"))
    model = LogisticRegression(C=10, max_iter=300).fit(features, targets)
    weight, bias = np.zeros((len(terms), labels)), np.full(labels, -np.inf)  # of a class without a text
    seen = model.classes_[-model.coef_.shape[0] :]  # of two classes one column decides for the second
    bias[model.classes_] = 0
    weight[:, seen], bias[seen] = model.coef_.T, model.intercept_
    return fitted | {
        "terms": terms,
        "idf": weighting.idf_.astype(np.float32),
        "weight": np.ascontiguousarray(weight, np.float32),
        "bias": bias.astype(np.float32),
    }


def baseline_probabilities(fitted: dict[str, Array], ids: Array, offsets: Array) -> dict[str, Array]:
    """By baseline, ``[text, label]``."""
    texts = len(offsets) - 1
    probabilities = {"majority": np.tile(fitted["prior"], (texts, 1))}
    if "terms" in fitted:
        from scipy.special import softmax
        from sklearn.feature_extraction.text import TfidfTransformer

        weighting = TfidfTransformer(sublinear_tf=True)
        weighting.idf_ = fitted["idf"]
        scores = [weighting.transform(part) @ fitted["weight"] for part in _counts(ids, offsets, fitted["terms"])]
        probabilities["linear"] = softmax(np.concatenate(scores) + fitted["bias"], axis=1)
    return probabilities


def _parts(offsets: Array) -> list[slice]:
    """Slices of the offsets, a few thousand texts each, so that little is held at once."""
    return [slice(start, start + TEXTS + 1) for start in range(0, len(offsets) - 1, TEXTS)]


def _codes(ids: Array, offsets: Array) -> tuple[Array, Array]:
    """The code of every known word and of every pair of neighbours within a text, and the text each stands in."""
    texts = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    words = ids[offsets[0] : offsets[-1]].astype(np.int64)
    known = words >= SPECIAL
    pairs = known[:-1] & known[1:] & (texts[:-1] == texts[1:])
    second = (words[:-1][pairs] + 1) * SHIFT + words[1:][pairs]
    return np.concatenate((words[known], second)), np.concatenate((texts[known], texts[:-1][pairs]))


def _counts(ids: Array, offsets: Array, terms: Array) -> Iterator[Any]:
    """Sparse ``[text, term]``, a part of the texts each: how often each term stands in each text."""
    from scipy.sparse import csr_array

    for part in _parts(offsets):
        codes, texts = _codes(ids, offsets[part])
        place = np.searchsorted(terms, codes).astype(np.int32)
        place[place == len(terms)] = 0
        inside = terms[place] == codes
        ones = np.ones(int(inside.sum()), np.float32)
        rows = csr_array((ones, (texts[inside], place[inside])), shape=(len(offsets[part]) - 1, len(terms)))
        rows.sum_duplicates()
        yield rows
