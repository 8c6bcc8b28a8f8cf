"""The examples that a recipe asks for. Runs before torch is loaded: mistakes in the data cost no waiting."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from lstmcli import registry
from lstmcli.config import Data, RunConfig
from lstmcli.data import sampling, sources
from lstmcli.errors import DataError
from lstmcli.types import Example, Progress, Rows, Work

SHOWN = 5  # bad rows listed one by one
OLD = 1000  # examples of the old data that adaptation is checked on


@dataclass(frozen=True)
class Inputs:
    """Examples of each part, where they were found, and what the user should be told."""

    train: list[Example]
    validation: list[Example]
    test: list[Example]
    root: Path
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, list[Example]]:
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in named.items() if part}


def cache_folder() -> Path:
    return Path(platformdirs.user_cache_dir("lstmcli"))


def root_of(data: Data) -> Path:
    """The file or folder that holds the data set. Raises DataError where none does."""
    reader = registry.find(registry.DATASETS, data.name)
    bundled = getattr(reader, "BUNDLED", None)
    return sources.locate(data.name, path=data.path, bundled=bundled, hub=reader.HUB, cache=cache_folder())


def named(text: str | None, data: Data) -> Data:
    """The data that ``--data`` names: NAME or NAME:DOMAIN of a known data set, or a PATH; none: the data as it was."""
    if text is None:
        return data
    name, colon, domain = text.partition(":")
    if name in registry.DATASETS and name != "table" and not Path(name).exists():
        return data.model_copy(update={"name": name, "path": None, "domains": (domain,) if colon else ()})
    return data.model_copy(update={"name": "table", "path": Path(text), "domains": ()})


def unseen_domain(data: Data) -> Data:
    """A domain of the bundled reviews that a model of this data has not learned from."""
    reviews = registry.find(registry.DATASETS, "reviews")
    seen = set(data.domains) if data.name == "reviews" else {"films"} if data.name == "imdb" else set()
    domain = next((domain for domain in reversed(reviews.DOMAINS) if domain not in seen), reviews.DOMAINS[-1])
    return Data(name="reviews", domains=(domain,))


def title(data: Data) -> str:
    """How to name the data to the user: as ``--data`` would."""
    return str(data.path) if data.path else ":".join([data.name, *(data.domains if len(data.domains) == 1 else ())])


def splits(data: Data) -> tuple[str, ...]:
    """The splits that the data set has."""
    found: tuple[str, ...] = registry.find(registry.DATASETS, data.name).splits(root_of(data))
    return found


def split(data: Data, name: str) -> Work[tuple[list[Example], list[str]]]:
    """The examples of one split, and notes on rows that were skipped.

    Raises:
        DataError: nothing usable, or bad rows where the recipe says stop.
    """
    root = root_of(data)
    yield Progress(f"reading {name}")
    rows: Rows = registry.find(registry.DATASETS, data.name).read(root, name, data)
    notes = []
    if rows.bad:
        listed = "\n".join(f"{where}: {what}" for where, what in rows.bad[:SHOWN])
        more = f"\nand {len(rows.bad) - SHOWN} more" if len(rows.bad) > SHOWN else ""
        if data.bad_rows == "stop":
            fix = "mend the rows, or leave them out: --set data.bad_rows=skip"
            raise DataError(f"{len(rows.bad)} rows cannot be used", where=listed + more, fix=fix)
        notes.append(f"{name}: {len(rows.bad)} rows skipped:\n{listed}{more}")
    if not rows.examples:
        where = f"{root} ({name})" + (f", domains {', '.join(data.domains)}" if data.domains else "")
        raise DataError("no examples", where=where, fix="give a file with at least one row of text and label")
    return rows.examples, notes


def read(config: RunConfig) -> Work[Inputs]:
    """All parts that training looks at; validation is held out of train where the data set has none.

    Raises:
        DataError: as ``split``; or too few examples to hold any out.
    """
    found = splits(config.data)
    train, notes = yield from split(config.data, "train")
    validation: Sequence[Example] = ()
    if "validation" in found:
        validation, more = yield from split(config.data, "validation")
        notes += more
    else:
        count = round(config.data.validation * len(train))
        if count < 2:
            raise DataError(
                f"{len(train)} examples are too few to hold {config.data.validation:.0%} out for validation",
                where=str(root_of(config.data)),
                fix="give more examples, or a larger part: --set data.validation=0.3",
            )
        validation, train = sampling.stratified(train, count, seed=config.seed)
    test: Sequence[Example] = ()
    if "test" in found:
        test, more = yield from split(config.data, "test")
        notes += more
    if config.data.limit is not None and config.data.limit < len(train):
        train, _ = sampling.stratified(train, config.data.limit, seed=config.seed)
    return Inputs(list(train), list(validation), list(test), root_of(config.data), tuple(notes))


def to_score(data: Data, wanted: str | None, config: RunConfig, *, own: bool) -> Work[tuple[str, list[Example]]]:
    """The split to score a model on, by name: the one wanted, else test, else what there is.

    own: the model was trained on this data; what was held out of its train then counts as validation.

    Raises:
        DataError: there is no such split.
    """
    found = splits(data)
    if own and "validation" not in found and (wanted == "validation" or (wanted is None and "test" not in found)):
        held_out = yield from read(config)
        return "validation", held_out.validation
    name = wanted or ("test" if "test" in found else found[-1] if found else "test")
    examples, _ = yield from split(data, name)
    return name, examples


def everything(data: Data) -> Work[list[Example]]:
    """The examples of all splits together."""
    examples = []
    for name in splits(data):
        part, _ = yield from split(data, name)
        examples += part
    return examples


def old(config: RunConfig) -> Work[list[Example]]:
    """Up to 1,000 held-out examples of what a model was trained on; none where that is not on this machine."""
    reader = registry.find(registry.DATASETS, config.data.name)
    bundled = getattr(reader, "BUNDLED", None)
    try:
        sources.locate(config.data.name, path=config.data.path, bundled=bundled, hub="", cache=cache_folder())
        _, examples = yield from to_score(config.data, None, config, own=True)
    except DataError:
        return []
    return examples if len(examples) <= OLD else sampling.stratified(examples, OLD, seed=config.seed)[0]
