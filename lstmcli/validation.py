"""From plain values to a RunConfig, or to errors that name each wrong field and the fix."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lstmcli import registry
from lstmcli.config import RunConfig, renamed
from lstmcli.config.fields import bounds, kinds
from lstmcli.contracts import TaskHooks, hooks
from lstmcli.errors import ConfigError, did_you_mean

SIGNS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
UNFIT = {  # by what a task reads, "sets" where a text has a set of labels: keys that have no effect on it
    "words": {
        "train.crop": "is for texts with labels: a tag belongs to its word",
        "train.teacher": "is for texts with labels",
        "train.vat_epsilon": "is for labels of whole texts",
        "train.entropy_weight": "is for labels of whole texts",
        "train.class_weights": "is for labels of whole texts",
        "data.unlabelled": "are texts for a classifier or a language model",
        "episodes": "are drawn of whole texts with labels",
    },
    "sets": {
        "train.teacher": "is for texts with one label each",
        "train.vat_epsilon": "is for texts with one label each",
        "train.entropy_weight": "is for texts with one label each",
        "train.class_weights": "is for texts with one label each; here each label gets its own threshold",
        "data.unlabelled": "are texts for a classifier or a language model",
        "episodes": "are drawn of texts with one label each",
    },
    "stream": {
        "train.min_steps": "is for texts with labels: a language model takes the steps that train.epochs gives",
        "train.crop": "is for texts with labels: a language model reads a token stream in pieces of train.bptt",
        "train.adversarial_epsilon": "is for texts with labels",
        "train.teacher": "is for texts with labels",
        "train.vat_epsilon": "is for labels of whole texts",
        "train.entropy_weight": "is for labels of whole texts",
        "train.class_weights": "is for labels of whole texts",
        "episodes": "are drawn of whole texts with labels",
    },
}


def validated(values: dict[str, Any], *, where: str, options: Mapping[str, str] | None = None) -> RunConfig:
    """Return a RunConfig, or every problem of the values in one error.

    where: the recipe; options: by field, the option that set it.

    Raises:
        ConfigError: names each wrong field with its origin and the fix.
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
    """Return the config, if its model, tokens and training belong together; of taggers the tokens are pretokenized."""
    reads = registry.task(config.task).READS
    if reads == "words" and "kind" not in config.tokens.model_fields_set:
        tokens = config.tokens.model_copy(update={"kind": "pretokenized"})
        config = config.model_copy(update={"tokens": tokens})
    sets = hooks(TaskHooks, registry.task(config.task)).LABEL_SETS
    _check_separator(config, where, sets=sets)
    for key, why in UNFIT.get("sets" if sets else reads, {}).items():
        section, _, name = key.rpartition(".")
        if getattr(getattr(config, section) if section else config, name) is not None:
            raise ConfigError(f"{key} {why}", where=where, fix=f"leave it out: --set {key}=none")
    if config.data.unlabelled is not None and reads == "text" and not config.train.unlabelled:
        what = "data.unlabelled: nothing in the recipe learns from texts without labels"
        fix = "--set train.teacher=linear, or a model.pt; or leave them out: --set data.unlabelled=none"
        raise ConfigError(what, where=where, fix=fix)
    if config.train.class_weights is not None and not (config.episodes is None and has_weights(config)):
        what = "train.class_weights is for classification of texts, not for few-shot tasks or other labels"
        raise ConfigError(what, where=where, fix="leave it out: --set train.class_weights=none")
    _check_target(config, where)
    softmax = getattr(config.model, "softmax", "full")
    if config.tokens.kind == "bpe" and softmax != "full":
        what = f"model.softmax '{softmax}' goes by words' ranks, which pieces of words (tokens.kind 'bpe') do not have"
        raise ConfigError(what, where=where, fix="--set model.softmax=full")
    fitting = ["pretokenized"] if reads == "words" else ["words", "bpe", "whitespace"]
    if config.tokens.kind not in fitting:
        what = f"tokens.kind is '{config.tokens.kind}', which does not fit the task '{config.task}'"
        raise ConfigError(what, where=where, fix=f"--set tokens.kind={fitting[0]}")
    return config


def _check_separator(config: RunConfig, where: str, *, sets: bool) -> None:
    """Raise ConfigError where labels are separated, and the model gives one per text, or the reverse."""
    if sets and config.data.label_separator is None:
        what = f"model.name={config.model.name} learns from sets of labels, and no separator is given"
        raise ConfigError(what, where=where, fix="--label-separator ','; lists need it too")
    if not sets and config.data.label_separator is not None:
        what = f"data.label_separator is for a model that gives a text several labels, not for {config.model.name}"
        raise ConfigError(what, where=where, fix="leave it out")
    if sets and config.data.name != "table":
        what = f"the texts of '{config.data.name}' have one label each: there is nothing to separate"
        raise ConfigError(
            what, where=f"{where}: data.name", fix="leave out --label-separator, or train a table of yours"
        )


