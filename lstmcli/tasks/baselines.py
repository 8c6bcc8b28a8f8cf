"""What a score must be read beside: the majority class, and logistic regression over TF-IDF of words and word pairs.

Both are fitted on the same training examples as the model, with nothing tuned, and travel in the checkpoint as plain
arrays, so that they can be asked about any texts later.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
FEATURES = 100_000  # the most frequent words and pairs
LARGE = 1000  # texts from which on a term must occur twice
SETTINGS: dict[str, Any] = {"ngram_range": (1, 2), "sublinear_tf": True, "dtype": np.float32}


def fit_baselines(texts: Sequence[str], targets: Array, *, labels: int) -> dict[str, Array]:
    """prior ``[label]``; terms (UTF-8, a line each), idf ``[term]``, weight ``[term, label]``, bias ``[label]``.

    The last four are left out where the texts have no words at all.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    fitted = {"prior": np.bincount(targets, minlength=labels) / len(targets)}
    vectorizer = TfidfVectorizer(max_features=FEATURES, min_df=2 if len(texts) > LARGE else 1, **SETTINGS)
    try:
        features = vectorizer.fit_transform(texts)
    except ValueError:  # only stop words or none
        return fitted
    model = LogisticRegression(C=10, max_iter=300).fit(features, targets)
    weight, bias = model.coef_.T, model.intercept_
    if weight.shape[1] == 1:  # two classes: one column decides for the second
        weight, bias = np.hstack((np.zeros_like(weight), weight)), np.r_[0, bias]
    terms = "\n".join(vectorizer.get_feature_names_out()).encode()
    return fitted | {
        "terms": np.frombuffer(terms, np.uint8).copy(),
        "idf": vectorizer.idf_.astype(np.float32),
        "weight": np.ascontiguousarray(weight, np.float32),
        "bias": bias.astype(np.float32),
    }


def baseline_chances(fitted: dict[str, Array], texts: Sequence[str]) -> dict[str, Array]:
    """By baseline, ``[text, label]``."""
    from scipy.special import softmax
    from sklearn.feature_extraction.text import TfidfVectorizer

    chances = {"majority": np.tile(fitted["prior"], (len(texts), 1))}
    if "terms" in fitted:
        terms = fitted["terms"].tobytes().decode().split("\n")
        vectorizer = TfidfVectorizer(vocabulary={term: place for place, term in enumerate(terms)}, **SETTINGS)
        vectorizer.idf_ = fitted["idf"]
        chances["linear"] = softmax(vectorizer.transform(texts) @ fitted["weight"] + fitted["bias"], axis=1)
    return chances
