"""How well texts of no class are separated from those of the classes: CLINC150 (Larson et al. 2019).

``python -m tests.bench.scope --write clinc`` writes its 150 intents as a folder of tables; train a model on it, then
``python -m tests.bench.scope runs/clinc`` prints, for the model's entropy and maximum probability and for TF-IDF with
logistic regression, the AUROC and the fraction of out-of-scope texts accepted where 95 % of the others are.
"""

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from lstmcli import load
from lstmcli.inference.decisions import entropies

Array = np.ndarray[Any, np.dtype[Any]]
FILE = "fewshot_intents/clinc150/data_full.json"
TABLES = {"train": "train", "validation": "val", "test": "test"}
OUTSIDE = {"validation": ("oos_train", "oos_val"), "test": ("oos_test",)}  # chosen on the first, reported on the second
ACCEPTED = 0.95


def write(folder: Path, data: dict[str, list[list[str]]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, key in TABLES.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["text", "label"], *data[key]])


def figures(inside: Array, outside: Array) -> str:
    """Of scores that are higher for texts in scope."""
    truth = np.r_[np.ones(len(inside)), np.zeros(len(outside))]
    accepted = (outside >= np.quantile(inside, 1 - ACCEPTED)).mean()
    return f"AUROC {roc_auc_score(truth, np.r_[inside, outside]):.4f}  false accepts {accepted:.3f}"


def main() -> None:
    data = json.loads((Path(os.environ["LSTMCLI_DATA"]) / FILE).read_text("utf-8"))
    if sys.argv[1] == "--write":
        write(Path(sys.argv[2]), data)
        return
    texts = {name: [text for text, _ in rows] for name, rows in data.items()}
    model = load(sys.argv[1], threads=1)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    linear = LogisticRegression(C=10, max_iter=200)
    linear.fit(vectorizer.fit_transform(texts["train"]), [label for _, label in data["train"]])
    for split, names in OUTSIDE.items():
        parts = texts[TABLES[split]], [text for name in names for text in texts[name]]
        of_model = [model.predict_proba(part) for part in parts]
        of_linear = [linear.predict_proba(vectorizer.transform(part)) for part in parts]
        print(f"{split}: {len(parts[0]):,} texts in scope, {len(parts[1]):,} out of scope")
        print(f"  entropy              {figures(*(-entropies(table) for table in of_model))}")
        print(f"  maximum probability  {figures(*(table.max(axis=1) for table in of_model))}")
        print(f"  TF-IDF, the same     {figures(*(table.max(axis=1) for table in of_linear))}")


if __name__ == "__main__":
    main()
