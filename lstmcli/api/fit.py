"""Train a model on texts in memory."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lstmcli import recipes, registry, search
from lstmcli.api.model import Model, kept
from lstmcli.api.uncached import uncached
from lstmcli.config import Data, RunConfig
from lstmcli.contracts import TaskHooks, hooks
from lstmcli.data.batches.sampling import Parts
from lstmcli.data.in_memory import SEPARATOR, Labels, Texts, are_sets, check_known, examples_of
from lstmcli.data.labels import check_weights
from lstmcli.data.labels import found as found_labels
from lstmcli.errors import ConfigError, did_you_mean, for_python
from lstmcli.events import Listener, silent
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import validation_split
from lstmcli.storage.examples import Inputs
from lstmcli.training import train
from lstmcli.types import Example, Option


def fit(
    texts: Texts,
    labels: Labels,
    *,
    recipe: str = "table",
    validation: tuple[Texts, Labels] | None = None,
    listener: Listener = silent,
    seed: int = 0,
    budget: str | float | None = None,
    max_size: str | float | None = None,
    **overrides: Any,
) -> Model:
    """Train a model and return the best of its epochs, calibrated; with a budget, that of the best recipe found.

    Args:
        texts: Strings; for the recipe of a tagger, lists of words.
        labels: One string, int or bool per text, or a list where texts have several; for a tagger, a tag per word.
        recipe: A name that ``lstmcli train`` lists, or the path of a recipe (.yaml).
        validation: Texts and labels to choose the best epoch by; None: a stratified part of the texts is held out.
        listener: Called with each event of ``lstmcli.events``; for example ``print``.
        seed: Makes the run repeatable; a search, which ends by the clock, is not.
        budget: Search for the best recipe so long, beginning with this one: "10m", or seconds. Needs the extra
            ``budget``. Overrides keep their values.
        max_size: With a budget, of the saved model, at most: "3MB", or bytes.
        overrides: Fields of the recipe, with two underscores for the dot: ``train__epochs=5``, ``device="cpu"``.

    Raises:
        ConfigError: the recipe or an override is wrong, or the recipe is not for texts with labels.
        DataError: the lengths differ; a text is empty; there are too few texts, or fewer than two labels.
    """
    with for_python():
        labels = labels if isinstance(labels, str) else list(labels)
        config = _configured(recipe, overrides, seed, sets=are_sets(labels))
        limits = None if budget is None and max_size is None else search.limits_of(config, budget, max_size)
        read = _reader(config)
        examples, kind = read(texts, labels)
        given = None if validation is None else read(*validation)[0]
        rest, held_out = _divided(config, examples, given, listener)
        check_weights(config.train.class_weights, found_labels(rest))
        with runtime.unchanged(config), TemporaryDirectory(prefix="lstmcli-") as folder:
            inputs, out = Inputs(rest, held_out, []), Path(folder)
            if limits is None:
                train.run(uncached(config), inputs, out, listener=listener)
            else:
                search.run(uncached(config), inputs, out, limits, pinned=[*map(_key, overrides)], listener=listener)
            found = checkpoints.load(out)
    return kept(found, config, kind)


def _divided(config: RunConfig, examples: list[Example], given: list[Example] | None, listener: Listener) -> Parts:
    """Return the examples to train on and those to validate on. given: those that the user has for validation."""
    if given is None:
        return validation_split.hold_out(config, examples, "texts", listener=listener)
    check_known(given, found_labels(examples), "validation labels")
    validation_split.note_learned(config, given, listener)
    return examples, given


def _key(override: str) -> str:
    return override.replace("__", ".")


def _reader(config: RunConfig) -> Callable[[Texts, Labels], tuple[list[Example], str]]:
    """Return ``examples_of`` for the task of the recipe."""
    task = registry.task(config.task)
    return partial(examples_of, words=task.READS == "words", sets=hooks(TaskHooks, task).LABEL_SETS)


def _configured(recipe: str, overrides: dict[str, Any], seed: int, *, sets: bool) -> RunConfig:
    """Return the recipe for texts that are passed, not read. Raise ConfigError where it does not fit them.

    sets: the labels of each text are a list.
    """
    if recipe not in recipes.listed() and Path(recipe).suffix not in (".yaml", ".yml"):
        raise ConfigError(f"there is no recipe '{recipe}'", where="recipe", fix=did_you_mean(recipe, recipes.listed()))
    options = [Option(_key(key), f"{key}=", value) for key, value in overrides.items()]
    for option in options:
        if option.key.startswith("data.") and option.key != "data.validation":
            fix = "leave it out; of section data, data__validation alone has an effect here"
            raise ConfigError("the texts are given, not read from files", where=option.flag[:-1], fix=fix)
    options.insert(0, Option("seed", "seed=", seed))
    config = recipes.load(recipe, options=options)
    if sets and registry.task(config.task).READS == "text":  # files that the model reads later are separated so
        config = recipes.load(recipe, options=[*options, Option("data.label_separator", "labels=", SEPARATOR)])
    reads = registry.task(config.task).READS
    if reads == "stream" or config.data.name in registry.PROBLEMS:
        fix = f"use the command: lstmcli train {recipe}; or another recipe: recipe='table'"
        raise ConfigError("the recipe is not for texts with labels", where=f"recipe={recipe!r}", fix=fix)
    # A tagger's data set determines how the commands read files; the data of any other recipe is not these texts.
    name, separator = config.data.name if reads == "words" else "table", config.data.label_separator
    data = Data(name=name, validation=config.data.validation, label_separator=separator)
    return config.model_copy(update={"data": data})
