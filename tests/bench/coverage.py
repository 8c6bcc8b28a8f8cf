"""Draw data at random, for the figures on the coverage of prediction sets in configs/README.md.

``python -m tests.bench.coverage opinions FOLDER --seed 0`` writes train.csv, validation.csv and test.csv: of the
different texts 56, 14 and 30 per cent. ``opinions`` is part of the package, ``snips`` is in ``$LSTMCLI_DATA``. Train a
model on the folder; ``lstmcli evaluate --thresholds`` prints the coverage of sets beside what is promised.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from lstmcli import registry
from lstmcli.config import Data
from lstmcli.storage import examples as inputs

PARTS = {"test": 0.3, "validation": 0.14}  # the rest is for training


def texts_of(name: str) -> dict[str, str]:
    """The label of each text, of all parts of the data set; a repeated text counts once, with its first label."""
    data = Data(name=name)
    root, found = inputs.root_of(data), {}
    for split in inputs.splits(data):
        for row in registry.reader(name).read(root, split, data).examples:
            found.setdefault(str(row.text), str(row.target))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=("opinions", "snips"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = list(texts_of(given.name).items())
    order = np.random.default_rng(given.seed).permutation(len(rows)).tolist()
    given.folder.mkdir(parents=True, exist_ok=True)
    for part, fraction in (*PARTS.items(), ("train", 1.0)):
        chosen, order = order[: round(fraction * len(rows))], order[round(fraction * len(rows)) :]
        with (given.folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *(rows[index] for index in chosen)])


if __name__ == "__main__":
    main()
