"""The course of a training run, read from metrics.jsonl beside its model."""

import json
from pathlib import Path
from typing import Any

from lstmcli.storage import run_folder

Line = dict[str, Any]


def of(model: Path) -> list[Line]:
    """Return the evaluations of the run whose model this is; none where they do not lie beside it."""
    return read(model.parent) if model.name == run_folder.MODEL else []


def read(folder: Path) -> list[Line]:
    """Return the evaluations of the run in the folder: epoch, step, train_loss and the metrics of each."""
    try:
        lines = [json.loads(line) for line in (folder / run_folder.METRICS).read_text("utf-8").splitlines()]
    except (OSError, ValueError):  # not there, or not written by a run
        return []
    return [line for line in lines if isinstance(line, dict) and {"epoch", "score", "loss"} <= line.keys()]


def best(lines: list[Line]) -> Line:
    """Return the evaluation of the model that was kept."""
    return max(lines, key=lambda line: (line["score"], -line["loss"]))
