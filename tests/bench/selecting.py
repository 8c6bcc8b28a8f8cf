"""Labels that selection saves: ``python -m tests.bench.selecting [seeds]``.

Active learning on the frozen encoder of ``english``: from 20 random labels on, each of nine rounds adds 20 texts,
random ones or those that ``predict --select`` would choose by the probabilities of a logistic regression on the labels
so far (the features are the encoder's embeddings). Accuracy on a fixed test part, the mean over seeds: intents (HWU64,
bundled; 64 classes), and with $LSTMCLI_DATA questions (TREC, six classes) and film reviews (IMDB). Prints Markdown.
"""

import os
import random
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
from sklearn.linear_model import LogisticRegression

from lstmcli import load, registry
from lstmcli.config import Data
from lstmcli.inference import select
from lstmcli.storage import examples as inputs

BATCH, ROUNDS = 20, 10
TESTED, POOL = 1000, 3000
LENGTH = 3.0  # root mean square of the features, as where training fits a head
Pairs = list[tuple[str, str]]


def sets() -> Iterator[tuple[str, Pairs]]:
    """Labelled texts by name, shuffled."""
    data = Data(name="hwu64")
    root = inputs.root_of(data)
    rows = [row for split in inputs.splits(data) for row in registry.reader("hwu64").read(root, split, data).examples]
    yield "hwu64", [(str(row.text), str(row.target)) for row in rows]
    folder = Path(os.environ.get("LSTMCLI_DATA", os.devnull))
    for name, file in (("trec", "text/trec_questions.parquet"), ("imdb", "imdb/train.parquet")):
        if (folder / file).is_file():
            rows = parquet.read_table(folder / file, columns=["text", "label"]).to_pylist()
            yield name, [(row["text"], str(row["label"]).partition(":")[0]) for row in rows]


def curve(pool: Any, labels: Any, tested: Any, expected: Any, *, chosen: bool, seed: int) -> list[float]:
    """The accuracy after each round. pool: the features, ``[text, feature]``, and the sentence embeddings."""
    features, embeddings = pool
    order = np.random.default_rng(seed).permutation(len(features))
    known, found = order[:BATCH].tolist(), []
    for _ in range(ROUNDS):
        model = LogisticRegression(C=1.0, max_iter=100).fit(features[known], labels[known])
        found.append(float((model.predict(tested) == expected).mean()))
        rest = order[~np.isin(order, known)]
        if chosen:
            scores = select.uncertainty(model.predict_proba(features[rest]))
            candidates = (-scores).argsort(kind="stable")[: select.CANDIDATES * BATCH]
            rest = rest[candidates[select.diverse(embeddings[rest[candidates]], scores[candidates], BATCH, seed=seed)]]
        known += rest[:BATCH].tolist()
    return found


def main(seeds: int) -> None:
    warnings.simplefilter("ignore", UserWarning)  # more classes than half the texts
    counts = [BATCH * (number + 1) for number in range(ROUNDS)]
    print(f"| data | texts | {' | '.join(map(str, counts))} |\n| --- | --- |{' --- |' * ROUNDS}")
    with load(threads=1)._ready() as predictions:
        for name, pairs in sets():
            random.Random(0).shuffle(pairs)
            texts, targets = (np.array(part, dtype=object) for part in zip(*pairs[: TESTED + POOL], strict=True))
            embeddings = predictions.embeddings(texts.tolist())
            features = embeddings - embeddings[TESTED:].mean(axis=0)
            features *= LENGTH / np.sqrt((features[TESTED:] ** 2).sum(axis=1).mean())
            pool = features[TESTED:], embeddings[TESTED:]
            for title, chosen in (("random", False), ("selected", True)):
                runs = [
                    curve(pool, targets[TESTED:], features[:TESTED], targets[:TESTED], chosen=chosen, seed=seed)
                    for seed in range(seeds)
                ]
                means = np.mean(runs, axis=0)
                print(f"| {name} | {title} | {' | '.join(f'{value:.1%}' for value in means)} |", flush=True)


if __name__ == "__main__":
    main(int(*sys.argv[1:] or ["3"]))
