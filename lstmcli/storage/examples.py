"""The examples of a recipe. Runs before torch is loaded, so that mistakes in the data are reported at once."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import platformdirs

from lstmcli import registry
from lstmcli.config import Data, RunConfig
from lstmcli.config.fields import kinds
from lstmcli.contracts import ReaderHooks, TaskHooks, hooks
from lstmcli.data import embeddings, labels, sources
from lstmcli.data.batches import sampling
from lstmcli.data.batches.check import listed
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.embeddings import Sentences
from lstmcli.errors import ConfigError, DataError, counted, verb
from lstmcli.events import Listener, Noted, Progress, noted_once, silent
from lstmcli.storage import data_option, validation_split
from lstmcli.types import Example, Rows

SHOWN = 5  # bad rows listed one by one
UNLABELLED = "unlabelled"  # the part without labels
SENTENCES = "sentences"  # the part with a teacher's embeddings
NOWHERE = Path(os.devnull) / "cache"  # where there is no cache folder: nothing is in it, nothing can be written
OLD = 1000  # examples of the old data that adaptation is checked on


@dataclass(frozen=True)
class Inputs:
    """Examples of each part; test and unlabelled may be empty."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    unlabelled: Sequence[Example] = field(default_factory=list)  # to learn from too
    sentences: Sentences = field(default_factory=Sentences)

    @property
    def learned(self) -> Sequence[Example]:
        """All texts to learn from."""
        more = [*self.unlabelled, *self.sentences.examples]
        return [*self.train, *more] if more else self.train

    @property
    def parts(self) -> dict[str, Sequence[Example]]:
        named = {"train": self.train, UNLABELLED: self.unlabelled, "validation": self.validation, "test": self.test}
        return {name: part for name, part in named.items() if part}


def cache_folder() -> Path | None:
    """Return the user's cache folder; None where the system names none, or it may not be entered."""
    try:
        found = Path(platformdirs.user_cache_dir("lstmcli"))
        found.exists()  # fails where it may not be entered
    except (OSError, RuntimeError):  # a user without a home
        return None
    return found if found.is_absolute() else None


def root_of(data: Data) -> Path:
    """Return the file or folder that holds the data set. Raises DataError where none does."""
    return _located(data, fetch=True)


def _located(data: Data, *, fetch: bool) -> Path:
    reader = registry.reader(data.name)
    has = hooks(ReaderHooks, reader)
    cache = cache_folder() or NOWHERE
    return sources.locate(data.name, path=data.path, bundled=has.BUNDLED, hub=reader.HUB, cache=cache, fetch=fetch,
                          spans=has.SPANS, needs_path=data.name in registry.LAYOUTS)  # fmt: skip


def splits(data: Data) -> tuple[str, ...]:
    """Return the splits that the data set has."""
    return registry.reader(data.name).splits(root_of(data))


def split(data: Data, name: str, *, optional: bool = False, listener: Listener = silent) -> Sequence[Example]:
    """Return the examples of one split; rows that were skipped are noted. optional: the split may lack the chosen
    domains.

    Raises:
        DataError: nothing usable, or bad rows where the recipe has ``bad_rows: stop``.
    """
    examples = _usable(data, name, listener)
    if not examples and not (optional and data.domains):
        raise data_option.no_examples(data, name, root_of(data))
    return examples


def _usable(data: Data, name: str, listener: Listener) -> Sequence[Example]:
    return _good(_found(data, name, listener), data, name, listener)


def _found(data: Data, name: str, listener: Listener) -> Rows:
    listener(Progress(f"reading {name}"))
    return registry.reader(data.name).read(root_of(data), name, data)


def rows_of(data: Data, name: str, *, listener: Listener = silent) -> Rows:
    """Return what the reader finds in a split, with the labels mapped as in ``data``. Raises DataError as the
    reader."""
    rows = _found(data, name, listener)
    return replace(rows, examples=_mapped(rows.examples, data, name, listener)) if data.label_map else rows


def _good(rows: Rows, data: Data, name: str, listener: Listener) -> Sequence[Example]:
    if rows.bad:
        listed = "\n".join(f"{where}: {what}" for where, what in rows.bad[:SHOWN])
        more = f"\nand {len(rows.bad) - SHOWN} more" if len(rows.bad) > SHOWN else ""
        if data.bad_rows == "stop":
            raise data_option.bad_rows(rows, data, listed + more)
        listener(Noted(f"{name}: {counted(len(rows.bad), 'row')} skipped:\n{listed}{more}"))
    for note in rows.notes:
        listener(Noted(note))
    return _mapped(rows.examples, data, name, listener) if data.label_map else rows.examples


