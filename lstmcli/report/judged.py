"""What the answers of a model are worth: each answer is right or wrong, and has a probability.

An answer is the label of a text, or one predicted entity. Everything here is computed from the rows of
predictions.jsonl, by numpy alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstmcli import tags
from lstmcli.tasks.intervals import wilson

Array = np.ndarray[Any, np.dtype[Any]]
Row = Mapping[str, Any]  # of predictions.jsonl
BINS = 15  # of probability, as of the calibration error
GRID = np.arange(0, 100) / 100  # thresholds


@dataclass(frozen=True)
class Mistake:
    """A wrong answer to the text of a row.

    before, within, after: the text around and in the entity; of a whole text it is ``before``.
    """

    row: int
    probability: float
    predicted: str
    true: str
    before: str
    within: str = ""
    after: str = ""


@dataclass(frozen=True)
class Judged:
    """Answers, what they are of, and how many there should be.

    probability: ``[answer]``; right: ``[answer]``, bool; expected: right answers that there are; mistakes: the most
    confident first.
    """

    what: str
    probability: Array
    right: Array
    expected: int
    mistakes: list[Mistake]


@dataclass(frozen=True)
class Threshold:
    """What is left where only answers of at least this probability count.

    coverage: of all answers; precision: of those that are left, with its 95 % interval; recall: right answers that are
    left, of all that there should be.
    """

    threshold: float
    coverage: float
    precision: float
    low: float
    high: float
    recall: float


def judged(rows: Sequence[Row]) -> Judged | None:
    """Judge the answers of a classifier or a tagger; None for other answers."""
    first = rows[0] if rows else {}
    if isinstance(first.get("target"), str) and "label" in first and "probability" in first:
        found = [(row["probability"], row["label"] == row["target"]) for row in rows]
        wrong = (Mistake(number, row["probability"], row["label"], row["target"], row["text"])
                 for number, row in enumerate(rows) if row["label"] != row["target"])  # fmt: skip
        return _judged("texts", found, len(rows), wrong)
    if "entities" in first and not isinstance(first.get("target"), str):
        found, expected = [], 0
        for row in rows:
            true = set(true_entities(row["target"]))
            expected += len(true)
            found += [(entity["probability"], _span(entity) in true) for entity in row["entities"]]
        return _judged("entities", found, expected, _wrong_entities(rows))
    return None


def probabilities(described: Sequence[Row], rows: Sequence[Row]) -> Array:
    """Return the probability of each answer of the rows, in the order of ``judged``, at another temperature.

    described: the answers at that temperature, to the same texts.
    """
    found = [entity["probability"] for row in described for entity in row["entities"]] if "entities" in rows[0] else [
        other["probabilities"][row["label"]] for other, row in zip(described, rows, strict=True)]  # fmt: skip
    return np.array(found, float)


def true_entities(target: Sequence[str]) -> list[tuple[int, int, str]]:
    """Return the first word, the word after the last, and the type of each entity of one text's tags."""
    parts = [tags.split(tag) for tag in tags.iobes(target)]
    ends = [index + 1 for index, (position, _) in enumerate(parts) if position in ("E", "S")]
    begins = [index for index, (position, _) in enumerate(parts) if position in ("B", "S")]
    return [(begin, end, parts[begin][1]) for begin, end in zip(begins, ends, strict=True)]


def bins(probability: Array, right: Array) -> list[tuple[float, float, int]]:
    """Return mean probability, fraction right and number of the answers in each bin that has any.

    Guo et al. (2017), "On Calibration of Modern Neural Networks", equations 2 and 3.
    """
    index = np.minimum((probability * BINS).astype(int), BINS - 1)
    chosen = [index == number for number in np.unique(index)]
    return [(float(probability[one].mean()), float(right[one].mean()), int(one.sum())) for one in chosen]


def thresholds(found: Judged) -> list[Threshold]:
    """Return what each threshold of a grid leaves, up to the last that leaves any answer; intervals are Wilson's."""
    rows = []
    for threshold in GRID:
        kept = found.probability >= threshold
        count, right = int(kept.sum()), int(found.right[kept].sum())
        if count == 0:
            break
        low, high = wilson(right / count, count)
        recall = right / max(1, found.expected)
        rows.append(Threshold(float(threshold), count / len(kept), right / count, low, high, recall))
    return rows


def of_points(points: Iterable[Row]) -> list[Threshold]:
    """Return the same from the rows of ``evaluate --thresholds``, with their intervals."""
    found = []
    for row in points:
        coverage, recall, precision = row["coverage"]["value"], row["recall"]["value"], row["precision"]
        if precision is not None:  # any text is left
            value, low, high = (precision[name] for name in ("value", "low", "high"))
            found.append(Threshold(row["threshold"], coverage, value, low, high, recall))
    return found


def confusion(rows: Sequence[Row], labels: Sequence[str]) -> Array:
    """Count the texts by true and predicted label, ``[true, predicted]``."""
    number = {label: index for index, label in enumerate(labels)}
    counts: Array = np.zeros((len(labels), len(labels)), np.int64)
    for row in rows:
        if row["label"] in number:  # no label is given below a smallest probability
            counts[number[row["target"]], number[row["label"]]] += 1
    return counts


def confused(counts: Array, labels: Sequence[str]) -> list[tuple[str, str, int, int]]:
    """Return the pairs of different labels that occur: true, predicted, their texts and all texts of the true one."""
    pairs = [
        (labels[true], labels[predicted], int(counts[true, predicted]), int(counts[true].sum()))
        for true, predicted in np.argwhere(counts).tolist()
        if true != predicted
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def _judged(what: str, found: list[tuple[float, bool]], expected: int, wrong: Iterator[Mistake]) -> Judged:
    probability, right = np.array([one for one, _ in found], float), np.array([one for _, one in found], bool)
    return Judged(what, probability, right, expected, sorted(wrong, key=lambda mistake: -mistake.probability))


def _span(entity: Row) -> tuple[int, int, str]:
    return entity["start"], entity["end"], entity["label"]


def _wrong_entities(rows: Sequence[Row]) -> Iterator[Mistake]:
    """Yield the predicted entities that are wrong, each with the true entities that it overlaps."""
    for number, row in enumerate(rows):
        true = true_entities(row["target"])
        words = row["text"]
        for begin, end, label in (_span(entity) for entity in row["entities"]):
            if (begin, end, label) in true:
                continue
            overlapped = [f"{kind} “{' '.join(words[first:last])}”" for first, last, kind in true
                          if first < end and begin < last]  # fmt: skip
            probability = next(one["probability"] for one in row["entities"] if _span(one) == (begin, end, label))
            around = " ".join(words[:begin]), " ".join(words[begin:end]), " ".join(words[end:])
            yield Mistake(number, probability, label, ", ".join(overlapped) or "no entity", *around)


def most_frequent(kinds: Mapping[str, Mapping[str, int]]) -> list[tuple[str, int, str]]:
    """Return the errors of a tagger by kind: the kind, their number, and the types with the most."""
    return [
        (kind.replace("_", " "), sum(counts.values()),
         ", ".join(f"{what} {count:,}" for what, count in Counter(counts).most_common(4)))
        for kind, counts in kinds.items()
    ]  # fmt: skip
