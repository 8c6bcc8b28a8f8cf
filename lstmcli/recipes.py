"""From what the user types to a RunConfig: a recipe's name, a YAML file, or data of their own.

A recipe opens with comment lines; the first says in a line what it is for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lstmcli.config import RunConfig, validated
from lstmcli.errors import ConfigError, did_you_mean

ALIASES: dict[str, str] = {}  # other names by which recipes go
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
_HERE = Path(__file__).parent
CONFIGS = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"  # wheel, or checkout


def listed() -> dict[str, str]:
    """Every shipped recipe by name, with the first line of its comment."""
    return {path.stem: path.read_text("utf-8").splitlines()[0].lstrip("# ") for path in sorted(CONFIGS.glob("*.yaml"))}


def load(recipe: str, *, overrides: Sequence[str] = ()) -> RunConfig:
    """The recipe with the overrides applied in their order, so that the last wins.

    Raises:
        ConfigError: the recipe is not to be found, or it or an override is wrong.
    """
    values, where = _find(recipe)
    return _overridden(values, overrides, where)


def adjusted(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """The config with the overrides applied. Raises ConfigError where one is wrong."""
    return _overridden(config.model_dump(), overrides, "the checkpoint's recipe")


def _overridden(values: dict[str, Any], overrides: Sequence[str], where: str) -> RunConfig:
    keys = []
    for override in overrides:
        key, value = _parsed(override)
        _set(values, key, value, override)
        keys.append(key)
    return validated(values, where=where, overridden=keys)


def _find(recipe: str) -> tuple[dict[str, Any], str]:
    shipped = CONFIGS / f"{ALIASES.get(recipe, recipe)}.yaml"
    if shipped.parent == CONFIGS and shipped.is_file():
        return _read(shipped), f"configs/{shipped.name}"
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return _read(path), recipe
    if path.is_dir() or path.is_file():
        return _for_data(path), "the standard recipe"
    raise ConfigError(
        f"there is no recipe, recipe file or data at '{recipe}'",
        fix=did_you_mean(recipe, listed()) + "\nor give the path of a recipe (.yaml) or of your own data (.csv …)",
    )


def _for_data(path: Path) -> dict[str, Any]:
    """The standard recipe for what the path holds."""
    if (path / "train" / "pos").is_dir():
        return _read(CONFIGS / "imdb.yaml") | {"data": {"name": "imdb", "path": path}}
    if path.suffix in TABLES or any((path / f"train{ending}").is_file() for ending in TABLES):
        values = _read(CONFIGS / "table.yaml")
        values["data"] = {**values.get("data", {}), "path": path}
        return values
    raise ConfigError(
        f"'{path}' holds no data that a standard recipe fits",
        fix=f"give a table ({', '.join(TABLES)}) with a text and a label column, a folder with train.csv (and "
        "validation.csv, test.csv), or the aclImdb folder",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the recipe is not valid YAML", where=f"{path}: {error}", fix="mend the line named"
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError("a recipe is a table of sections", where=str(path), fix="for example  train: {epochs: 5}")
    return values


def _parsed(override: str) -> tuple[str, Any]:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"'{override}' is not key=value", where=f"--set {override}", fix="for example --set train.lr=0.001"
        )
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
