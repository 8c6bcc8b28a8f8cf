"""How often models fail at what they should be able to do, and how far their probabilities can be trusted.

After Ribeiro et al. (2020), "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList": sentences of one kind
each, written from templates (``behaviour.yaml``), with an expected answer. Beside each model stands a linear baseline:
the one in its checkpoint; where that has none, as after export, one fitted on the data that the model was trained on.

``python -m tests.bench.behaviour [MODEL.pt ...]`` scores the models named, or the one that ships. With $LSTMCLI_DATA it
also measures calibration by length of text. Tables on a terminal, JSON in a pipe.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as lstmcli itself sets it

import argparse
import hashlib
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lstmcli
from lstmcli.data.batches.encoded import Store, encode
from lstmcli.data.text import templates
from lstmcli.data.text.templates import Case
from lstmcli.errors import LstmcliError
from lstmcli.storage import atomic, run_folder
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.tasks import classify
from lstmcli.tasks.intervals import wilson
from lstmcli.types import Example
from tests.bench import labelled

Array = np.ndarray[Any, np.dtype[Any]]
Probabilities = dict[str, float]  # of the label positive, by text
Figures = dict[str, Any]
LABELS = ["negative", "positive"]
SOURCE = Path(__file__).with_name("behaviour.yaml")
COUNT = 300  # sentences per row
SURE = 0.8  # no label of a sentence without an opinion should have more
MOVED = 0.1  # an exchange of words should move no probability by more, as in CheckList
FITTED = run_folder.RUNS / "behaviour"  # linear baselines, which take longer to fit than all else here


def failed(case: Case, positive: Probabilities) -> bool:
    """Return whether the answers are not as expected."""
    values = [positive[text] for text in case.texts]
    return {
        "positive": values[0] <= 0.5,
        "negative": values[0] >= 0.5,
        "unsure": max(values[0], 1 - values[0]) > SURE,
        "not sure of negative": 1 - values[0] > SURE,
        "same": _range(values) > MOVED,
    }[case.expected]


def rates(cases: Sequence[Case], positive: Probabilities) -> dict[str, Figures]:
    """Return by row the number of cases, and the rate of failures with its 95 % interval (Wilson 1927)."""
    rows: dict[str, list[bool]] = {}
    for case in cases:
        rows.setdefault(case.row, []).append(failed(case, positive))
    found = {}
    for row, failures in rows.items():
        rate = sum(failures) / len(failures)
        low, high = wilson(rate, len(failures))
        found[row] = {"sentences": len(failures), "rate": rate, "low": low, "high": high}
    return found


def spreads(cases: Sequence[Case], positive: Probabilities) -> dict[str, Figures]:
    """Return by row of exchanges the range of the probability within a sentence: mean, 95th percentile and maximum; and
    by word the mean shift: how far it is from the mean of the sentence."""
    found = {}
    for row in dict.fromkeys(case.row for case in cases if case.exchanged):
        chosen = [case for case in cases if case.row == row]
        values = np.array([[positive[text] for text in case.texts] for case in chosen])  # [sentence, word]
        ranges = np.ptp(values, axis=1)
        shifts = (values - values.mean(axis=1, keepdims=True)).mean(axis=0)
        found[row] = {
            "mean": float(ranges.mean()),
            "p95": float(np.percentile(ranges, 95)),
            "max": float(ranges.max()),
            "shifts": dict(zip(chosen[0].exchanged, shifts.tolist(), strict=True)),
        }
    return found


def calibration(texts: dict[str, labelled.Texts], positive: Probabilities) -> dict[str, Figures]:
    """Return accuracy and calibration error with intervals, by length in words over all sets, and by set."""
    every = [pair for pairs in texts.values() for pair in pairs]
    bands = {
        f"{low} to {high} words" if high else f"{low} words or more": labelled.between(every, low, high)
        for low, high in labelled.BANDS
    }
    found = {}
    for name, pairs in (bands | texts).items():
        if not pairs:
            continue
        column = np.array([positive[text] for text, _ in pairs])
        targets = np.array([LABELS.index(label) for _, label in pairs])
        measured = classify.measure(np.stack((1 - column, column), axis=1), targets)
        shown = {key: asdict(measured[key]) for key in ("accuracy", "ece")}
        found[name] = {"texts": len(pairs)} | shown
    return found


def model_probabilities(path: Path, texts: Sequence[str]) -> Array:
    """Return the probability of positive by the model, ``[text]``."""
    model = lstmcli.load(path, threads=1)
    if list(map(str, model.classes_)) != LABELS:
        raise SystemExit(f"{path}: the labels are not {' and '.join(LABELS)}: {', '.join(map(str, model.classes_))}")
    return model.predict_proba(list(texts))[:, LABELS.index("positive")]


def linear_probabilities(path: Path, texts: Sequence[str]) -> Array | None:
    """Return the same by the linear baseline; none where it has to be fitted and its data is not on this machine."""
    checkpoint = checkpoints.load(path)
    try:
        fitted = _linear(path, checkpoint)
    except LstmcliError as error:
        print(f"no linear baseline of {path}: {error}", file=sys.stderr)
        return None
    store = _encoded(checkpoint, [Example(text) for text in texts])
    probabilities = classify.baseline_probabilities(fitted, store.ids, store.offsets)["linear"]
    return probabilities[:, checkpoint.vocabulary.classes.index("positive")]


def _linear(path: Path, checkpoint: Checkpoint) -> dict[str, Array]:
    """Return the baseline in the checkpoint, or one fitted on its training texts and kept for the next time."""
    stored = {name: value.numpy() for name, value in checkpoint.group("baseline").items()}
    if "terms" in stored:
        return stored
    kept = FITTED / f"{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}.npz"
    if not kept.is_file():
        train = _encoded(checkpoint, inputs.split(checkpoint.config.data, "train"), labelled=True)
        labels = len(checkpoint.vocabulary.classes)
        fitted = classify.fit_baselines(train.ids, train.offsets, train.known_targets, labels=labels)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic.whole(kept) as file:
            np.savez(file, **fitted)
    with np.load(kept) as arrays:
        return dict(arrays)


def _encoded(checkpoint: Checkpoint, examples: list[Example], *, labelled: bool = False) -> Store:
    return encode(checkpoint.vocabulary, examples, cache=None, labelled=labelled)


def _range(values: Sequence[float]) -> float:
    return max(values) - min(values)


def scored(paths: Sequence[Path], cases: Sequence[Case], texts: dict[str, labelled.Texts]) -> dict[str, Figures]:
    """Return the figures of each model and of its linear baseline. All texts are predicted in one call per model."""
    distinct = list(dict.fromkeys([text for case in cases for text in case.texts]
                                  + [text for pairs in texts.values() for text, _ in pairs]))  # fmt: skip
    answers: dict[str, Callable[[Path, Sequence[str]], Array | None]] = {
        "{}": model_probabilities,
        "linear ({})": linear_probabilities,
    }
    found = {}
    for path in paths:
        name = path.parent.name if path.name == "model.pt" else path.stem
        name = str(path) if name in found else name
        for column, answer in answers.items():
            probabilities = answer(path, distinct)
            if probabilities is None:
                continue
            positive = dict(zip(distinct, probabilities.tolist(), strict=True))
            found[column.format(name)] = {
                "rates": rates(cases, positive),
                "spreads": spreads(cases, positive),
                "calibration": calibration(texts, positive),
            }
    return found


def tables(found: dict[str, Figures]) -> str:
    """Return the tables in per cent, as Markdown, one column per model."""
    first = next(iter(found.values()))
    parts = [
        _table(f"failures of {COUNT} sentences", found, "rates", lambda row: _interval(row, "rate")),
        _table("range under exchange: mean, 95th percentile, maximum", found, "spreads", _percentages),
        _table("lowest and highest mean shift", found, "spreads", _extremes),
    ]
    if first["calibration"]:
        parts += [
            _table("texts", {"number": first}, "calibration", lambda row: f"{row['texts']:,}"),
            _table("calibration error", found, "calibration", lambda row: _interval(row["ece"], "value")),
            _table("accuracy", found, "calibration", lambda row: _interval(row["accuracy"], "value")),
        ]
    return "\n\n".join(parts)


def _interval(figure: Figures, key: str) -> str:
    return f"{100 * figure[key]:.1f} ({100 * figure['low']:.1f} to {100 * figure['high']:.1f})"


def _percentages(row: Figures) -> str:
    return ", ".join(f"{100 * row[key]:.1f}" for key in ("mean", "p95", "max"))


def _extremes(row: Figures) -> str:
    extremes = [choose(row["shifts"], key=row["shifts"].get) for choose in (min, max)]
    return ", ".join(f"{word} {100 * row['shifts'][word]:+.1f}" for word in extremes)


def _table(title: str, found: dict[str, Figures], part: str, cell: Callable[[Figures], str]) -> str:
    """Return one table: a line per row of the part, a column per model."""
    rows = next(iter(found.values()))[part]
    lines = [[title, *found], *([row, *(cell(one[part][row]) for one in found.values())] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    padded = ([text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.behaviour", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL.pt", help="none: the model that ships")
    parser.add_argument("--json", action="store_true", help="JSON also on a terminal")
    parser.add_argument("--sample", type=int, metavar="N", help="only print N sentences with what is expected of them")
    options = parser.parse_args(arguments)
    cases = templates.generate(templates.read(SOURCE), COUNT)
    if options.sample is not None:
        for case in random.sample(cases, options.sample):
            print(f"{case.row}: {case.expected}: {case.texts[0]}")
        return
    torch.set_num_threads(1)
    models = [run_folder.model_at(path) for path in options.models] or [checkpoints.PRETRAINED]
    found = scored(models, cases, labelled.read())
    print(json.dumps(found) if options.json or not sys.stdout.isatty() else tables(found))


if __name__ == "__main__":
    main()