def _mapped(examples: Sequence[Example], data: Data, name: str, listener: Listener) -> Sequence[Example]:
    """Return the examples with their labels mapped as in the recipe."""
    present = labels.found(examples)
    labels.check_used(data.label_map, present)
    if present and not data.label_map.keys() & set(present):
        listener(Noted(f"{name}: the data has none of the labels to map: {', '.join(data.label_map)}"))
    return labels.renamed(examples, data.label_map)


def read(config: RunConfig, *, listener: Listener = silent) -> Inputs:
    """All parts that training looks at; validation is held out of train where the data set has none.

    Raises:
        DataError: as ``split``; or too few examples to hold any out.
    """
    listener = noted_once(listener)
    train, validation = _held_out(config, listener)
    labels.check_weights(config.train.class_weights, labels.found(train))
    test: Sequence[Example] = []
    if "test" in splits(config.data):
        test = split(config.data, "test", optional=True, listener=listener)
    more: Sequence[Example] = []
    if config.train.unlabelled:
        more = _unlabelled(config, [*train, *validation, *test], listener)
    if config.data.limit is not None and config.data.limit < len(train):
        _, train = sampling.stratified(train, len(train) - config.data.limit, seed=config.seed)
    sentences = Sentences()
    if config.train.embeddings is not None:
        listener(Progress("reading the teacher's embeddings"))
        sentences = embeddings.read(config.train.embeddings)
    return Inputs(train, validation, test, more, sentences)


def _check_model(config: RunConfig, train: Sequence[Example]) -> None:
    """Raise ConfigError where the model does not learn from such examples; a language model does from all."""
    needed = "stream" if (target := train[0].target) in (None, "") else "words" if isinstance(target, tuple) else "text"
    if registry.task(config.task).READS in (needed, "stream"):
        return
    what = {"words": "a tag for each word", "text": "labels of whole texts", "stream": "no labels"}[needed]
    models = kinds(RunConfig.model_fields["model"].annotation)
    tasks = {name: registry.task(getattr(model, "task", "")) for name, model in models.items()}
    of_one = {name: task.READS for name, task in tasks.items() if not hooks(TaskHooks, task).LABEL_SETS}
    fix = " or ".join(f"--set model.name={name}" for name, reads in of_one.items() if reads == needed)
    where = f"model.name={config.model.name}, data.name={config.data.name}"
    raise ConfigError(f"the data has {what}, which the model does not learn from", where=where, fix=fix)


def _held_out(config: RunConfig, listener: Listener) -> tuple[Sequence[Example], Sequence[Example]]:
    """Return what is learned from, and what is held out of it for validation where the data set has no such split."""
    found = splits(config.data)
    train = split(config.data, "train", listener=listener)
    _check_model(config, train)
    if registry.task(config.task).READS == "stream":
        train = _for_stream(config.data, train, found, listener)
    where = str(root_of(config.data))
    validation = split(config.data, "validation", optional=True, listener=listener) if "validation" in found else []
    if not validation:
        return validation_split.hold_out(config, train, where, listener=listener)
    validation_split.check_classes(config, train, validation, where)
    validation_split.note_learned(config, validation, listener)
    return train, validation


def _for_stream(data: Data, train: Sequence[Example], found: Sequence[str], listener: Listener) -> list[Example]:
    """Return the training texts and those without labels, each once, without texts that are scored; labels are
    dropped."""
    more = _without_labels(data, listener)
    if not more:
        return [replace(example, target=None) for example in train]
    scored: list[Example] = []
    for name in ("validation", "test"):
        scored += split(data, name, listener=listener) if name in found else []
    kept = _apart([*train, *more], scored)
    left = len(train) + len(more) - len(kept)
    what = "repeat another, or are in validation or test: left out"
    listener(Noted(f"{len(more):,} unlabelled texts are read too; {left:,} {what}"))
    return kept


