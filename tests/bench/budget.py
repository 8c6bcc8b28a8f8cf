"""A search beside the default recipe on four small data sets, for the figures in configs/README.md.

``python -m tests.bench.budget NAME FOLDER [--minutes 2] [--seed 0]`` draws the data from ``$LSTMCLI_DATA`` into FOLDER,
searches, and scores the model that is kept and that of the recipe on test. The clock of the search is the processor's
(``time.process_time``), on one thread, so that other work on the machine does not shorten the budget. NAME:

opinions  200 sentences on the four products that ``english`` was not trained on, positive or negative; 537 to test
xed       500 film subtitles with a single one of eight emotions; 2,000 to test
trec      1,000 questions, six kinds of answer (Li & Roth 2002); 500 to test
hwu64     1,280 requests, 20 of each of 64 intents; 1,076 to test
"""

import argparse
import csv
import json
import os
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from lstmcli import recipes, search
from lstmcli.inference import evaluate
from lstmcli.machine import runtime
from lstmcli.search.limits import Clock
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples, run_folder
from lstmcli.types import Example

Row = tuple[str, str]
PRODUCTS = ("ipod", "Canon_S100", "Diaper_Champ", "norton")


def shuffled(rows: list[Row], seed: int) -> list[Row]:
    """Return each text once, in random order."""
    distinct = list({text: (text, label) for text, label in reversed(rows)}.values())
    return [distinct[index] for index in np.random.default_rng(seed).permutation(len(distinct))]


def table(name: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = pq.read_table(Path(os.environ["LSTMCLI_DATA"]) / name).to_pylist()
    return rows


def drawn(name: str, seed: int) -> tuple[list[Row], list[Row]]:
    """Return the rows to train on and to test on."""
    if name == "opinions":
        found = [row for row in table("opinions/product_reviews.parquet") if row["product"] in PRODUCTS]
        rows = shuffled([(str(row["text"]), "positive" if row["label"] == 1 else "negative") for row in found], seed)
        return rows[:200], rows[200:]
    if name == "xed":
        found = [row for row in table("xed/en.parquet") if len(row["labels"]) == 1 and len(row["text"]) > 10]
        rows = shuffled([(str(row["text"]), row["labels"][0]) for row in found], seed)
        return rows[:500], rows[500:2500]
    if name == "trec":
        found = table("text/trec_questions.parquet")
        parts = [[(str(row["text"]), str(row["label"]).partition(":")[0]) for row in found if part in str(row["file"])]
                 for part in ("train", "test")]  # fmt: skip
        return shuffled(parts[0], seed)[:1000], parts[1]
    parts = [[(str(row["text"]), str(row["label"])) for row in table(f"fewshot_intents/hwu64/{part}.parquet")]
             for part in ("train", "test")]  # fmt: skip
    by_label: dict[str, list[Row]] = {}
    for row in shuffled(parts[0], seed):
        by_label.setdefault(row[1], []).append(row)
    return shuffled([row for label in sorted(by_label) for row in by_label[label][:20]], seed), parts[1]


def write(rows: list[Row], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def scored(path: Path, test: list[Example]) -> tuple[np.ndarray, evaluate.Report]:
    """Return which test texts the model labels right, ``[text]``, and its report."""
    report = evaluate.run(checkpoints.load(path), test, data="test", split="test", path=path)
    answers = report.predictions()
    return np.array([answer["label"] == answer["target"] for answer in answers]), report


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=("opinions", "xed", "trec", "hwu64"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    data, out = given.folder / given.name, given.folder / f"{given.name}-run-{given.seed}"
    for rows, part in zip(drawn(given.name, given.seed), ("train", "test"), strict=True):
        write(rows, data / f"{part}.csv")
    config = recipes.load(str(data), overrides=["threads=1", f"seed={given.seed}", "data.cache=false"])
    inputs = examples.read(config)
    limits = search.Limits(Clock(60 * given.minutes, now=time.process_time))
    search.run(config, inputs, out, limits)
    with runtime.unchanged(config):
        default = out / run_folder.DEFAULT
        kept, report = scored(out / run_folder.MODEL, inputs.test)
        before = scored(default, inputs.test)[0] if default.is_file() else kept
    random = np.random.default_rng(0)
    gains = (kept * 1.0 - before)[random.integers(len(kept), size=(1000, len(kept)))].mean(axis=1)
    found = {
        "data": given.name, "trials": sum(1 for _ in (out / run_folder.TRIALS).open()), "default": before.mean(),
        "kept": report.metrics["accuracy"], "gain": (kept * 1.0 - before).mean(),
        "interval": np.quantile(gains, (0.025, 0.975)).tolist(), "seconds": time.process_time(),
        "linear": report.baselines["linear"]["accuracy"]["value"],
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
