"""Checks and notes about a run that is resumed."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from lstmcli.config import RunConfig, Train
from lstmcli.data.batches.encoded import dataset_hash
from lstmcli.errors import ConfigError, counted, verb
from lstmcli.events import Noted
from lstmcli.storage import run_folder
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.examples import Inputs
from lstmcli.training.loop import Position

# Keys that may always differ; precision, because another device may not support it.
FREE = ("device", "precision", "threads", "data.cache", "data.bad_rows", "train.save_every")
LENGTH = ("train.epochs", "train.patience")  # may differ if the user set them
NEW = "begin a new one: --out DIR"


def check(last: Checkpoint, now: RunConfig, inputs: Inputs, chosen: Collection[str]) -> None:
    """Check that the recipe and the data are those that the run was started with.

    Args:
        last: The last checkpoint of the run.
        now: The recipe.
        inputs: The data.
        chosen: Keys that the user set.

    Raises:
        ConfigError: They are not, or the run has done more epochs than the recipe has.
    """
    fix = f"resume with the recipe and data that began the run, or {NEW}"
    before, after = _flat(last.config), _flat(now)
    for key in before | after:  # a section may have been none, or be none now
        of_adaptation = key.startswith("learner.") and now.episodes is None  # it does not affect training
        free = key in FREE or of_adaptation or (key in LENGTH and key in chosen)
        was, is_now = before.get(key), after.get(key)
        if was != is_now and not free:
            what = f"the recipe has changed: {key} was {was}, is {is_now}"
            intended = f"if intended: --set {key}={is_now}; else " if key in LENGTH else ""
            raise ConfigError(what, where="--resume", fix=intended + fix)
    if last.progress["data"] != dataset_hash(inputs.learned):
        init = now.model.init
        if init is not None and not run_folder.model_at(init).is_file():
            what = "the model that the run began with is no longer there, and decides which texts are held out"
            raise ConfigError(what, where=f"model.init: {init}", fix=f"put it back, then --resume; or {NEW}")
        raise ConfigError("the training data has changed", where="--resume", fix=fix)
    if (done := last.progress["epoch"]) > now.train.epochs:
        fix = f"give as many or more: --epochs {done}; or begin a new run: --out DIR without --resume"
        raise ConfigError(
            f"the run has trained {counted(done, 'epoch')} already", where=f"--epochs {now.train.epochs}", fix=fix
        )


def notes(before: Train, now: Train, at: Position, out: Path) -> Iterator[Noted]:
    """Yield notes on what differs from a run that was never stopped. at: the position at which it resumes."""
    finished = (out / run_folder.RECIPE).is_file()
    if now.epochs != before.epochs:
        done_so_far = f"of which {at.epoch} {verb(at.epoch, 'are')} done"
        what = f"{counted(now.epochs, 'epoch')} in place of {before.epochs}, {done_so_far}"
        if now.schedule != "constant" and at.step:
            there = counted(now.epochs, "epoch")
            what += f"; from here on the learning rate is that of {there}: a run from the start may differ"
        yield Noted(what)
    elif finished and at.epoch == now.epochs:
        yield Noted(f"the run has finished its {counted(at.epoch, 'epoch')}; to train on: --epochs {2 * at.epoch}")
    if finished and now.patience is not None and at.stale >= now.patience:
        yield Noted("train.patience ended the run; to train on: --set train.patience=none")


def _flat(config: RunConfig) -> dict[str, Any]:
    """Return the values by ``section.key``."""
    return {
        f"{section}.{key}" if key else section: leaf
        for section, value in config.model_dump().items()
        for key, leaf in (value.items() if isinstance(value, dict) else [("", value)])
    }
