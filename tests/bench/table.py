"""Compare all learners on the same few-shot tasks, from the same encoder: ``make table``.

One encoder per data set is trained by its recipe. Each learner is meta-trained from it on the same number of tasks, and
scored on the same episodes of the test part: 600 of five classes never seen in training, and for ARSC its twelve target
tasks, with three seeds. TF-IDF baselines are fitted on the same supports.

Runs are written to runs/table/. Finished runs are not repeated, so that an interrupted table can be continued. The
output is Markdown and JSON. ``python -m tests.bench.table [data set ...]`` makes a part of it.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as lstmcli itself sets it

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lstmcli import recipes
from lstmcli.config import RunConfig
from lstmcli.events import Event, Noted
from lstmcli.inference import few_shot
from lstmcli.inference.few_shot_report import FewShotOptions, Measured
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.storage import run_folder
from lstmcli.tasks.few_shot import over_episodes
from lstmcli.training import train

OUT = run_folder.RUNS / "table"
SHOTS, EPISODES = 5, 600
GOES_ON = ["train.epochs=1", "train.lr=0.0005", "episodes.batch=4", "episodes.validation=40"]
Figures = dict[str, list[dict[str, float]]]  # by learner or baseline, of each episode


@dataclass(frozen=True)
class Part:
    """A data set. encoder: the encoder's recipe; recipe: of meta-training; tasks: of meta-training."""

    encoder: str
    recipe: str
    tasks: int
    seeds: tuple[int, ...] = (0,)
    metric: str = "accuracy"
    start: str = "prototypes"  # head_init and rate of learners that take steps, as in the recipes
    lr: float = 0.01
    untrained_lr: float = 0.3  # rate from an untrained head: the best on validation of 0.01, 0.1, 0.3 and 1
    sets: tuple[str, ...] = ()
    learner: str | None = None  # of the encoder


PARTS = {
    "arsc": Part("arsc", "arsc-maml", 80, seeds=(0, 1, 2), metric="balanced_accuracy", start="model", lr=0.05,
    untrained_lr=0.05,
                 sets=("tokens.max_tokens=128",)),
    "banking77": Part("banking77-maml", "banking77-maml", 160, learner="prototypical", sets=("tokens.max_tokens=32",)),
    "clinc150": Part("clinc150-maml", "clinc150-maml", 160, learner="prototypical", sets=("tokens.max_tokens=32",)),
}  # fmt: skip
LEARNERS: dict[str, dict[str, Any]] = {
    "MAML, first order": {"name": "maml", "adapted_parameters": "all", "steps": 3},
    "MAML, second order": {"name": "maml", "adapted_parameters": "all", "steps": 3, "order": "second"},
    "ANIL": {"name": "maml", "adapted_parameters": "head", "steps": 3, "order": "second"},
    "Meta-SGD": {"name": "maml", "adapted_parameters": "all", "steps": 3, "rates": "weight"},
    "Reptile": {"name": "reptile", "adapted_parameters": "all", "steps": 5},
    "LSTM optimiser": {"name": "lstm-optimizer", "adapted_parameters": "head", "steps": 5},
    "meta-LSTM": {"name": "meta-lstm", "adapted_parameters": "head", "steps": 5},
    "matching": {"name": "matching"},
    "prototypical": {"name": "prototypical"},
    "ridge": {"name": "ridge"},
}
BASELINES = {
    "centroid": "TF-IDF centroid",
    "support linear": "TF-IDF + LR",
    "linear": "TF-IDF + LR, pooled, no adaptation",
    "before": "the encoder, no adaptation",
    "finetune": "fine-tuning of the head",
}


def print_note(event: Event) -> None:
    """Print a note."""
    if isinstance(event, Noted):
        log(event.text)


def trained(config: RunConfig, out: Path) -> Path:
    """Train the model of the recipe unless it is finished already."""
    if not (out / run_folder.RECIPE).is_file():
        log(f"training {out}")
        train.run(config, inputs.read(config), out, listener=print_note)
    return out / run_folder.MODEL


