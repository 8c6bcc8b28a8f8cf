"""Label errors that ``check`` finds where 10 % of the labels are exchanged for others, by model.

``python -m tests.bench.label_errors [NAME ...]`` prints a table per data set and, last, one line of JSON. opinions and
hwu64 are part of the package, electronics (ARSC, four stars or more) and imdb (3,000 reviews) are in $LSTMCLI_DATA.

    at k       precision of the k least probable labels, where k labels are wrong; recall is the same
    found      what check reports: how many, precision, recall
    changed    what --fix changes: how many, share that becomes right
    unflipped  with the labels as they are: how many check reports and --fix changes, as a share of the texts
    gain       of accuracy from half of the texts to all: by the power law of an eighth to a half, and measured
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as parquet

from lstmcli import recipes, registry
from lstmcli.api.check import CERTAIN, RECIPE
from lstmcli.config import Data, RunConfig
from lstmcli.contracts import TextTask
from lstmcli.quality import audit, confident, curve, label_errors, out_of_fold
from lstmcli.storage import examples as inputs
from lstmcli.types import Example

Array = np.ndarray[Any, np.dtype[Any]]
FLIPPED = 0.1
SAMPLE = 3_000
SEED = 0


def bundled(name: str) -> list[Example]:
    data = Data(name=name)
    return [example for split in inputs.splits(data) for example in inputs.rows_of(data, split).examples]


def electronics() -> list[Example]:
    table = parquet.read_table(Path(os.environ["LSTMCLI_DATA"]) / "arsc" / "arsc.parquet").to_pylist()
    rows = [row for row in table if (row["domain"], row["threshold"]) == ("electronics", "t4")]
    return [Example(row["text"], ("negative", "positive")[row["label"]]) for row in rows]


def imdb() -> list[Example]:
    table = parquet.read_table(Path(os.environ["LSTMCLI_DATA"]) / "imdb" / "train.parquet").to_pylist()
    chosen = np.random.default_rng(SEED).permutation(len(table))[:SAMPLE]
    return [Example(table[row]["text"], ("negative", "positive")[table[row]["label"]]) for row in chosen]


SETS: dict[str, Callable[[], list[Example]]] = {
    "opinions": lambda: bundled("opinions"),
    "hwu64": lambda: bundled("hwu64"),
    "electronics": electronics,
    "imdb": imdb,
}


def flipped(targets: Array, labels: int) -> tuple[Array, Array]:
    """The targets with some exchanged for another label, drawn uniformly, and which these are."""
    random = np.random.default_rng(SEED)
    wrong = np.zeros(len(targets), bool)
    wrong[random.permutation(len(targets))[: round(FLIPPED * len(targets))]] = True
    return np.where(wrong, (targets + random.integers(1, labels, len(targets))) % labels, targets), wrong


def probabilities(texts: out_of_fold.Texts, groups: Array, task: TextTask) -> dict[str, Array]:
    """Out of fold, by model and of both together."""
    folds = out_of_fold.folds(texts.targets, groups, seed=SEED)
    rows = out_of_fold.scored(out_of_fold.models(texts, task, seed=SEED), folds)
    together = confident.pooled(list(rows.values()), texts.targets)
    return {name: np.exp(log_probs) for name, log_probs in rows.items()} | {"both": together}


def figures(name: str, config: RunConfig) -> dict[str, Any]:
    begun = time.process_time()
    examples = list({example.text: example for example in SETS[name]()}.values())
    task = cast(TextTask, registry.task(config.task))
    read = audit.read_texts(config, {"train": examples})
    features = audit.encoded_by_shipped(config, examples).features
    store = read.store.truncated(config.tokens)
    true, groups = store.known_targets, read.repeats.groups
    whole = out_of_fold.Texts(features, store, true, read.labels)
    targets, wrong = flipped(true, len(read.labels))
    texts = replace(whole, targets=targets, store=replace(store, targets=targets))
    found: dict[str, Any] = {"texts": len(true), "labels": len(read.labels), "wrong": int(wrong.sum())}
    for model, rows in probabilities(texts, groups, task).items():
        lowest = np.argsort(confident.margins(rows, targets))[: wrong.sum()]
        errors = confident.errors(rows, targets)
        sure = errors[rows[errors].max(axis=1) >= CERTAIN]
        found[model] = {
            "at k": wrong[lowest].mean(),
            "found": len(errors),
            "precision": wrong[errors].mean(),
            "recall": wrong[errors].sum() / wrong.sum(),
            "changed": len(sure),
            "right": (rows.argmax(axis=1) == true)[sure].mean(),
        }
    plain = label_errors.search(whole, groups, task, seed=SEED)
    found["unflipped found"] = len(plain.errors) / len(true)
    found["unflipped changed"] = sum(error.confidence >= CERTAIN for error in plain.errors) / len(true)
    assert plain.curve is not None  # there are enough texts
    wrong_at, sizes = 1 - np.array(plain.curve.accuracies), np.array(plain.curve.sizes)
    found["gain by the law"] = float(curve.gain_of(wrong_at[:3, None], sizes[:3], sizes[2])[0])
    found["gain measured"] = float(wrong_at[2] - wrong_at[3])
    return found | {"cpu seconds": time.process_time() - begun}


def main() -> None:
    config = recipes.load(RECIPE)
    config = config.model_copy(update={"data": config.data.model_copy(update={"cache": False})})
    known = [name for name in SETS if name in ("opinions", "hwu64") or "LSTMCLI_DATA" in os.environ]
    results = {}
    for name in sys.argv[1:] or known:
        results[name] = figures(name, config)
        print(f"\n{name}")
        for key, value in results[name].items():
            parts = value.items() if isinstance(value, dict) else ((("", value)),)
            print(f"  {key:18}" + "  ".join(f"{part} {number:.3f}" for part, number in parts), flush=True)
    print(json.dumps(results, default=float))


if __name__ == "__main__":
    main()
