"""Start a run from the weights and the vocabulary of another model: ``model.init``."""

from collections.abc import Sequence

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.contracts import ModelHooks, hooks
from lstmcli.data.batches.encoded import Store
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, Noted, Progress
from lstmcli.inference import heads, new_words
from lstmcli.inference.assemble import Parts
from lstmcli.inference.episodes import draws_classes
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.training import probe
from lstmcli.types import Example

BAG = "bag_of_words"  # the option of shape that a model without one can get


def origin(config: RunConfig, labels: Sequence[str], texts: Sequence[Example]) -> Checkpoint:
    """Load the checkpoint of ``model.init``, with a head for the labels and, by the recipe, the words of the texts and
    a bag of words.

    Raises:
        CheckpointError: It does not exist.
        ConfigError: Its model has another shape.
    """
    assert config.model.init is not None
    found = checkpoints.load(config.model.init)
    context = getattr(config.model, "context", None)
    kinds = found.config.model.name, config.model.name
    shared = _hooks(config).PARENTS.get(kinds[0])
    if shared is not None and context is not None:
        what = "a run can start from a language model or use one as context, not both"
        where = f"model.init: {config.model.init}, model.context: {context}"
        raise ConfigError(what, where=where, fix="--set model.context=none, or --set model.init=none")
    if not _same_module(*kinds) and shared is None:
        what = f"a {kinds[1]} cannot begin with a {kinds[0]}"
        raise ConfigError(what, where=f"model.init: {config.model.init}", fix=f"give the model.pt of a {kinds[1]}")
    before, after = (registry.model(one.name).shape(one) for one in (found.config.model, config.model))
    bag = getattr(config.model, BAG, 0) if before.get(BAG) == 0 else 0  # dimensions to add
    if bag:
        before = before | {BAG: bag}
    differing = [key for key in (after if shared is None else shared) if before[key] != after[key]]
    if differing:
        values = {key: getattr(found.config.model, key) for key in differing}
        listed = ", ".join(f"{key} {value} (the recipe: {getattr(config.model, key)})" for key, value in values.items())
        fix = " ".join(f"--set model.{key}={value}" for key, value in values.items())
        fix = f"{fix}; or without it: --set model.init=none"
        raise ConfigError(f"the initial model has {listed}", where=f"model.init: {config.model.init}", fix=fix)
    classes = found.vocabulary.with_labels(labels).classes
    found = heads.with_labels(found, classes, alone=draws_classes(config))
    if config.tokens.extend:
        found = new_words.with_words(found, texts, min_count=config.tokens.min_count, most=config.tokens.size)
    return new_words.with_bag(found, texts, bag) if bag else found


def begin(parts: Parts, origin: Checkpoint, train: Store, listener: Listener) -> None:
    """Load the origin's weights into the model; of another kind of model, those that it inherits."""
    weights = origin.group("model")
    if not _same_module(origin.config.model.name, parts.config.model.name):
        inherited = _hooks(parts.config).inherited
        assert inherited is not None  # a model with PARENTS has one
        state = parts.model.state_dict()
        weights = {name: value for name, value in inherited(weights).items() if name in state}
    unknown = parts.model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False)
    assert not unknown.unexpected_keys
    starts = f"starts from {parts.config.model.init}"
    if parts.config.train.probe and train.targets is not None:
        listener(Progress("fitting the head"))
        seed, temperature = parts.config.seed, origin.temperature
        moved = probe.fit_head(parts, train.truncated(parts.config.tokens), seed=seed, temperature=temperature)
        starts += ", its head moved to fit the texts" if moved else ", with a new head fitted to the texts"
    listener(Noted(starts))


def _same_module(one: str, other: str) -> bool:
    """Return whether the weights of one model are those of the other: a classifier of one label, and of sets of
    labels."""
    return registry.model(one) is registry.model(other)


def _hooks(config: RunConfig) -> ModelHooks:
    return hooks(ModelHooks, registry.model(config.model.name))
