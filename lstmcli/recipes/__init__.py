"""From what the user types to a RunConfig: a recipe's name, a YAML file, or data of their own."""

from collections.abc import Sequence
from typing import Any

import yaml

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.config.fields import kinds
from lstmcli.errors import ConfigError, did_you_mean
from lstmcli.recipes import plain_yaml
from lstmcli.recipes.files import CONFIGS, DEFAULTS, find, listed, task_of
from lstmcli.recipes.listing import Shipped, groups, same_name
from lstmcli.types import Option
from lstmcli.validation import validated

__all__ = ["CONFIGS", "Shipped", "adjusted", "groups", "listed", "load", "reading", "same_name"]


def load(
    recipe: str, *, overrides: Sequence[str] = (), options: Sequence[Option] = (), learner: str | None = None
) -> RunConfig:
    """Return the recipe with the learner, the overrides (``key=value`` in YAML) and then the options applied; the last
    wins.

    learner: by name, with its default settings unless the recipe has the same; a recipe without episodes gets them.

    Raises:
        ConfigError: the recipe is not found, or it, an override or an option is wrong.
    """
    values, where = find(recipe)
    if learner is not None:
        _set_learner(values, learner)
    origins = {} if learner is None else {"learner": "--learner"}
    for override in overrides:
        key, value = _parsed(override)
        _set(values, key, value, override)
        origins[key] = f"--set {key}="
    return _with_options(values, options, where, origins)


def adjusted(config: RunConfig, options: Sequence[Option]) -> RunConfig:
    """Return the config with the options applied. Raises ConfigError where one is wrong."""
    same = {"name": config.learner.name}  # keeps its settings, which the defaults would replace
    options = [option for option in options if option.key != "learner" or option.value != same]
    return _with_options(config.model_dump(), options, "the checkpoint's recipe", {})


def reading(overrides: Sequence[str], known: Sequence[str], options: Sequence[Option]) -> dict[str, Any]:
    """Return the fields of section ``data`` that the overrides and then the options set. known: those that may be set.

    Raises:
        ConfigError: another field, or a value that it cannot have.
    """
    values: dict[str, Any] = {}
    origins = {}
    for override in overrides:
        key, value = _parsed(override)
        section, _, name = key.partition(".")
        if section != "data":
            fix = f"the recipe is the checkpoint's; known: {', '.join(f'data.{field}' for field in known)}"
            raise ConfigError(f"'{key}' is not a field of section data", where=f"--set {override}", fix=fix)
        if name not in known:
            fix = did_you_mean(key, [f"data.{field}" for field in known])
            raise ConfigError(f"'{key}' cannot be set here", where=f"--set {override}", fix=fix)
        values[name] = value
        origins[key] = f"--set {key}="
    for option in options:
        values[option.key.removeprefix("data.")] = option.value
        origins[option.key] = option.flag
    recipe: dict[str, Any] = {"data": values}
    _choose_for_sets(recipe)
    data = validated(recipe, where="--set", options=origins).data
    return {name: getattr(data, name) for name in values}


def _with_options(values: dict[str, Any], options: Sequence[Option], where: str, origins: dict[str, str]) -> RunConfig:
    for option in options:
        _set(values, option.key, option.value, option.flag)
        origins[option.key] = option.flag
    _choose_for_sets(values)
    config = validated(values, where=where, options=origins)
    named = {key: getattr(config.data, key) for key in ("path", "unlabelled")}
    found = {
        key: path.absolute() for key, path in named.items() if path is not None
    }  # a run may be used from another folder
    return config.model_copy(update={"data": config.data.model_copy(update=found)}) if found else config


def _choose_for_sets(values: dict[str, Any]) -> None:
    """Where labels are separated, replace the model by the one with the same fields for sets of labels, if any."""
    data, model = values.get("data"), values.get("model", {})
    if isinstance(data, dict) and isinstance(model, dict) and data.get("label_separator") not in (None, "none"):
        known = kinds(RunConfig.model_fields["model"].annotation)
        if of_sets := getattr(known.get(str(model.get("name", DEFAULTS["model"]))), "of_sets", ""):
            values["model"] = model | {"name": of_sets}


def _set_learner(values: dict[str, Any], learner: str) -> None:
    """Replace the learner, and add episodes where it is trained on them."""
    section = values.get("learner", {})
    if not isinstance(section, dict) or section.get("name", DEFAULTS["learner"]) != learner:
        values["learner"] = {"name": learner}
    known = kinds(RunConfig.model_fields["learner"].annotation)
    if not getattr(known.get(learner), "meta_trained", True) or values.get("episodes") is not None:
        return
    if (task := task_of(values)) and registry.task(task).READS != "text":
        what = "few-shot tasks are drawn of whole texts with labels, which the recipe's model does not learn from"
        raise ConfigError(what, where=f"--learner {learner}", fix="leave out --learner, or choose a recipe of texts")
    values["episodes"] = {}


def _parsed(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"'{override}' is not key=value", where=f"--set {override}", fix="for example --set train.lr=0.001"
        )
    if len(text) == 1 and not text.isalnum():  # a delimiter: to YAML |, ~ and # are no text
        return key.strip(), text
    try:
        return key.strip(), plain_yaml.load(text)
    except yaml.YAMLError:
        return key.strip(), text


def _set(values: dict[str, Any], key: str, value: Any, override: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(
                f"'{section}' is not a section", where=f"--set {override}", fix="leave out what follows it"
            )
    values[last] = value
