"""Which data a command means, and how to name it to the user. Runs before torch is loaded."""

from collections.abc import Sequence
from pathlib import Path

from lstmcli import registry
from lstmcli.config import Data, RunConfig
from lstmcli.errors import ConfigError, did_you_mean
from lstmcli.types import Option


def named(text: str | None, config: RunConfig, columns: Sequence[Option] = ()) -> Data:
    """The data that ``--data`` names; none: the data that the model was trained on.

    text: NAME or NAME:DOMAIN of a known data set, also where a file has that name, or a PATH, read as the model's own
    data set where it has its layout, else as a table, by a language model as texts. config: the model's.

    Raises:
        ConfigError: the data set has no such domain.
    """
    data = config.data
    if text is not None:
        name, colon, domain = text.partition(":")
        name = registry.ALIASES.get(name, name)
        if name in registry.DATASETS and name not in registry.LAYOUTS:
            known = getattr(registry.find(registry.DATASETS, name), "DOMAINS", ())
            if colon and domain not in known:
                fix = did_you_mean(domain, known) if known else f"--data {name}"
                raise ConfigError(f"'{name}' has no domain '{domain}'", where=f"--data {text}", fix=fix)
            data = Data(name=name, domains=(domain,) if colon else ())
        elif Path(text).absolute() != data.path:
            other = "texts" if config.task == "model_language" else "table"
            own = data.name != other and registry.find(registry.DATASETS, data.name).splits(Path(text))
            data = Data(name=data.name if own else other, path=Path(text))
    return data.model_copy(update={option.key: option.value for option in columns})


def unseen_domain(data: Data) -> Data:
    """A domain of the bundled reviews that a model of this data has not learned from; of names, the bundled ones."""
    if data.name in ("conll2003", "entities"):
        return Data(name="entities")
    reviews = registry.find(registry.DATASETS, "reviews")
    seen = {"imdb": ("films",), "reviews": data.domains or reviews.DOMAINS}.get(data.name, ())
    domain = next((domain for domain in reversed(reviews.DOMAINS) if domain not in seen), reviews.DOMAINS[-1])
    return Data(name="reviews", domains=(domain,))


def title(data: Data) -> str:
    """How to name the data to the user: as ``--data`` would."""
    return str(data.path) if data.path else ":".join([data.name, *(data.domains if len(data.domains) == 1 else ())])