def _unlabelled(config: RunConfig, labelled: Sequence[Example], listener: Listener) -> list[Example]:
    """Return the texts without labels, each once and none that also has one. Raise ConfigError where there are none,
    though the recipe names some, or a teacher."""
    data = config.data
    more = _without_labels(data, listener)
    has_part = hooks(ReaderHooks, registry.reader(data.name)).UNLABELLED is not None  # its copy here lacks it
    if not more and data.unlabelled is None and (has_part or not isinstance(config.train.teacher, Path)):
        listener(Noted("no unlabelled texts: the labels alone are learned; more epochs may help: --set train.epochs=3"))
        return []
    kept = _apart(more, labelled)
    if not kept:
        found = f"all {len(more)} found have a label too" if more else "none found"
        what = f"no unlabelled texts to learn from: {found}"
        fix = "name more: --set data.unlabelled=FILE; or train without them: --set train.teacher=none"
        raise ConfigError(what, where=f"data.unlabelled: {data.unlabelled or 'none'}", fix=fix)
    if left := len(more) - len(kept):
        what = f"{verb(left, 'repeat')} another, or {verb(left, 'have')} a label too: left out"
        listener(Noted(f"unlabelled: {counted(left, 'text')} {what}"))
    return kept


def _without_labels(data: Data, listener: Listener) -> list[Example]:
    """Return the texts without labels that the data set has, and those that the recipe names."""
    part = hooks(ReaderHooks, registry.reader(data.name)).UNLABELLED
    found: list[Example] = []
    if part is not None:
        found += _usable(data, part, listener)
        if not found:
            listener(Noted(f"the unlabelled texts of {data.name} were not found"))
    if data.unlabelled is not None:
        listener(Progress("reading unlabelled texts"))
        rows: Rows = registry.find(registry.DATASETS, "texts").read_files([data.unlabelled], data)
        found += _good(rows, data, str(data.unlabelled), listener)
    return found


def _apart(examples: Sequence[Example], others: Sequence[Example]) -> list[Example]:
    """Return the texts, each once and none of the others'; labels are dropped."""
    known = {example.text for example in others}
    once = {example.text: example for example in examples}
    return [replace(example, target=None) for text, example in once.items() if text not in known]


def to_score(
    data: Data, requested: str | None, config: RunConfig, learned: Ints | None = None, *, listener: Listener = silent
) -> tuple[str, Sequence[Example]]:
    """Return the split to score a model on, by name: the one requested, else the first of test, validation and train.

    config: the model's; of its own training data, the part held out of train counts as validation. learned: hashes of
    the texts that the model has learned.

    Raises:
        DataError: there is no such split.
    """
    found = splits(data)
    same = all(getattr(data, key) == getattr(config.data, key) for key in ("name", "path", "domains"))
    held_out = same and "validation" not in found
    known = (*found, "validation") if held_out else found
    names = [name for name in ("test", "validation", "train") if name in known] or ["test"]
    for name in [requested] if requested else names:
        if name == "validation" and held_out:
            drawn = _held_out(config.model_copy(update={"data": data}), listener)
            examples = validation_split.not_learned(*drawn, learned)
        else:
            examples = split(data, name, optional=requested is None, listener=listener)
        if examples:
            return name, examples
    raise data_option.no_examples(data, names[-1], root_of(data))


def check_labels(examples: Sequence[Example], known: Sequence[str]) -> None:
    """Raise ConfigError where the training data of a model has none of the labels that it was adapted to."""
    if not any(set(sampling.labels(example)) & set(known) for example in examples):
        what = "the model was adapted to other labels than those of the data that it was trained on"
        raise ConfigError(what, where=f"labels: {listed(known)}", fix="name data with these labels: --data FILE")


def supports(data: Data, *, listener: Listener = silent) -> Sequence[Example]:
    """Return the texts to learn from that the data set fixes for its tasks; none where it fixes none."""
    return split(data, "support", listener=listener) if "support" in splits(data) else []


def everything(data: Data, *, listener: Listener = silent) -> Sequence[Example]:
    """Return the examples of all splits together."""
    examples: list[Example] = []
    listener = noted_once(listener)
    for name in splits(data):
        examples += split(data, name, optional=True, listener=listener)
    return examples or split(data, "train", listener=listener)


def old(config: RunConfig, learned: Ints | None, *, listener: Listener = silent) -> Sequence[Example]:
    """Return up to 1,000 held-out examples of what a model was trained on; none where that is not found."""
    try:
        _located(config.data, fetch=False)
        _, examples = to_score(config.data, None, config, learned, listener=listener)
    except (DataError, OSError):
        return []
    return examples if len(examples) <= OLD else sampling.stratified(examples, OLD, seed=config.seed)[0]
