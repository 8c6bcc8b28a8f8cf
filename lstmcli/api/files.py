"""What the functions on files share: the checkpoint that they open, and the data that they read.

Opening a checkpoint loads no torch; using its tensors does. Arguments of the same name mean the same in each of these
functions:

model: a .pt file or the folder of a run; None: the newest under ./runs, else the model that ships.
options: changes of the model's recipe, such as the device; None: as it was trained.
reading: fields of section ``data`` of a recipe that determine how the data is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lstmcli import recipes
from lstmcli.config import Data, RunConfig
from lstmcli.events import Listener, Noted, silent
from lstmcli.storage import data_option
from lstmcli.types import Example, Option

if TYPE_CHECKING:
    from lstmcli.storage.checkpoint import Checkpoint

Name = str | Path  # of a data set or of a file
AS_IT_IS: Mapping[str, Any] = MappingProxyType({})  # data is read by its own layout


def learner_options(name: str | None, steps: int | None = None, *, flag: str = "--{}") -> list[Option]:
    """Return the options for the learner, which has its own default settings, and for its steps. flag: how the user
    wrote them."""
    chosen = [] if name is None else [Option("learner", flag.format("learner"), {"name": name})]
    return chosen if steps is None else [*chosen, Option("learner.steps", flag.format("steps"), steps)]


def opened(
    model: Name | None, options: Sequence[Option], listener: Listener, *, weights: bool = False
) -> "tuple[Checkpoint, Path]":
    """Load the checkpoint, report which one if none was named, and apply the options to its recipe.

    weights: they are needed, which an exported model does not have.

    Raises:
        CheckpointError: there is none, or it cannot be read.
        ConfigError: an option is wrong, or there are no weights.
    """
    from lstmcli.storage import checkpoint as checkpoints

    path = checkpoints.find(None if model is None else Path(model))
    loaded = checkpoints.opened(path)
    if weights:
        loaded.check_weights(str(path))
    if model is None:
        shown = "the model that ships with lstmcli" if path == checkpoints.PRETRAINED else str(path)
        listener(Noted(f"model: {shown}"))
    return replace(loaded, config=recipes.adjusted(loaded.config, options)), path


def source(data: Name | None, trained_on: RunConfig, reading: Mapping[str, Any], listener: Listener) -> Data:
    """Return the data that is meant, and report where a file has the name of a data set. Raises as ``named``."""
    named = None if data is None else str(data)
    if named is not None and (note := recipes.same_name(named, "--data")):
        listener(Noted(note))
    return data_option.named(named, trained_on, reading)


def as_known(
    examples: Sequence[Example], checkpoint: "Checkpoint", *, adapting: bool = False, listener: Listener = silent
) -> list[Example]:
    """Return the examples with the names that the model has for their labels. adapting: new labels become classes."""
    known, trained_on = checkpoint.vocabulary.classes, checkpoint.config.data
    return data_option.as_known(examples, known, trained_on, adapting=adapting, listener=listener)
