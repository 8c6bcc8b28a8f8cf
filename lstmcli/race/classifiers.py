"""Problems for the optimiser benchmark: small networks that classify bundled reviews.

A problem is 48 reviews, half of them positive, and a network with one hidden layer of 20 units that classifies them,
after the networks on MNIST of Andrychowicz et al. (2016), section 3.2. The features of a review are its TF-IDF vector
under a random projection to 16 dimensions, a different one in each problem. Training, validation and test problems have
reviews of the split of the same name.
"""

from functools import cache

import numpy as np
import torch

from lstmcli.config import Data, Tokens
from lstmcli.data.readers import reviews
from lstmcli.data.text.vocabulary import SPECIAL, Vocabulary
from lstmcli.types import Batch, Example

SIZES = (16, 20, 2)  # of the layers
COUNT = 100  # validation problems, and test problems
TEXTS = 48
LABELS = ("negative", "positive")
PARTS = {"train": 1, "validation": 2, "test": 3}  # combined with the seed of a run


def draw(count: int, part: str, *seed: int) -> Batch:
    """Draw problems, determined by part and seed.

    Returns:
        tokens: the features of the reviews, ``[task, text, feature]``; targets: ``[task, text]``.
    """
    features, targets = _features(part)
    first, *more = seed
    random = np.random.default_rng((first, PARTS[part], *more))
    texts = np.stack([
        np.concatenate([random.choice(np.flatnonzero(targets == label), TEXTS // 2, replace=False) for label in (0, 1)])
        for _ in range(count)
    ])  # fmt: skip
    projections = random.standard_normal((count, features.shape[1], SIZES[0])).astype(np.float32)
    rows = torch.from_numpy(features[texts] @ projections)  # of unit vectors: features of variance one
    return Batch(rows, torch.full(texts.shape, SIZES[0]), torch.from_numpy(targets[texts]))


@cache
def _features(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Compute TF-IDF of the part's reviews in rows of length one, ``[text, word]``, and their labels, ``[text]``."""
    train, examples = _read("train"), _read(part)
    vocabulary = Vocabulary.build((str(example.text) for example in train), LABELS, Tokens())
    frequencies = _counts(vocabulary, train).astype(bool).sum(axis=0)
    weighted = _counts(vocabulary, examples) * np.log((1 + len(train)) / (1 + frequencies))
    lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
    return (weighted / np.maximum(lengths, 1e-9)).astype(np.float32), vocabulary.targets(examples)


def _counts(vocabulary: Vocabulary, examples: list[Example]) -> np.ndarray:
    """Count each known word in each text, ``[text, word]``."""
    encoded = vocabulary.encode([str(example.text) for example in examples])
    return np.stack([np.bincount(ids, minlength=len(vocabulary)) for ids in encoded])[:, len(SPECIAL) :]


def _read(part: str) -> list[Example]:
    return list(reviews.read(reviews.BUNDLED, part, Data(name="reviews")).examples)
