"""Small classifiers of the bundled reviews, on whose training optimisers are tried.

A problem is 48 reviews, half of them positive, and a network of one hidden layer of 20 units that is to tell them
apart, after the networks on MNIST of Andrychowicz et al. (2016), section 3.2. What it reads of a review is its TF-IDF
under a random projection to 16 numbers, another in each problem. Training problems have reviews of the train part,
problems to choose by those of the validation part, fresh ones those of the test part.
"""

from functools import cache

import numpy as np
import torch

from lstmcli.config import Data, Tokens
from lstmcli.data.readers import reviews
from lstmcli.data.text.vocabulary import SPECIAL, Vocabulary
from lstmcli.types import Batch, Example

SIZES = (16, 20, 2)  # of the layers
COUNT = 100  # problems to validate on, and fresh ones to race on
TEXTS = 48
LABELS = ("negative", "positive")
PARTS = {"train": 1, "validation": 2, "test": 3}  # beside the seed of a run


def draw(count: int, part: str, *seed: int) -> Batch:
    """``count`` problems; part and seed decide all.

    tokens: what is read of the reviews, ``[task, text, number]``; targets: ``[task, text]``.
    """
    features, targets = _features(part)
    first, *more = seed
    random = np.random.default_rng((first, PARTS[part], *more))
    texts = np.stack([
        np.concatenate([random.choice(np.flatnonzero(targets == label), TEXTS // 2, replace=False) for label in (0, 1)])
        for _ in range(count)
    ])  # fmt: skip
    projections = random.standard_normal((count, features.shape[1], SIZES[0])).astype(np.float32)
    rows = torch.from_numpy(features[texts] @ projections)  # unit vectors: each number is about as large as one
    return Batch(rows, torch.full(texts.shape, SIZES[0]), torch.from_numpy(targets[texts]))


@cache
def _features(part: str) -> tuple[np.ndarray, np.ndarray]:
    """TF-IDF of the part's reviews in rows of length one, ``[text, word]``, and their labels, ``[text]``."""
    known, found = _read("train"), _read(part)
    vocabulary = Vocabulary.build((str(example.text) for example in known), LABELS, Tokens())
    weights = _counts(vocabulary, known).astype(bool).sum(axis=0)
    counts = _counts(vocabulary, found) * np.log((1 + len(known)) / (1 + weights))
    lengths = np.linalg.norm(counts, axis=1, keepdims=True)
    return (counts / np.maximum(lengths, 1e-9)).astype(np.float32), vocabulary.targets(found)


def _counts(vocabulary: Vocabulary, examples: list[Example]) -> np.ndarray:
    """How often each known word stands in each text, ``[text, word]``."""
    encoded = vocabulary.encode([str(example.text) for example in examples])
    return np.stack([np.bincount(ids, minlength=len(vocabulary)) for ids in encoded])[:, len(SPECIAL) :]


def _read(part: str) -> list[Example]:
    return reviews.read(reviews.BUNDLED, part, Data(name="reviews")).examples
