"""Labelled texts of many lengths and kinds, from the data sets in $LSTMCLI_DATA that are there."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

Texts = list[tuple[str, str]]  # text and label
BANDS = [(1, 5), (6, 15), (16, 50), (51, 150), (151, None)]  # words, both ends included
LIMIT = 2000  # texts per set
POSITIVE = {
    *("admiration", "amusement", "approval", "caring", "desire", "excitement"),
    *("gratitude", "joy", "love", "optimism", "pride", "relief"),
}
NEGATIVE = {
    *("anger", "annoyance", "disappointment", "disapproval", "disgust", "embarrassment"),
    *("fear", "grief", "nervousness", "remorse", "sadness"),
}
ARSC_TARGETS = ("books", "dvd", "electronics", "kitchen_housewares")


def binary(row: dict[str, Any]) -> str | None:
    """Return the label of a row whose label is 0 or 1."""
    return "positive" if row["label"] else "negative"


def emotions(row: dict[str, Any]) -> str | None:
    """Return the side that all emotions of a GoEmotions comment are on; none where they are not on one."""
    names = set(row["labels"])
    return "positive" if names <= POSITIVE else "negative" if names <= NEGATIVE else None


def aspects(row: dict[str, Any]) -> str | None:
    """Return the one polarity beside neutral of a MAMS sentence; none where there are two, or neither."""
    found = set(row["polarities"].split(",")) - {"neutral"}
    return found.pop() if len(found) == 1 else None


def four_stars(row: dict[str, Any]) -> str | None:
    """Return the label of a test review of ARSC's target domains at the threshold of four stars."""
    chosen = row["domain"] in ARSC_TARGETS and row["threshold"] == "t4" and row["split"] == "test"
    return binary(row) if chosen else None


SETS: dict[str, tuple[str, Callable[[dict[str, Any]], str | None]]] = {
    "comments (GoEmotions test)": ("goemotions/test.parquet", emotions),
    "restaurant sentences (MAMS test)": ("mams/test.parquet", aspects),
    "pros and cons": ("opinions/pros_cons.parquet", binary),
    "product sentences": ("opinions/product_reviews.parquet", binary),
    "product reviews (ARSC target test, t4)": ("arsc/arsc.parquet", four_stars),
    "film reviews (IMDB test)": ("imdb/test.parquet", binary),
}


def read() -> dict[str, Texts]:
    """Return up to 2,000 texts of each set, always the same; without $LSTMCLI_DATA none."""
    found = {}
    for name, (file, label_of) in SETS.items():
        path = Path(os.environ.get("LSTMCLI_DATA", os.devnull)) / file
        if not path.is_file():
            continue
        labels = {row["text"]: label_of(row) for row in parquet.read_table(path).to_pylist() if row["text"].strip()}
        pairs = [(text, label) for text, label in labels.items() if label is not None]
        found[name] = random.Random(0).sample(pairs, min(LIMIT, len(pairs)))
    return found


def between(texts: Texts, low: int, high: int | None) -> Texts:
    """Return the texts of at least ``low`` and at most ``high`` words."""
    return [pair for pair in texts if low <= len(pair[0].split()) and (high is None or len(pair[0].split()) <= high)]
