"""From plain values to a RunConfig, or to errors that say which field is wrong and how to mend it."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lstmcli.config import RunConfig
from lstmcli.errors import ConfigError, did_you_mean

UNFIT = {  # by task: what it leaves unread
    "tag": {
        "train.crop": "is for texts with labels: a tag belongs to its word",
        "train.teacher": "is for texts with labels",
        "train.virtual": "is for labels of whole texts",
        "train.entropy": "is for labels of whole texts",
        "data.unlabelled": "are texts for a classifier or a language model",
    },
    "model_language": {
        "train.crop": "is for texts with labels: running text is read in windows, train.window",
        "train.adversarial": "is for texts with labels",
        "train.teacher": "is for texts with labels",
        "train.virtual": "is for labels of whole texts",
        "train.entropy": "is for labels of whole texts",
        "episodes": "are drawn of texts with labels",
    },
}


def validated(values: dict[str, Any], *, where: str, options: Mapping[str, str] | None = None) -> RunConfig:
    """A RunConfig, or every problem of the values in one error.

    where: the recipe; options: by field, the option that set it.

    Raises:
        ConfigError: names each wrong field with its origin and the remedy.
    """
    try:
        return _fitting(RunConfig.model_validate(values), where)
    except ValidationError as error:
        problems = [_problem(detail, where, options or {}) for detail in error.errors()]
    if len(problems) == 1:
        raise problems[0]
    listed = [f"• {problem.where}: {problem.what}; {problem.fix}" for problem in problems]
    raise ConfigError(f"{len(problems)} problems in the recipe", where="\n".join(listed))


def _fitting(config: RunConfig, where: str) -> RunConfig:
    """The config, if its task, model and tokens belong together."""
    for key, why in UNFIT.get(config.task, {}).items():
        section, _, name = key.rpartition(".")
        if getattr(getattr(config, section) if section else config, name) is not None:
            raise ConfigError(f"{key} {why}", where=where, fix=f"leave it out: --set {key}=none")
    if config.data.unlabelled is not None and config.task == "classify" and not config.train.unlabelled:
        what = "data.unlabelled: nothing in the recipe learns from texts without labels"
        fix = "--set train.teacher=linear, or a model.pt; or leave them out: --set data.unlabelled=none"
        raise ConfigError(what, where=where, fix=fix)
    softmax = getattr(config.model, "softmax", "full")
    if config.tokens.kind == "bpe" and softmax != "full":
        what = f"model.softmax '{softmax}' goes by words' ranks, which pieces of words (tokens.kind 'bpe') do not have"
        raise ConfigError(what, where=where, fix="--set model.softmax=full")
    models = _kinds(RunConfig.model_fields["model"].annotation)
    fits = {
        "model.name": [name for name, section in models.items() if getattr(section, "task", "") == config.task],
        "tokens.kind": ["given"] if config.task == "tag" else ["words", "bpe", "spaces"],
    }
    for key, found in (("model.name", config.model.name), ("tokens.kind", config.tokens.kind)):
        if found not in fits[key]:
            what = f"{key} is '{found}', which does not fit the task '{config.task}'"
            raise ConfigError(what, where=where, fix=f"--set {key}={fits[key][0]}")
    return config


def _problem(detail: ErrorDetails, where: str, options: Mapping[str, str]) -> ConfigError:
    path, section, field = _look_up([str(part) for part in detail["loc"]])
    key = ".".join(path)
    option = options.get(key, f"--set {key}=")
    origin = f"{option}{'' if option.endswith('=') else ' '}{detail['input']}" if key in options else f"{where}: {key}"
    if detail["type"] == "union_tag_invalid":
        name, known = str(detail["input"]["name"]), list(_kinds(field.annotation))
        return ConfigError(f"'{name}' is not a {key}", where=f"{where}: {key}.name", fix=f"{did_you_mean(name, known)}")
    if detail["type"] == "extra_forbidden":
        return ConfigError(f"unknown key '{path[-1]}'", where=origin, fix=did_you_mean(path[-1], section))
    if detail["type"] == "literal_error" and field is not None:
        choices = [str(choice) for choice in get_args(field.annotation)]
        fix = f"{did_you_mean(str(detail['input']), choices)}; for example {_typed(option, choices[0])}"
        return ConfigError(f"'{detail['input']}' is not allowed", where=origin, fix=fix)
    if detail["type"] == "string_pattern_mismatch" and field is not None:
        return ConfigError(f"'{detail['input']}' is not allowed", where=origin, fix=f"give {field.description}")
    if detail["type"] in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        signs = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
        bounds = [(sign, getattr(part, name, None)) for part in field.metadata for name, sign in signs.items()]
        limits = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)
        return ConfigError(
            f"{detail['input']} is out of range", where=origin, fix=f"give {limits}{_example(option, field)}"
        )
    what = detail["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    return ConfigError(
        f"'{detail['input']}' {what}", where=origin, fix=f"give a value that fits{_example(option, field)}"
    )


def _look_up(place: list[str]) -> tuple[list[str], list[str], Any]:
    """Of the place of an error: the path as a user types it, the keys of its section, and its field if there is one.

    The place also names which of several kinds of section is meant, the path does not.
    """
    model: type[BaseModel] = RunConfig
    path: list[str] = []
    field = None
    kinds: dict[str, type[BaseModel]] = {}
    for part in place:
        if part in kinds:
            model, kinds = kinds[part], {}
            continue
        if kinds:
            model, kinds = next(iter(kinds.values())), {}
        path.append(part)
        field = model.model_fields.get(part)
        kinds = {} if field is None else _kinds(field.annotation)
    return path, list(model.model_fields), field


def _kinds(annotation: Any) -> dict[str, type[BaseModel]]:
    """The sections that a field may hold, by name."""
    found = (getattr(part, "__origin__", part) for part in (annotation, *get_args(annotation)))
    sections = [part for part in found if isinstance(part, type) and issubclass(part, BaseModel)]
    return {str(section.model_fields["name"].default) if "name" in section.model_fields else "": section
            for section in sections}  # fmt: skip


def _example(option: str, field: Any) -> str:
    return "" if field is None or field.default is None else f", for example {_typed(option, field.default)}"


def _typed(option: str, value: object) -> str:
    return f"{option}{value}" if option.endswith("=") else f"{option} {value}"
