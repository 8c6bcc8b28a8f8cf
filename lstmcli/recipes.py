"""From what the user types to a RunConfig: a recipe's name, a YAML file, or data of their own.

A recipe begins with comment lines; the first describes it, and ``# time: ...`` has its duration. With
``base: NAME`` it inherits the keys of a shipped recipe that it does not set itself; a section with another ``name``
inherits nothing.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.config.fields import kinds
from lstmcli.contracts import TaskHooks, hooks
from lstmcli.errors import ConfigError, did_you_mean, near_path, of_system
from lstmcli.types import Option
from lstmcli.validation import validated

BASE = "base"
TIME = "# time: "
GROUPS = {  # headings of the list beside those of the tasks, by what a recipe is for
    "own": "your own data",
    "episodes": "few-shot",
    "benchmark": "optimiser benchmark",
}
MERGED = {  # by data set: settings of former recipes such as banking77-lstm-optimizer beside the learner
    "arsc": "--set learner.lr=0.05",
    "banking77": "--set learner.head_init=prototypes --set learner.steps=3 --set learner.lr=0.01",
    "clinc150": "--set learner.head_init=prototypes --set learner.steps=3 --set learner.lr=0.01",
}
STEPPING = ("lstm-optimizer", "meta-lstm")
DEFAULTS = {  # names of sections that have one
    section: field.default.name for section, field in RunConfig.model_fields.items() if hasattr(field.default, "name")
}
_HERE = Path(__file__).parent
CONFIGS = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"  # wheel, or checkout


def listed() -> dict[str, str]:
    """Every shipped recipe by name, with the first line of its comment."""
    paths = sorted(CONFIGS.glob("*.yaml"), key=lambda path: path.stem)
    return {path.stem: path.read_text("utf-8").splitlines()[0].lstrip("# ") for path in paths}


@dataclass(frozen=True)
class Shipped:
    """A shipped recipe as the list shows it. time: without the machine; empty where none is stated."""

    name: str
    line: str
    time: str


def groups() -> dict[str, list[Shipped]]:
    """Every shipped recipe by the heading under which it is listed."""
    of_tasks = [hooks(TaskHooks, registry.task(name)).HEADING for name in registry.TASKS]
    found: dict[str, list[Shipped]] = {heading: [] for heading in (GROUPS["own"], *of_tasks, *GROUPS.values())}
    for name, line in listed().items():
        path = CONFIGS / f"{name}.yaml"
        times = [row for row in path.read_text("utf-8").splitlines() if row.startswith(TIME)]
        time = times[0].removeprefix(TIME).partition(" on ")[0] if times else ""
        found[_heading(_read(path))].append(Shipped(name, line, time))
    return {heading: group for heading, group in found.items() if group}


def _heading(values: dict[str, Any]) -> str:
    data = values["data"]["name"]
    if data in registry.LAYOUTS:
        return GROUPS["own"]
    if data in registry.PROBLEMS:
        return GROUPS["benchmark"]
    if "episodes" in values:
        return GROUPS["episodes"]
    return hooks(TaskHooks, registry.task(_task(values))).HEADING


def _task(values: dict[str, Any]) -> str:
    """What the recipe's model is trained for; empty where its name is wrong."""
    model = values.get("model")
    models = kinds(RunConfig.model_fields["model"].annotation)
    named = models.get(str(model.get("name", DEFAULTS["model"]))) if isinstance(model, dict) else None
    return str(getattr(named, "task", ""))


def load(
    recipe: str, *, overrides: Sequence[str] = (), options: Sequence[Option] = (), learner: str | None = None
) -> RunConfig:
    """The recipe with the learner, the overrides (``key=value`` in YAML) and then the options applied; the last wins.

    learner: by name, with its default settings unless the recipe has the same; a recipe without episodes gets them.

    Raises:
        ConfigError: the recipe is not found, or it, an override or an option is wrong.
    """
    values, where = _find(recipe)
    if learner is not None:
        _set_learner(values, learner)
    origins = {} if learner is None else {"learner": "--learner"}
    for override in overrides:
        key, value = _parsed(override)
        _set(values, key, value, override)
        origins[key] = f"--set {key}="
    return _with_options(values, options, where, origins)


def adjusted(config: RunConfig, options: Sequence[Option]) -> RunConfig:
    """The config with the options applied. Raises ConfigError where one is wrong."""
    same = {"name": config.learner.name}  # keeps its settings, which the defaults would replace
    options = [option for option in options if option.key != "learner" or option.value != same]
    return _with_options(config.model_dump(), options, "the checkpoint's recipe", {})


