"""Which data a command means, and how to name it to the user. Runs before torch is loaded."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lstmcli import registry
from lstmcli.config import Data, RunConfig
from lstmcli.contracts import ReaderHooks, TaskHooks, hooks
from lstmcli.data import folders, labels, rows
from lstmcli.data.batches import label_names
from lstmcli.errors import ConfigError, DataError, counted, did_you_mean
from lstmcli.events import Listener, Noted, silent
from lstmcli.types import Example, Rows

COLUMNS = ("text_column", "label_column")  # fields of section data that name columns
TABLES = ("table", "texts")  # layouts of the user's own data, of any columns
SHOWN = 8  # labels that a message lists


def named(text: str | None, config: RunConfig, reading: Mapping[str, Any]) -> Data:
    """Return the data that ``--data`` names; None: the data that the model was trained on.

    reading: fields of section ``data`` that the user set. Columns that are not among them have the names that they had
    in training, where a table has these.

    text: NAME or NAME:DOMAIN of a known data set, also where a file has that name, or a PATH, read as the model's own
    data set where it has its layout, else as a table, by a language model as texts. config: the model's.

    Raises:
        ConfigError: the data set has no such domain, or no columns to name.
    """
    data = config.data
    if text is not None:
        name, colon, domain = text.partition(":")
        name = registry.ALIASES.get(name, name)
        if name in registry.DATASETS and name not in registry.LAYOUTS:
            known = hooks(ReaderHooks, registry.reader(name)).DOMAINS
            if colon and domain not in known:
                fix = did_you_mean(domain, known) if known else f"--data {name}"
                raise ConfigError(f"'{name}' has no domain '{domain}'", where=f"--data {text}", fix=fix)
            data = Data(name=name, domains=(domain,) if colon else ())
        elif Path(text).absolute() != data.path:
            other = "texts" if registry.task(config.task).READS == "stream" else "table"
            fits = data.name != other and registry.reader(data.name).splits(Path(text))
            separator = config.data.label_separator
            data = Data(name=data.name if fits else other, path=Path(text), label_separator=separator)
            data = data.model_copy(update=_remembered_in(Path(text), data, config.data, reading))
    _check_sets(data, config, reading)
    return with_reading(data, reading)


def _check_sets(data: Data, config: RunConfig, reading: Mapping[str, Any]) -> None:
    """Raise ConfigError where the model gives several labels per text and the data has one, or the reverse."""
    sets = hooks(TaskHooks, registry.task(config.task)).LABEL_SETS
    if sets and (data.name not in TABLES or reading.get("label_separator", "") is None):
        what = "the model gives a text several labels, the data has one per text"
        raise ConfigError(what, where=f"--data {title(data)}", fix="name a table: --data FILE --label-separator ','")
    if not sets and reading.get("label_separator") is not None:
        what = "--label-separator is for a model that gives a text several labels; this one does not"
        fix = "leave it out; or train one that does: lstmcli train FILE --label-separator ','"
        raise ConfigError(what, where=f"--label-separator {reading['label_separator']}", fix=fix)


def with_reading(data: Data, reading: Mapping[str, Any]) -> Data:
    """Return the data with the fields that the user set. Raises ConfigError where a data set has its own columns."""
    if data.name not in TABLES and (
        unused := [key for key in (*COLUMNS, "label_separator", "delimiter", "quote", "header") if key in reading]
    ):
        what = f"{' and '.join(map(flag, unused))} is for tables; '{data.name}' has columns of its own"
        raise ConfigError(what, where=f"--data {title(data)}", fix="leave it out, or name a table: --data FILE")
    return data.model_copy(update=dict(reading))


def flag(key: str) -> str:
    """Return the option that sets a field of section ``data``."""
    return f"--{key.replace('_', '-')}" if key in COLUMNS else f"--set data.{key}"


def _remembered_in(path: Path, data: Data, trained_on: Data, reading: Mapping[str, Any]) -> dict[str, str]:
    """As ``remembered``, of the table at the path, or of the first one in a folder."""
    if data.name not in TABLES or all(getattr(trained_on, key) == getattr(data, key) for key in COLUMNS):
        return {}
    files = [found[0] for found in folders.files(path, endings=rows.ENDINGS).values() if found[0].is_file()]
    dialect = data.model_copy(update=dict(reading))
    return next((remembered(trained_on, rows.names(file, dialect)) for file in files), {})


def remembered(trained_on: Data, names: Sequence[str]) -> dict[str, str]:
    """Return the names of columns in a model's training data, ``trained_on``, that a table with these names has too."""
    return {
        key: getattr(trained_on, key) for key in COLUMNS if _has(names, getattr(trained_on, key), getattr(Data(), key))
    }


