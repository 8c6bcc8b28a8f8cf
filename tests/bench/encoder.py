"""The frozen encoder of a model beside all-MiniLM-L6-v2 and TF-IDF: new classes from five texts each, and speed.

    python -m tests.bench.encoder [MODEL]

Of BANKING77 and CLINC150, which no model that ships has learned from, episodes are drawn: five texts per class of five
classes, or of all, to learn from, ten others of each class to score. All features are given to the same logistic
regression; centred, of a mean length of ``probe.LENGTH``. Each encoder reads the same texts, on all processors:
``encoder_vs_minilm`` is how many times as many texts per second ours reads. Without the extra ``teacher`` MiniLM is
left out. A table goes to stderr, one line of JSON to stdout.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as lstmcli itself sets it

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from lstmcli import registry
from lstmcli.config import Data
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import encode
from lstmcli.inference import assemble
from lstmcli.inference.batches import EVALUATION_TOKENS
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.tasks.few_shot import over_episodes
from lstmcli.training import probe
from lstmcli.types import Example

SETS = ("banking77", "clinc150")
SHOTS, QUERIES = 5, 10
EPISODES = {5: 600, 0: 10}  # by number of classes; 0: all
PENALTY = 3.0  # inverse: scikit-learn's C

Array = np.ndarray[Any, np.dtype[Any]]
Encoder = Callable[[list[str]], Array]


def ours(path: Path) -> Encoder:
    """Return the sentence embeddings of the model."""
    checkpoint = checkpoints.load(path)
    parts = assemble.restored(checkpoint, runtime.prepare(checkpoint.config))
    parts.model.eval()

    def embedded(texts: list[str]) -> Array:
        store = encode(parts.vocabulary, [Example(text) for text in texts], cache=None, labelled=False)
        found: Array | None = None
        with torch.inference_mode(), parts.runtime.autocast():
            for indices in batching.by_length(store.lengths, batch_tokens=EVALUATION_TOKENS):
                rows = parts.model.sentences(batching.collate(store, indices)).float().numpy()  # type: ignore[operator]
                found = np.zeros((len(texts), rows.shape[1]), np.float32) if found is None else found
                found[indices] = rows
        assert found is not None
        return found

    return embedded


def tfidf(texts: list[str]) -> Array:
    """Return the features of words and pairs; their weights are of all texts, which helps this baseline a little."""
    return np.asarray(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=8192).fit_transform(texts).todense()
    )


def read(name: str) -> tuple[list[str], Array]:
    """Return all texts of the data set, each once, and their classes."""
    data = Data(name=name)
    rows = [
        row
        for split in inputs.splits(data)
        for row in registry.reader(name).read(inputs.root_of(data), split, data).examples
    ]
    once = {str(row.text): str(row.target) for row in rows}
    return list(once), np.array(list(once.values()))


def episodes(features: Array, labels: Array, ways: int) -> list[dict[str, float]]:
    """Return the accuracy of each episode. ways: classes; 0: all."""
    random = np.random.default_rng(0)
    names = np.unique(labels)
    rows = {name: np.flatnonzero(labels == name) for name in names}
    found = []
    for _ in range(EPISODES[ways]):
        drawn = [random.permutation(rows[name]) for name in (random.permutation(names)[:ways] if ways else names)]
        support = np.concatenate([part[:SHOTS] for part in drawn])
        query = np.concatenate([part[SHOTS : SHOTS + QUERIES] for part in drawn])
        centre = features[support].mean(axis=0)
        scale = probe.LENGTH / np.sqrt(((features[support] - centre) ** 2).sum(axis=1).mean())
        model = LogisticRegression(C=PENALTY, max_iter=200).fit((features[support] - centre) * scale, labels[support])
        correct = model.predict((features[query] - centre) * scale) == labels[query]
        found.append({"accuracy": float(correct.mean())})
    return found


def main(path: Path) -> None:
    from tests.bench import teacher

    encoders: dict[str, Encoder] = {path.stem: ours(path), "tfidf": tfidf}
    if teacher.installed():
        encoders["minilm"] = teacher.embed
    results: dict[str, Any] = {}
    seconds = dict.fromkeys(encoders, 0.0)
    count = 0
    for name in SETS:
        texts, labels = read(name)
        count += len(texts)
        for method, encoder in encoders.items():
            encoder(texts[:100])  # warm
            begun = time.perf_counter()
            features = encoder(texts).astype(np.float32)
            seconds[method] += time.perf_counter() - begun
            for ways in EPISODES:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    measure = over_episodes(episodes(features, labels, ways))["accuracy"]
                key = f"{name}_{ways or 'all'}"
                results.setdefault(method, {})[key] = [measure.value, measure.low, measure.high]
                print(f"{method} {key}: {measure.value:.1%} ({measure.low:.1%} to {measure.high:.1%})", file=sys.stderr)
    rates = {method: count / taken for method, taken in seconds.items() if method != "tfidf"}
    results["texts_per_second"] = rates
    if "minilm" in rates:
        results["encoder_vs_minilm"] = rates[path.stem] / rates["minilm"]
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else checkpoints.PRETRAINED)