def reading(overrides: Sequence[str], known: Sequence[str], options: Sequence[Option]) -> dict[str, Any]:
    """The fields of section ``data`` that the overrides and then the options set. known: those that may be set.

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
    data = validated({"data": values}, where="--set", options=origins).data
    return {name: getattr(data, name) for name in values}


def _with_options(values: dict[str, Any], options: Sequence[Option], where: str, origins: dict[str, str]) -> RunConfig:
    for option in options:
        _set(values, option.key, option.value, option.flag)
        origins[option.key] = option.flag
    config = validated(values, where=where, options=origins)
    named = {key: getattr(config.data, key) for key in ("path", "unlabelled")}
    found = {
        key: path.absolute() for key, path in named.items() if path is not None
    }  # a run may be used from another folder
    return config.model_copy(update={"data": config.data.model_copy(update=found)}) if found else config


def _set_learner(values: dict[str, Any], learner: str) -> None:
    """Replace the learner, and add episodes where it is trained on them."""
    section = values.get("learner", {})
    if not isinstance(section, dict) or section.get("name", DEFAULTS["learner"]) != learner:
        values["learner"] = {"name": learner}
    known = kinds(RunConfig.model_fields["learner"].annotation)
    if not getattr(known.get(learner), "meta_trained", True) or values.get("episodes") is not None:
        return
    if (task := _task(values)) and registry.task(task).READS != "text":
        what = "few-shot tasks are drawn of whole texts with labels, which the recipe's model does not learn from"
        raise ConfigError(what, where=f"--learner {learner}", fix="leave out --learner, or choose a recipe of texts")
    values["episodes"] = {}


def _find(recipe: str) -> tuple[dict[str, Any], str]:
    recipe = registry.ALIASES.get(recipe, recipe)
    if recipe in listed():
        return _read(CONFIGS / f"{recipe}.yaml"), f"configs/{recipe}.yaml"
    path = Path(recipe)
    try:
        if path.suffix in (".yaml", ".yml") and path.is_file():
            return _read(path), recipe
        if path.is_dir() or path.is_file():
            return _for_data(path), "the standard recipe"
    except OSError as error:  # a name too long, a file that may not be read
        if (known := of_system(error)) is None:
            raise
        raise ConfigError(known.what, where=known.where, fix=known.fix) from error
    if now := _merged_into(recipe):
        raise ConfigError(f"the recipe '{recipe}' is now another with --learner", fix=f"now: {now}")
    raise _not_found(recipe)


def _merged_into(recipe: str) -> str:
    """The command for a recipe of earlier versions that was a data set and a learner; else empty."""
    data, _, learner = recipe.partition("-")
    if data not in MERGED or learner not in registry.LEARNERS:
        return ""
    settings = f" {MERGED[data]}" if learner in STEPPING else ""
    return f"lstmcli train {data}-maml --learner {learner}{settings}"


def _not_found(recipe: str) -> ConfigError:
    """The error for what is neither a recipe's name nor a path; near names are proposed."""
    path = Path(recipe)
    if path.suffix or path.name != recipe:  # no recipe's name has either
        where = recipe if path.parent.is_dir() else f"{recipe}: there is no folder {path.parent}"
        return ConfigError("there is no such file or folder", where=where, fix=near_path(path) or "check the path")
    near = get_close_matches(recipe, listed(), n=1)
    also = f"did you mean '{near[0]}'?" if near else near_path(path)
    fix = "the recipes: lstmcli train; or give the path of a recipe (.yaml) or of your own data (.csv …)"
    return ConfigError(f"there is no recipe, recipe file or data at '{recipe}'", fix=f"{also}\n{fix}".lstrip())


def same_name(text: str, option: str) -> str:
    """A note where a file or folder here has the name of the recipe, or of the data set, that is meant; else empty.

    option: where the text was typed, train or --data.
    """
    named = listed() if option == "train" else registry.DATASETS.keys() - set(registry.LAYOUTS)
    if registry.ALIASES.get(text, text) not in named or not os.path.lexists(text):
        return ""
    kind = "recipe" if option == "train" else "data set"
    path = f"lstmcli train ./{text}" if option == "train" else f"{option} ./{text}"
    return f"'{text}' is the {kind} of that name; for the file or folder here: {path}"


def _for_data(path: Path) -> dict[str, Any]:
    """The standard recipe for what the path holds."""
    if (path / "train" / "pos").is_dir():
        return _merged(_read(CONFIGS / "imdb.yaml"), {"data": {"path": path}})
    if registry.find(registry.DATASETS, "conll2003").fits(path):
        return _merged(_read(CONFIGS / "conll2003.yaml"), {"data": {"path": path}})
    if registry.find(registry.DATASETS, "table").fits(path):
        return _merged(_read(CONFIGS / "table.yaml"), {"data": {"path": path}})
    raise ConfigError(
        f"'{path}' holds no data that a standard recipe fits",
        fix="give a table (.csv, .tsv, .json, .jsonl, .parquet, .xlsx, compressed or not) with a text and a label "
        "column, a folder with train.csv (and validation.csv, test.csv) or one folder per class, or words and tags in "
        f"columns (train.txt); texts without labels make a language model: lstmcli train lm --data {path}",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the recipe is not valid YAML", where=f"{path}: {error}", fix="correct the line that it names"
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError("a recipe is a table of sections", where=str(path), fix="for example  train: {epochs: 5}")
    if BASE not in values:
        return values
    base = str(values.pop(BASE))
    if base not in listed():
        now = _merged_into(base).partition(" --")[0].rpartition(" ")[2]
        fix = (
            f"now: {BASE}: {now}, and learner: {{name: {base.partition('-')[2]}}}"
            if now
            else did_you_mean(base, listed())
        )
        raise ConfigError(f"there is no recipe '{base}' to build on", where=f"{path}: {BASE}", fix=fix)
    return _merged(_read(CONFIGS / f"{base}.yaml"), values)


def _merged(base: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """The base with the keys of the recipe, section by section; another ``name`` replaces a whole section."""
    merged = base | recipe
    for section, values in recipe.items():
        before = base.get(section)
        if isinstance(values, dict) and isinstance(before, dict):
            name = before.get("name", DEFAULTS.get(section))
            merged[section] = before | values if values.get("name", name) == name else values
    return merged


def _parsed(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"'{override}' is not key=value", where=f"--set {override}", fix="for example --set train.lr=0.001"
        )
    if len(text) == 1 and not text.isalnum():  # a delimiter: to YAML |, ~ and # are no text
        return key.strip(), text
    try:
        return key.strip(), yaml.safe_load(text)
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
