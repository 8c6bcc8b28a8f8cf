"""The end of a run: of one that is finished, and of one that memory did not suffice for."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import yaml

from lstmcli.config import RunConfig
from lstmcli.errors import RuntimeSetupError
from lstmcli.events import Finished, Listener, Progress
from lstmcli.inference import assemble
from lstmcli.inference.evaluate import baseline_figures
from lstmcli.storage import atomic, run_folder
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import grouped
from lstmcli.training import class_weights, decisions, setup

if TYPE_CHECKING:
    from lstmcli.training.train import Trainer


def conclude(trainer: "Trainer", out: Path, started: float, listener: Listener) -> Finished:
    """Load the best weights, calibrate them, fit the baselines, and write the finished model."""
    if not (out / run_folder.MODEL).is_file():
        fix = "train again, and leave the folder alone meanwhile: --force"
        raise RuntimeSetupError("the best model was removed during the run", where=str(out / run_folder.MODEL), fix=fix)
    best = checkpoints.load(out / run_folder.MODEL)
    parts = assemble.restored(best, trainer.parts.runtime)
    task = trainer.parts.task
    logits, targets = trainer.work.outputs(parts, "calibrating", listener)
    temperature = task.calibrate(logits, targets)
    task, decision = class_weights.settled(task, logits, targets, temperature)
    before = task.summary(logits, targets)
    after = task.summary(logits, targets, temperature)

    arrays = trainer.baseline
    if not arrays:
        arrays = setup.fitted(trainer.whole["train"], task, labels=len(parts.vocabulary.labels), listener=listener)
    figures = {}
    for name in trainer.scored:
        if name in trainer.whole and arrays:
            listener(Progress(f"scoring the baselines on {name}"))
            figures[name] = baseline_figures(parts.task, arrays, trainer.whole[name])
    decided = decisions.of_validation(replace(parts, task=task), logits, targets, temperature, listener=listener)
    model = replace(
        best,
        config=trainer.parts.config,
        temperature=temperature,
        min_confidence=decided.min_confidence,
        progress=best.progress | class_weights.by_label(task, decision, parts.vocabulary.labels),
        metrics={trainer.scored[name]: value for name, value in figures.items()},
        tensors=best.tensors
        | grouped("baseline", {name: torch.from_numpy(value) for name, value in arrays.items()})
        | trainer.text_hashes
        | decided.tensors,
    )
    checkpoints.save(model, out / run_folder.MODEL)

    calibration = {"temperature": temperature}
    if "ece" in before:
        calibration |= {"ece_before": before["ece"], "ece_after": after["ece"]}
    run_folder.forget_after(out / run_folder.METRICS, trainer.at.epoch)
    run_folder.append(out / run_folder.METRICS, calibration)
    with atomic.whole(out / run_folder.RECIPE) as file:
        file.write(yaml.safe_dump(trainer.parts.config.model_dump(mode="json"), sort_keys=False).encode())
    baselines = trainer.work.baseline_figures(arrays)
    values = {name: metrics[task.PRIMARY]["value"] for name, metrics in baselines.items()}
    return Finished(out, after | calibration, values, time.perf_counter() - started, headed=best.headed)


def smaller(config: RunConfig, out: Path) -> str:
    """Say what to lower where memory ran out, and what is left of the run."""
    key, value = "train.batch_tokens", config.train.batch_tokens
    if config.episodes is not None and config.episodes.batch > 1:
        key, value = "episodes.batch", config.episodes.batch
    fix = f"train again on smaller batches: --force --set {key}={max(1, value // 2)}"
    last = out / run_folder.LAST
    return f"{fix}; or free memory and go on from {last}: --resume" if last.is_file() else fix