def _has(names: Sequence[str], column: str, default: str) -> bool:
    """Return whether a table has the column, or all of several; a number means one where none has the default's
    name."""
    numbers = all(part.strip().isdecimal() for part in column.split(","))
    return bool(rows.columns(column, names)) and not (numbers and column not in names and default in names)


def check_known(reading: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise ConfigError where a label is mapped to one that the model does not have."""
    for old, new in reading.get("label_map", {}).items():
        if new not in known:
            fix = did_you_mean(new, known) if known else "leave it out: a language model has no labels"
            raise ConfigError(f"the model has no label '{new}'", where=f"--map {old}={new}", fix=fix)


def as_known(
    examples: Sequence[Example],
    known: Sequence[str],
    trained_on: Data,
    *,
    adapting: bool = False,
    listener: Listener = silent,
) -> list[Example]:
    """Return the examples, with the name that the model has for a label where that is unambiguous.

    known: the model's labels; trained_on: the model's data, whose mapping still applies; adapting: labels
    that the model does not know become new classes.
    """
    present = labels.found(examples)
    names = {
        old: new for old, new in trained_on.label_map.items() if old in present and old not in known and new in known
    }
    names = labels.folded(present, known) | names
    new = [label for label in present if label not in (*known, *names)]
    few = len(new) <= len(known) or not labels.numbers(new)  # five stars are no two classes
    if adapting and new and few and (option := labels.proposal(new, known)):
        listener(Noted(f"labels {_listed(new)} are new classes; if they mean the model's own: {option}"))
    if not names:
        return list(examples)
    listener(Noted(f"labels {_listed(names)} are read as {_listed(names.values())}"))
    return list(labels.renamed(examples, names))


def _listed(names: Iterable[str]) -> str:
    names = list(dict.fromkeys(names))
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def no_examples(data: Data, split: str, root: Path) -> DataError:
    """Return the error for a split without examples; where domains were chosen it names those that the split has."""
    where = f"{root} ({split})"
    if not data.domains:
        return DataError("no examples", where=where, fix="give a file with at least one row that can be used")
    found = registry.reader(data.name).read(root, split, data.model_copy(update={"domains": ()})).examples
    known = ", ".join(sorted({example.domain for example in found if example.domain})) or "none"
    what = f"no examples of {', '.join(data.domains)}"
    return DataError(what, where=where, fix=f"choose among the domains of this split: {known}")


def bad_rows(found: Rows, data: Data, listed: str) -> DataError:
    """Return the error for rows that cannot be used; of labels that look like several, how to read them."""
    counts = Counter(map(str, (one.target for one in found.examples)))
    several = label_names.joined(counts) if data.label_separator is None and not data.label_map else []
    fix = "; ".join([*several, "correct the rows, or leave them out: --set data.bad_rows=skip"])
    return DataError(f"{counted(len(found.bad), 'row')} cannot be used", where=listed, fix=fix)


def unseen_domain(config: RunConfig) -> Data:
    """Return a product of the bundled opinions that no model learns from by default; for a tagger, the bundled
    names."""
    if registry.task(config.task).READS == "words":
        return Data(name="entities")
    return Data(name="opinions", domains=registry.find(registry.DATASETS, "opinions").HELD_OUT[:1])


def title(data: Data) -> str:
    """How to name the data to the user: as ``--data`` would."""
    return str(data.path) if data.path else ":".join([data.name, *(data.domains if len(data.domains) == 1 else ())])
