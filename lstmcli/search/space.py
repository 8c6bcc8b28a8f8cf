"""The searched space: for each starting point the keys of a recipe, and the values that are tried. Imports no torch.

A key that the user set keeps its value, and so does one that the recipe's model does not have.
"""

from collections.abc import Collection
from typing import Any

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.contracts import TaskHooks, hooks
from lstmcli.errors import ConfigError

Settings = dict[str, Any]  # values by ``section.key``
WARM, SCRATCH = "warm", "scratch"  # from the model of ``model.init``; with random weights
START = "start"  # name of the choice between the two

SPACE: dict[str, dict[str, tuple[Any, ...]]] = {
    WARM: {
        "train.probe": (True, False),
        "train.best_by": ("score", "loss"),
        "train.lr": (0.0005, 0.001, 0.002, 0.004),
        "train.encoder_lr_scale": (0.1, 0.3, 1.0),
        "train.weight_decay": (0.01, 0.1),
        "train.adversarial_epsilon": (None, 0.5),
        "model.dropout": (0.1, 0.3, 0.5),
        "model.word_dropout": (0.0, 0.05, 0.15),
        "model.bag_of_words": (0, 256),
    },
    SCRATCH: {
        "tokens.size": (1_000, 5_000, 30_000),
        "tokens.min_count": (1, 2),
        "train.best_by": ("score", "loss"),
        "train.lr": (0.002, 0.004, 0.008),
        "train.weight_decay": (0.01, 0.1),
        "train.adversarial_epsilon": (None, 0.5),
        "model.embedding": (32, 64, 128),
        "model.hidden": (32, 64, 128),
        "model.dropout": (0.3, 0.5),
        "model.word_dropout": (0.0, 0.05, 0.15),
        "model.bag_of_words": (0, 256, 1024),
    },
}
UNEVEN: dict[str, tuple[Any, ...]] = {"train.class_weights": (None, "adjusted", "balanced")}  # where classes are uneven
FROM_SCRATCH: Settings = {
    "model.init": None,
    "model.sentence_embedding": 0,
    "train.probe": False,
    "train.encoder_lr_scale": 1.0,
    "tokens.extend": False,
}
SMALL: Settings = {"tokens.size": 5_000, "tokens.min_count": 1, "model.embedding": 64, "model.hidden": 64}
FIRST: tuple[tuple[str, Settings], ...] = (  # tried after the recipe, before the sampler chooses
    (WARM, {"train.probe": False, "train.best_by": "loss"}),
    (WARM, {"train.best_by": "loss"}),
    (SCRATCH, SMALL | {"train.lr": 0.004, "train.best_by": "loss", "model.bag_of_words": 256}),
    (WARM, {"train.probe": False, "train.best_by": "loss", "train.lr": 0.004, "train.encoder_lr_scale": 1.0,
            "model.dropout": 0.5}),
    (WARM, {"train.adversarial_epsilon": 0.5, "train.best_by": "loss"}),
    (WARM, {"train.best_by": "loss", "model.bag_of_words": 256}),
)  # fmt: skip
SIZES: tuple[tuple[str, Settings], ...] = (  # where the size is limited: from large to small
    (SCRATCH, SMALL | {"tokens.size": 30_000, "model.embedding": 128, "model.hidden": 128, "train.lr": 0.004}),
    (SCRATCH, SMALL | {"train.lr": 0.004}),
    (SCRATCH, SMALL | {"tokens.size": 1_000, "model.embedding": 32, "model.hidden": 32, "train.lr": 0.004}),
)
NONE_SMALLER = SIZES[-1]


def check(config: RunConfig) -> None:
    """Raise ConfigError where the recipe is not of one label per text: there is no space to search for it."""
    fix = "leave out --budget, or choose a recipe that labels whole texts: lstmcli train my.csv"
    task = None if config.data.name in registry.PROBLEMS else registry.task(config.task)
    if task is None or task.READS != "text" or hooks(TaskHooks, task).decide is None:
        raise ConfigError("a search is for models that label whole texts, one label each", where="--budget", fix=fix)
    if config.episodes is not None:
        what = "a search is for training on texts, not for meta-training on few-shot tasks"
        raise ConfigError(what, where="--budget", fix=fix)


def starts(config: RunConfig, pinned: Collection[str]) -> tuple[str, ...]:
    """Return the starting points. pinned: keys that the user set."""
    if config.model.init is None:
        return (SCRATCH,)
    return (WARM,) if "model.init" in pinned else (WARM, SCRATCH)


def choices(config: RunConfig, start: str, pinned: Collection[str], *, uneven: bool) -> dict[str, tuple[Any, ...]]:
    """Return the values of each searched key. pinned: keys that the user set; uneven: the classes are."""
    fixed = {*pinned, *(("model.embedding",) if config.model.vectors is not None else ())}
    return {
        key: values
        for key, values in (SPACE[start] | (UNEVEN if uneven else {})).items()
        if key not in fixed and _has(config, key)
    }


def first(config: RunConfig, pinned: Collection[str], *, limited: bool) -> list[tuple[str, Settings]]:
    """Return what is tried before the sampler chooses. limited: the size of the file is."""
    of_user, possible = {*pinned}, starts(config, pinned)
    return [
        (start, {key: value for key, value in settings.items() if key not in of_user and _has(config, key)})
        for start, settings in (SIZES if limited else FIRST)
        if start in possible
    ]


def applied(config: RunConfig, start: str, settings: Settings, pinned: Collection[str]) -> RunConfig:
    """Return the recipe with the settings; without the model that it starts from, if it is to start from scratch.

    No start and no settings: the recipe as it is given.
    """
    cold = FROM_SCRATCH if start == SCRATCH and config.model.init is not None else {}
    values = {key: value for key, value in (cold | settings).items() if key not in pinned and _has(config, key)}
    sections: dict[str, Settings] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    return config.model_copy(
        update={name: getattr(config, name).model_copy(update=changed) for name, changed in sections.items()}
    )


def _has(config: RunConfig, key: str) -> bool:
    section, _, name = key.partition(".")
    return name in type(getattr(config, section)).model_fields