def scored(path: Path, *, data: str, seed: int, alone: bool) -> Figures:
    """Return the figures of a model's episodes on the test part; measure them unless they were saved."""
    kept = path.with_name("episodes.json")
    if not kept.is_file():
        log(f"scoring {path.parent}")
        begun = time.perf_counter()
        model = checkpoints.load(path)
        name, examples = inputs.to_score(model.config.data, "test", model.config)
        fixed = inputs.supports(model.config.data)
        shape = recipes.load(PARTS[data].recipe).episodes
        assert shape is not None
        options = FewShotOptions(data, name, shape.model_copy(update={"shots": SHOTS}), EPISODES, "support", 0)
        found: Measured = few_shot.measured(model, examples, fixed, options, alone=alone)
        log(f"{time.perf_counter() - begun:.0f} s")
        kept.write_text(json.dumps(found.figures))
    figures: Figures = json.loads(kept.read_text())
    return figures


def learner_sets(name: str, part: Part) -> list[str]:
    """Return the overrides for the learner."""
    settings = dict(LEARNERS[name])
    if settings["name"] in ("maml", "lstm-optimizer", "meta-lstm"):
        settings |= {"head_init": part.start, "lr": part.lr}
    elif "steps" in settings:
        settings["lr"] = part.untrained_lr
    return [f"learner={json.dumps(settings)}"]


def measured(data: str) -> dict[str, Figures]:
    """Return the figures of every learner and baseline, by seed."""
    part = PARTS[data]
    threads = f"threads={torch.get_num_threads()}"
    base = recipes.load(part.encoder, overrides=[threads], learner=part.learner)
    encoder = trained(base, OUT / data / "encoder")
    found = {}
    for seed in part.seeds:
        figures = {BASELINES[name]: rows for name, rows in baselines(encoder, data).items()}
        for name in LEARNERS:
            sets = [f"model={base.model.model_dump_json()}", f"model.init={encoder}", *part.sets, *GOES_ON, threads,
                    f"episodes.count={part.tasks}", f"seed={seed}", *learner_sets(name, part)]  # fmt: skip
            out = OUT / data / f"{name.replace(', ', '-').replace(' ', '-').lower()}-{seed}"
            path = trained(recipes.load(part.recipe, overrides=sets), out)
            figures[name] = scored(path, data=data, seed=seed, alone=True)["model"]
        found[str(seed)] = figures
    return found


def baselines(encoder: Path, data: str) -> Figures:
    """Return the figures of the baselines."""
    figures = scored(encoder, data=data, seed=0, alone=False)
    figures = {"finetune": figures["model"]} | figures  # the learner of an encoder that was not meta-trained
    return {name: figures[name] for name in BASELINES if name in figures}


def summary(found: dict[str, Figures], metric: str) -> dict[str, dict[str, Any]]:
    """Return by name the mean with its interval, and the paired gain over the centroid; seeds are averaged per task."""

    def each(name: str) -> list[dict[str, float]]:
        values = np.mean([[one[metric] for one in figures[name]] for figures in found.values()], axis=0)
        return [{metric: float(value)} for value in values]

    others = each(BASELINES["centroid"])
    rows = {}
    for name in next(iter(found.values())):
        figures = each(name)
        gains = [{metric: one[metric] - other[metric]} for one, other in zip(figures, others, strict=True)]
        rows[name] = {
            "value": asdict(over_episodes(figures)[metric]),
            "over centroid": asdict(over_episodes(gains, least=-1.0)[metric]),
        }
    return rows


def markdown(tables: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Format one column per data set, in per cent, ± half the 95 % interval. The best of a column is bold.

    Cells are empty where new classes cannot be predicted without adaptation.
    """
    best = {data: max(rows, key=lambda name, rows=rows: rows[name]["value"]["value"]) for data, rows in tables.items()}
    lines = ["| learner | " + " | ".join(tables) + " |", "| --- |" + " --- |" * len(tables)]
    for name in [*BASELINES.values(), *LEARNERS]:
        cells = []
        for data, rows in tables.items():
            if name not in rows:
                cells.append("")
                continue
            figure = rows[name]["value"]
            value = f"{100 * figure['value']:.1f}"
            shown = f"**{value}**" if name == best[data] else value
            cells.append(f"{shown} ± {50 * (figure['high'] - figure['low']):.1f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main(chosen: Sequence[str]) -> None:
    torch.set_num_threads(1)
    tables = {data: summary(measured(data), PARTS[data].metric) for data in chosen or PARTS}
    (OUT / "table.json").write_text(json.dumps(tables, indent=1))
    (OUT / "table.md").write_text(markdown(tables) + "\n")
    print(markdown(tables))


if __name__ == "__main__":
    main(sys.argv[1:])
