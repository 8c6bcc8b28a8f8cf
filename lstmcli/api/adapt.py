"""Adapt the model in a file to a new domain with a few labelled texts per class. Torch starts with the model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmcli import recipes
from lstmcli.api import files
from lstmcli.config import Data, Finetune, RunConfig
from lstmcli.events import Listener, Noted, silent
from lstmcli.storage import data_option, run_folder
from lstmcli.storage import examples as inputs
from lstmcli.types import Option

if TYPE_CHECKING:
    from lstmcli.inference.adapt import Adaptation
    from lstmcli.storage.checkpoint import Checkpoint


def adapt(
    model: files.Name | None = None,
    data: files.Name | None = None,
    *,
    shots: int,
    learner: str | None = None,
    steps: int | None = None,
    out: Path | None = None,
    reading: Mapping[str, Any] = files.AS_IT_IS,
    options: Sequence[Option] = (),
    seed: int = 0,
    listener: Listener = silent,
) -> "Adaptation":
    """Learn from a few texts per class, score the others before and after, and write the adapted model.

    Args:
        model, reading, options: As in ``lstmcli.api.files``.
        data: As ``--data``; None: bundled data that the model has not seen.
        shots: Texts per class to learn from.
        learner: By name; None: that of the model's recipe; else anchored.
        steps: Gradient steps, without ``learner`` of that of the recipe, else of finetune; None: by cross-validation.
        out: The file to write; None: adapted.pt beside the model.
        seed: Of the draw of the texts.
        listener: Called with each event.

    Raises:
        CheckpointError, ConfigError, DataError: the model, an option or the data cannot be used.
        RuntimeSetupError: the file cannot be written.
    """
    original, path = files.opened(model, (), listener, weights=True)
    _note_learner(original, learner, steps, listener)
    config = recipes.adjusted(original.config, [*files.learner_options(learner, steps), *options])
    checkpoint = replace(original, config=config)
    target = run_folder.beside(path, out)
    source = _source(data, checkpoint.config, reading, listener)
    data_option.check_known(reading, checkpoint.vocabulary.classes)
    if target.exists():
        listener(Noted(f"{target} will be written over; to keep it: --out FILE"))
    skipping = {"bad_rows": reading.get("bad_rows", "skip")}  # bad rows are reported and left out
    examples = inputs.everything(source.model_copy(update=skipping), listener=listener)
    examples = files.as_known(examples, checkpoint, adapting=True, listener=listener)
    old = inputs.old(checkpoint.config, checkpoint.arrays("learned").get("texts"), listener=listener)

    from lstmcli.inference.adapt import AdaptOptions, run
    from lstmcli.machine import runtime

    saved = {option.key: getattr(original.config, option.key) for option in options}  # they hold for this call
    chosen = AdaptOptions(shots, seed, choose=steps is None, free=learner is None and steps is None, saved=saved)
    with runtime.unchanged(checkpoint.config):
        return run(checkpoint, examples, chosen, data=data_option.title(source), old=old, out=target, listener=listener)


def _note_learner(original: "Checkpoint", learner: str | None, steps: int | None, listener: Listener) -> None:
    """Note that the default learner is another with ``steps``."""
    config, of_texts = original.config, original.task.READS == "text"
    if learner is None and steps is not None and of_texts and config.episodes is None and config.learner == Finetune():
        listener(Noted("--steps: the learner is finetune, since anchored, the default, takes no gradient steps"))


def _source(data: files.Name | None, trained_on: RunConfig, reading: Mapping[str, Any], listener: Listener) -> Data:
    """Return the data to learn from; report which one if none was named."""
    if data is not None:
        return files.source(data, trained_on, reading, listener)
    source = data_option.with_reading(data_option.unseen_domain(trained_on), reading)
    listener(Noted(f"no --data: adapting to the bundled data {data_option.title(source)}"))
    return source
