"""Arrays of a checkpoint beside its weights: baselines, scores of validation texts, hashes of the texts of training.

They are checked before anything is computed with them: a number too large in one of them would take all memory. Names
that are not stated here pass, since another task may have other baselines.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lstmcli.storage.tensors import Stored


class _Kind(NamedTuple):
    """What an array is: its axes, of which those of one name are of one length (L: one per label), and the bounds of
    its values. ascending: they are sorted; integers: they are whole."""

    axes: str
    least: float = -math.inf
    most: float = math.inf
    ascending: bool = False
    integers: bool = False


ANY = {
    "conformal/scores": _Kind("s", -1, 2, ascending=True),  # 1 - p, up to rounding
    "conformal/entropies": _Kind("e", -1, 100, ascending=True),
    "learned/texts": _Kind("h", integers=True),
}
TERMS = {
    "baseline/terms": _Kind("t", ascending=True, integers=True),
    "baseline/weight": _Kind("tL"),
    "baseline/bias": _Kind("L"),
}
BASELINES = {  # by what the task reads
    "text": TERMS
    | {
        "baseline/prior": _Kind("L", 0, 1),
        "baseline/idf": _Kind("t", 0),
        "baseline/thresholds": _Kind("L", 1e-9, 1 - 1e-9),
        "baseline/class_weights": _Kind("L", 0),
    },
    "words": TERMS
    | {
        "baseline/words": _Kind("w", 0, ascending=True, integers=True),
        "baseline/common": _Kind("w", 0, integers=True),  # below the number of labels
    },
    "stream": {
        "baseline/words": _Kind("w", 1, 2**53, integers=True),
        "baseline/followed": _Kind("w", 0, 2**53, integers=True),
        "baseline/pairs": _Kind("p", 0, ascending=True, integers=True),  # below the square of the number of words
        "baseline/counts": _Kind("p", 1, integers=True),
        "baseline/discount": _Kind("o", 0, 1),
    },
}
TOGETHER = (  # of each of these sets the file has all, or none
    {"baseline/terms", "baseline/weight", "baseline/bias"},
    {"baseline/words", "baseline/common"},
    {"baseline/words", "baseline/followed", "baseline/pairs", "baseline/counts", "baseline/discount"},
)
TERMS_OF_TEXTS = ({"baseline/prior", "baseline/idf"}, {"baseline/thresholds"})  # beside terms; the last of label sets


def check(arrays: Mapping[str, Stored], *, reads: str, labels: int, label_sets: bool) -> None:
    """Check shapes and values.

    Args:
        arrays: All tensors of the file, by name.
        reads, label_sets: Of the model's task.
        labels: Their number.

    Raises:
        ValueError: They are not what the task and ``predict`` expect.
    """
    kinds = ANY | BASELINES[reads]
    lengths = {"L": labels, "o": 1}
    for name in kinds.keys() & arrays.keys():
        _check_one(name, arrays[name], kinds[name], lengths)
    for names in (*(names for names in TOGETHER if names <= kinds.keys()), *_of_texts(reads, arrays, label_sets)):
        if arrays.keys() & names and not names <= arrays.keys():
            raise ValueError(f"{min(names - arrays.keys())} is missing")
    for name, limit in (("common", labels), ("pairs", lengths.get("w", 0) ** 2)):
        found = arrays.get(f"baseline/{name}")
        if f"baseline/{name}" in kinds and found is not None and int(found.array().max()) >= limit:
            raise ValueError(f"baseline/{name} has values that are too large")


def _of_texts(reads: str, arrays: Mapping[str, Stored], label_sets: bool) -> list[set[str]]:
    """Return what belongs together where texts have labels and the linear baseline knows terms."""
    if reads != "text" or "baseline/terms" not in arrays:
        return []
    return [{"baseline/terms"}.union(*TERMS_OF_TEXTS[: 1 + label_sets])]


def _check_one(name: str, stored: Stored, kind: _Kind, lengths: dict[str, int]) -> None:
    """lengths: of the axes so far; those of this array are added."""
    whole = np.issubdtype(stored.array().dtype, np.integer)
    if len(stored.shape) != len(kind.axes) or whole != kind.integers:
        raise ValueError(f"{name} is {stored.shape} of type {stored.kind}")
    for axis, length in zip(kind.axes, stored.shape, strict=True):
        if lengths.setdefault(axis, length) != length or (not length and axis in "twp"):
            raise ValueError(f"{name} is {stored.shape}, which does not fit its labels or the other arrays")
    values = stored.array()
    infinite = name == "baseline/bias"  # -inf of a label without texts
    if not stored.is_finite(infinite=infinite) or (
        values.size and not kind.least <= values.min() <= values.max() <= kind.most
    ):
        raise ValueError(f"{name} has values that are out of range")
    if kind.ascending and (values[1:] < values[:-1]).any():
        raise ValueError(f"{name} is not in order")
