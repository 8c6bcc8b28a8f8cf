"""Find and read recipes: a shipped one by its name, a YAML file, or the standard recipe for data.

With ``base: NAME`` a recipe inherits the keys of a shipped recipe that it does not set itself; a section with another
``name`` inherits nothing.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.config.fields import kinds
from lstmcli.errors import ConfigError, did_you_mean, near_path, of_system
from lstmcli.recipes import plain_yaml

BASE = "base"
MERGED = {  # by data set: settings of former recipes such as banking77-lstm-optimizer beside the learner
    "arsc": "--set learner.lr=0.05",
    "banking77": "--set learner.head_init=prototypes --set learner.steps=3 --set learner.lr=0.01",
    "clinc150": "--set learner.head_init=prototypes --set learner.steps=3 --set learner.lr=0.01",
}
STEPPING = ("lstm-optimizer", "meta-lstm")
DEFAULTS = {  # names of sections that have one
    section: field.default.name for section, field in RunConfig.model_fields.items() if hasattr(field.default, "name")
}
_HERE = Path(__file__).parent.parent
CONFIGS = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"  # wheel, or checkout


def listed() -> dict[str, str]:
    """Every shipped recipe by name, with the first line of its comment."""
    paths = sorted(CONFIGS.glob("*.yaml"), key=lambda path: path.stem)
    return {path.stem: path.read_text("utf-8").splitlines()[0].lstrip("# ") for path in paths}


def task_of(values: dict[str, Any]) -> str:
    """Return what the recipe's model is trained for; empty where its name is wrong."""
    model = values.get("model")
    models = kinds(RunConfig.model_fields["model"].annotation)
    named = models.get(str(model.get("name", DEFAULTS["model"]))) if isinstance(model, dict) else None
    return str(getattr(named, "task", ""))


def find(recipe: str) -> tuple[dict[str, Any], str]:
    """Return the keys of the recipe, and where they are from. Raises ConfigError where there is none of that name."""
    recipe = registry.ALIASES.get(recipe, recipe)
    if recipe in listed():
        return read(CONFIGS / f"{recipe}.yaml"), f"configs/{recipe}.yaml"
    path = Path(recipe)
    try:
        if path.suffix in (".yaml", ".yml") and path.is_file():
            return read(path), recipe
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
    """Return the command for a recipe of earlier versions that was a data set and a learner; else empty."""
    data, _, learner = recipe.partition("-")
    if data not in MERGED or learner not in registry.LEARNERS:
        return ""
    settings = f" {MERGED[data]}" if learner in STEPPING else ""
    return f"lstmcli train {data}-maml --learner {learner}{settings}"


def _not_found(recipe: str) -> ConfigError:
    """Return the error for what is neither a recipe's name nor a path; near names are proposed."""
    path = Path(recipe)
    if path.suffix or path.name != recipe:  # no recipe's name has either
        where = recipe if path.parent.is_dir() else f"{recipe}: there is no folder {path.parent}"
        return ConfigError("there is no such file or folder", where=where, fix=near_path(path) or "check the path")
    near = get_close_matches(recipe, listed(), n=1)
    also = f"did you mean '{near[0]}'?" if near else near_path(path)
    fix = "the recipes: lstmcli train; or give the path of a recipe (.yaml) or of your own data (.csv …)"
    return ConfigError(f"there is no recipe, recipe file or data at '{recipe}'", fix=f"{also}\n{fix}".lstrip())


def _for_data(path: Path) -> dict[str, Any]:
    """Return the standard recipe for what the path holds."""
    if (path / "train" / "pos").is_dir():
        return _merged(read(CONFIGS / "imdb.yaml"), {"data": {"path": path}})
    if registry.find(registry.DATASETS, "conll2003").fits(path):
        return _merged(read(CONFIGS / "conll2003.yaml"), {"data": {"path": path}})
    if registry.find(registry.DATASETS, "table").fits(path):
        return _merged(read(CONFIGS / "table.yaml"), {"data": {"path": path}})
    raise ConfigError(
        f"'{path}' holds no data that a standard recipe fits",
        fix="give a table (.csv, .tsv, .json, .jsonl, .parquet, .xlsx, compressed or not) with a text and a label "
        "column, a folder with train.csv (and validation.csv, test.csv) or one folder per class, or words and tags in "
        f"columns (train.txt); texts without labels make a language model: lstmcli train lm --data {path}",
    )


def read(path: Path) -> dict[str, Any]:
    """Return the keys of a recipe file, with those of its base. Raises ConfigError where it is not one."""
    try:
        values = plain_yaml.load(path.read_text("utf-8"))
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
    return _merged(read(CONFIGS / f"{base}.yaml"), values)


def _merged(base: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the base with the keys of the recipe, section by section; another ``name`` replaces a whole section."""
    merged = base | recipe
    for section, values in recipe.items():
        before = base.get(section)
        if isinstance(values, dict) and isinstance(before, dict):
            name = before.get("name", DEFAULTS.get(section))
            merged[section] = before | values if values.get("name", name) == name else values
    return merged