def has_weights(config: RunConfig) -> bool:
    """Return whether class weights fit the task of the model."""
    return hooks(TaskHooks, registry.task(config.task)).weighted is not None


def _check_target(config: RunConfig, where: str) -> None:
    """Raise ConfigError where a target of the threshold does not fit the task, or there are two."""
    given = [key for key in ("target_precision", "target_coverage") if getattr(config.train, key) is not None]
    if given and hooks(TaskHooks, registry.task(config.task)).decide is None:
        what = f"train.{given[0]} is for classifiers of texts, whose answer is the likeliest label"
        raise ConfigError(what, where=where, fix="leave it out")
    if len(given) == 2:
        what = "a target of precision and one of coverage: one threshold cannot reach both"
        raise ConfigError(what, where=where, fix="leave out --target-precision, or --target-coverage")


def _problem(detail: ErrorDetails, where: str, options: Mapping[str, str]) -> ConfigError:
    path, section, field = _look_up([str(part) for part in detail["loc"]])
    key = ".".join(path)
    option = options.get(key, f"--set {key}=")
    origin = f"{option}{'' if option.endswith('=') else ' '}{detail['input']}" if key in options else f"{where}: {key}"
    if detail["type"] == "union_tag_invalid":
        name, known = str(detail["input"]["name"]), list(kinds(field.annotation))
        origin = _typed(option, name) if key in options else f"{where}: {key}.name"
        return ConfigError(f"'{name}' is not a {key}", where=origin, fix=did_you_mean(name, known))
    if detail["type"] == "extra_forbidden":
        return _unknown(key, detail["input"], section, origin, option if key in options else "")
    if detail["type"] == "literal_error" and (new := renamed.value_of(key, detail["input"])) != detail["input"]:
        return ConfigError(f"{key}={detail['input']} is now called {new}", where=origin, fix=_typed(option, new))
    if detail["type"] == "literal_error" and field is not None:
        choices = [str(choice) for choice in get_args(field.annotation)]
        fix = f"{did_you_mean(str(detail['input']), choices)}; for example {_typed(option, choices[0])}"
        return ConfigError(f"'{detail['input']}' is not allowed", where=origin, fix=fix)
    if detail["type"] == "string_pattern_mismatch" and field is not None:
        return ConfigError(f"'{detail['input']}' is not allowed", where=origin, fix=f"give {field.description}")
    if detail["type"] in {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}:
        limits = " and ".join(f"{SIGNS[sign]} {bound:g}" for sign, bound in bounds(field))
        return ConfigError(
            f"{detail['input']} is out of range", where=origin, fix=f"give {limits}{_example(option, field)}"
        )
    what = detail["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    return ConfigError(
        f"'{detail['input']}' {what}", where=origin, fix=f"give a value that fits{_example(option, field)}"
    )


def _unknown(key: str, value: Any, section: list[str], origin: str, option: str) -> ConfigError:
    """Return the error for a key that is not in the section; option: that set it, empty in a recipe."""
    name = key.rpartition(".")[2]
    if key == renamed.DERIVED:
        models = kinds(RunConfig.model_fields["model"].annotation)
        fitting = [name for name, model in models.items() if getattr(model, "task", "") == value] or list(models)
        fix = f"leave it out; a model that has that task: --set model.name={fitting[0]}"
        return ConfigError("task is not a key any more: the model decides it", where=origin, fix=fix)
    new = renamed.KEYS.get(key, "").rpartition(".")[2]
    if key == "learner.steps" and option and not option.startswith("--set"):
        fix = f"leave {option.strip(' =')} out, or name a learner that takes gradient steps, such as finetune"
        return ConfigError("the learner takes no gradient steps", where=origin, fix=fix)
    if new not in section:
        return ConfigError(f"unknown key '{name}'", where=origin, fix=did_you_mean(name, section))
    now = renamed.KEYS[key]
    plain = "none" if value is None else renamed.value_of(now, value)
    fix = f"{option.replace(key, now)}{plain}" if option else f"write {new}: {plain}"
    return ConfigError(f"{key} is now called {now}", where=origin, fix=fix)


def _look_up(location: list[str]) -> tuple[list[str], list[str], Any]:
    """Of the location of an error: the path as a user types it, the keys of its section, and its field if there is one.

    The location also names which of several kinds of section is meant, the path does not.
    """
    model: type[BaseModel] = RunConfig
    path: list[str] = []
    field = None
    inner: dict[str, type[BaseModel]] = {}
    for part in location:
        if part in inner:
            model, inner = inner[part], {}
            continue
        if inner:
            model, inner = next(iter(inner.values())), {}
        path.append(part)
        field = model.model_fields.get(part)
        inner = {} if field is None else kinds(field.annotation)
    return path, list(model.model_fields), field


def _example(option: str, field: Any) -> str:
    return "" if field is None or field.default is None else f", for example {_typed(option, field.default)}"


def _typed(option: str, value: object) -> str:
    return f"{option}{value}" if option.endswith("=") else f"{option} {value}"
