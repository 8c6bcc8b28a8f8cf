"""Draw data with one class 50 times rarer than the other, for the figures on uneven classes in configs/README.md.

``python -m tests.bench.uneven reviews FOLDER --seed 0`` writes train.csv and test.csv, with the same frequencies and no
text in both, from ``$LSTMCLI_DATA``. ``reviews``: of task t5 of ARSC, whether a review has five stars, the dev and test
rows of the four target domains; 1,850 and 37 texts each. ``opinions``: pros against cons (Ganapathibhotla & Liu 2008);
5,000 and 100 texts each.
"""

import argparse
import csv
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

FILES = {"reviews": "arsc/arsc.parquet", "opinions": "opinions/pros_cons.parquet"}
NAMES = {"reviews": ("fewer", "five"), "opinions": ("con", "pro")}  # of label 0, the rare one, and of label 1
SIZES = {"reviews": (37, 1850), "opinions": (100, 5000)}  # of train; of test the same
TARGETS = [
    ("threshold", "=", "t5"),
    ("split", "in", ["dev", "test"]),
    ("domain", "in", ["electronics", "kitchen_housewares", "books", "dvd"]),  # ``english`` was not trained on them
]


def texts_of(name: str) -> tuple[list[str], list[str]]:
    """Return the texts of label 0 and of label 1 in the order of the file; repeated texts count once, at their first
    row."""
    filters = TARGETS if name == "reviews" else None
    table = pq.read_table(Path(os.environ["LSTMCLI_DATA"]) / FILES[name], filters=filters)
    label_of: dict[str, int] = {}
    for text, label in zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True):
        label_of.setdefault(text, label)
    rare, frequent = ([text for text, one in label_of.items() if one == label] for label in (0, 1))
    return rare, frequent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=FILES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    random = np.random.default_rng(given.seed)
    rare, frequent = texts_of(given.name)
    frequent = [frequent[index] for index in random.permutation(len(frequent))]
    rare = [rare[index] for index in random.permutation(len(rare))]
    few, many = SIZES[given.name]
    of_rare, of_frequent = NAMES[given.name]
    given.folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(("train", "test")):
        rows = [(text, of_frequent) for text in frequent[number * many : (number + 1) * many]]
        rows += [(text, of_rare) for text in rare[number * few : (number + 1) * few]]
        with (given.folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *(rows[index] for index in random.permutation(len(rows)))])


if __name__ == "__main__":
    main()
