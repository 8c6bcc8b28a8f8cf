"""One trial: train a recipe until it ends or has to stop, and judge it on the validation texts."""

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lstmcli.config import RunConfig
from lstmcli.errors import LstmcliError
from lstmcli.events import Listener, silent
from lstmcli.inference import assemble
from lstmcli.machine import memory
from lstmcli.search.rule import Outcome, outcome
from lstmcli.search.trials import State, Trial
from lstmcli.storage import atomic, run_folder
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.examples import Inputs
from lstmcli.training import class_weights, setup
from lstmcli.training.setup import RunSetup
from lstmcli.training.train import Trainer

REST = 4_096  # bytes of a finished model.pt beyond what is known before training: metrics and thresholds
PER_TEXT = 16  # bytes of each validation text


class Expired(Exception):  # noqa: N818 (no error)
    """The budget has ended, or the user has stopped the search. A listener raises it in the midst of the work."""


@dataclass(frozen=True)
class Attempt:
    """A trained recipe. trainer, outcome: none where it ended before it had a model; bytes: of the file, estimated;
    fitting: seconds that its baselines took, if they are fitted already."""

    state: State
    trainer: Trainer | None = None
    outcome: Outcome | None = None
    bytes: int | None = None
    fitting: float = 0.0
    reason: str = ""


def run(
    config: RunConfig,
    inputs: Inputs,
    folder: Path,
    *,
    max_bytes: int | None = None,
    default: bool = False,
    listener: Listener = silent,
) -> Attempt:
    """Train the recipe, with the best weights in the folder.

    Args:
        config: The recipe.
        inputs: The examples.
        folder: Cleared first.
        max_bytes: Do not train a model whose file would be larger.
        default: It is the recipe as it was given: fit the baselines before training, so that it is concluded soon after
            it is stopped, and raise its errors.
        listener: May raise ``Expired`` at any event.
    """
    clear(folder)
    trainer = size = None
    state: State = "finished"
    fitting = 0.0
    try:
        begun = setup.prepare(config, inputs, None, listener=listener)
        if default or max_bytes is not None:
            began = time.monotonic()
            begun = _with_baselines(begun, listener)
            fitting = time.monotonic() - began
        trainer = Trainer(begun, folder, inputs, resumable=False)
        if max_bytes is not None and (size := _bytes(trainer, inputs)) > max_bytes:
            return Attempt("too large", bytes=size)
        listener(trainer.plan())
        for event in trainer.events(listener=listener):
            listener(event)
    except Expired:
        state = "stopped"
    except (LstmcliError, MemoryError, RuntimeError) as error:
        if default or not (isinstance(error, LstmcliError) or memory.exhausted(error)):
            raise
        return Attempt("failed", bytes=size, reason=getattr(error, "what", "not enough memory"))
    if trainer is None or not (folder / run_folder.MODEL).is_file():
        return Attempt(state, bytes=size)
    return Attempt(state, trainer, _outcome(trainer, folder), size, fitting)


def size_of(config: RunConfig, inputs: Inputs) -> int:
    """Return the bytes of the model.pt that the recipe gives, estimated, without training."""
    begun = _with_baselines(setup.prepare(config, inputs, None), silent)
    return _bytes(Trainer(begun, None, inputs), inputs)


def settle(tried: Sequence[Trial], folder: Path, out: Path) -> None:
    """Put the model of the last trial, if it is the best, where that of the best is, and clear the trial's folder.

    A search that was killed is settled when it is resumed: each step is done once, or again.
    """
    new, recipe = tried[-1] if tried else None, folder / run_folder.RECIPE
    if new is not None and new.best and recipe.is_file():  # the last of the files to be moved
        if new.p_value is not None and not (out / run_folder.DEFAULT).is_file():
            with atomic.whole(out / run_folder.DEFAULT) as file:
                file.write((out / run_folder.MODEL).read_bytes())
        (out / run_folder.RECIPE).unlink(missing_ok=True)  # only a whole run has it
        for name in (run_folder.METRICS, run_folder.MODEL, run_folder.RECIPE):
            with suppress(FileNotFoundError):  # moved already
                (folder / name).replace(out / name)
    clear(folder)


def clear(folder: Path) -> None:
    """Remove the folder and what is in it."""
    shutil.rmtree(folder, ignore_errors=True)


def _with_baselines(begun: RunSetup, listener: Listener) -> RunSetup:
    labels = len(begun.parts.vocabulary.labels)
    fitted = setup.fitted(begun.texts["train"], begun.parts.task, labels=labels, listener=listener)
    return replace(begun, baseline=fitted)


def _bytes(trainer: Trainer, inputs: Inputs) -> int:
    """Return the bytes of the final model.pt, at most, of a trainer with baselines."""
    return checkpoints.to_buffer(trainer.snapshot()).getbuffer().nbytes + PER_TEXT * len(inputs.validation) + REST


def _outcome(trainer: Trainer, folder: Path) -> Outcome:
    """Judge the best weights of the run, with the temperature and the decisions that it will have."""
    best = checkpoints.load(folder / run_folder.MODEL)
    parts = assemble.restored(best, trainer.parts.runtime)
    outputs, targets = trainer.work.outputs(parts, "validating", silent)
    temperature = trainer.parts.task.calibrate(outputs, targets)
    task, _ = class_weights.settled(trainer.parts.task, outputs, targets, temperature)
    return outcome(task, outputs, targets, temperature)
