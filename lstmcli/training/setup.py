"""What a run begins with: words and weights of its own, of pretrained vectors, or of other models."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli import registry
from lstmcli.config import RunConfig
from lstmcli.contracts import ModelHooks, hooks
from lstmcli.data.batches import check
from lstmcli.data.batches.encoded import Store, built, encode, text_hashes
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.batches.unknown_words import NOTABLE, counts, tally
from lstmcli.data.text.vocabulary import END, UNKNOWN, Vocabulary
from lstmcli.errors import ConfigError
from lstmcli.events import Checked, Listener, Noted, Progress, silent
from lstmcli.inference import assemble
from lstmcli.inference.assemble import Parts
from lstmcli.inference.episodes import draws_classes, labels_of
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.examples import UNLABELLED, Inputs
from lstmcli.training import distillation, episodic
from lstmcli.training.supervised import SOFT_LABELS

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class RunSetup:
    """The parts before the first step, and the encoded texts by part. baseline: fitted already, where it teaches;
    learned: the text hashes of what is learned from, by the run itself and by the models that it is made of."""

    parts: Parts
    texts: dict[str, Store]
    baseline: dict[str, Array]
    learned: Ints


def prepare(config: RunConfig, inputs: Inputs, last: Checkpoint | None, *, listener: Listener = silent) -> RunSetup:
    """What a run begins with. last: of a run that goes on, whose words and shape are taken over."""
    where = runtime.prepare(config)
    cache = assemble.cache_of(config)
    episodic.check(config)
    origin = None if config.model.init is None or last is not None else _origin(config)
    labels = labels_of(config, inputs.train)
    if origin is not None:
        classes = origin.vocabulary.with_labels(labels).classes
        origin = assemble.with_labels(origin, classes, alone=draws_classes(config))
    begun = last or origin
    beside = _beside(config) if begun is None else None  # else it is inside
    vocabulary = _words(config, inputs, beside, listener).with_labels(labels) if begun is None else begun.vocabulary
    labelled = not draws_classes(config)
    full = {}
    for name, part in inputs.parts.items():
        full[name] = encode(vocabulary, part, cache=cache, labelled=labelled and name != UNLABELLED, listener=listener)
    lengths = {name: (store.lengths, store.truncated(config.tokens).lengths) for name, store in full.items()}
    checked = check.check(inputs.parts, lengths)
    listener(Checked(checked))
    own = begun is None and not (beside is not None and config.task == "classify")
    for remark in (*check.remarks(checked), *_of_words(vocabulary, full, config, own=own)):
        listener(Noted(remark))
    baseline: dict[str, Array] = {}
    if UNLABELLED in full:
        if last is not None:
            said = last.group("state")[SOFT_LABELS].numpy()
        else:
            said, baseline = _said(config, inputs, full, vocabulary.labels, where, listener)
        full[UNLABELLED] = replace(full[UNLABELLED], targets=said)
    context = begun.context if begun is not None else None if beside is None else beside.language_model
    parts = assemble.fresh(config, vocabulary, where, context)
    if beside is not None:
        inside = _hooks(config).CONTEXT
        assert inside is not None  # a section with a context has one
        unread = parts.model.get_submodule(inside).load_state_dict(beside.group("model"), strict=False)
        assert not unread.missing_keys
        listener(Noted(_covered(full["train"], config)))
    if origin is not None:
        _begin(parts, origin)
    elif config.model.vectors is not None and last is None:
        listener(Progress("reading vectors"))
        listener(Noted(assemble.place_vectors(parts, full["train"].ids)))
    return RunSetup(parts, full, baseline, _learned(config, inputs, last, origin, beside))


def _of_words(vocabulary: Vocabulary, full: dict[str, Store], config: RunConfig, *, own: bool) -> list[str]:
    """Remarks on unknown words, and on texts without spaces. own: the words are those of the training texts."""
    kind = config.tokens.kind
    full_softmax = "" if getattr(config.model, "softmax", "full") == "full" else " --set model.softmax=full"
    pieces = f"--set tokens.kind=bpe{full_softmax}"
    fixes = ["rare words: --set tokens.min_count=1"] * (
        config.tokens.min_count > 1 and len(vocabulary) < config.tokens.size
    )
    fixes += [f"pieces of words, also of texts without spaces: {pieces}"] * (kind in ("words", "whitespace"))
    fix = "; ".join(fixes) if own and kind != "bpe" else ""
    tallies = {name: tally(counts(store)) for name, store in full.items()}
    found = [
        remark for name, tally in tallies.items() for remark in tally.remark(name, fix=fix if name == "train" else "")
    ]
    if vocabulary.is_stream and tallies["validation"].unknown:
        fraction = f"{tallies['validation'].fraction:.1%} of the words of validation"
        found.append(
            f"perplexity counts unknown words, {fraction}, as one word: compare it within one vocabulary alone"
        )
    if own and kind == "words":
        characters = np.isin(full["train"].ids, vocabulary.unspaced()).sum() / max(1, tallies["train"].tokens)
        if characters >= NOTABLE:
            what = f"{characters:.1%} of the tokens of train are characters of scripts without spaces"
            found.append(f"{what}, each read as a word; to read pieces of several: {pieces}")
    return found


def _learned(config: RunConfig, inputs: Inputs, last: Checkpoint | None, *others: Checkpoint | None) -> Ints:
    """By what the texts are known again that are learned from, now or by another model before."""
    others = (last, *others)
    if last is None and isinstance(config.train.teacher, Path):
        others = (*others, checkpoints.load(config.train.teacher))
    known = [other.group("learned")["texts"].numpy() for other in others if other and other.group("learned")]
    return np.unique(np.concatenate([text_hashes(inputs.train), text_hashes(inputs.unlabelled), *known]))


def _said(
    config: RunConfig,
    inputs: Inputs,
    full: dict[str, Store],
    labels: tuple[str, ...],
    where: runtime.Runtime,
    listener: Listener,
) -> tuple[Array, dict[str, Array]]:
    """What the teacher says of the texts without labels, ``[text, label]``, zeros where there is none; and the baseline
    where that is the teacher."""
    teacher, unlabelled = config.train.teacher, inputs.unlabelled
    if teacher is None:
        return np.zeros((len(unlabelled), len(labels)), np.float32), {}
    if isinstance(teacher, Path):
        cache = assemble.cache_of(config)
        return distillation.probabilities(teacher, unlabelled, labels, where, cache=cache, listener=listener), {}
    baseline = fitted(full["train"], config, labels=len(labels), listener=listener)
    task = registry.task(config.task)
    return distillation.linear_probabilities(task, baseline, full[UNLABELLED], listener=listener), baseline


def fitted(train: Store, config: RunConfig, *, labels: int, listener: Listener = silent) -> dict[str, Array]:
    """The task's baselines on the training texts; none where each task draws its own classes, with nothing to fit."""
    if train.targets is None:
        return {}
    listener(Progress("fitting the baselines"))
    task = registry.task(config.task)
    return task.fit_baselines(train.codes, train.offsets, train.targets, labels=labels)


def _words(config: RunConfig, inputs: Inputs, beside: Checkpoint | None, listener: Listener) -> Vocabulary:
    """The vocabulary of the training texts. With a language model a tagger has its vocabulary too, a classifier no
    other."""
    if beside is not None and config.task == "classify":
        return beside.vocabulary
    stream = config.task == "model_language"
    texts = [*inputs.train, *inputs.unlabelled]
    vocabulary = built(texts, config.tokens, cache=assemble.cache_of(config), stream=stream, listener=listener)
    vocabulary = assemble.with_frozen_words(vocabulary, config)
    return vocabulary if beside is None else vocabulary.with_context(beside.vocabulary)


def _beside(config: RunConfig) -> Checkpoint | None:
    """The language model that is to read with the model.

    Raises:
        CheckpointError: it is not there.
        ConfigError: it is of another kind, or has no words for a tagger.
    """
    path = _context(config)
    if path is None:
        return None
    found = checkpoints.load(path)
    fix = "train one: lstmcli train lm --data TEXTS --set model.bidirectional=true"
    if found.config.task != "model_language":
        raise ConfigError("not a language model", where=f"model.context: {path}", fix=fix)
    if config.task == "tag" and found.config.tokens.kind == "bpe":
        what = "the language model reads pieces of words, a tagger whole ones"
        raise ConfigError(what, where=f"model.context: {path}", fix=f"{fix} --set tokens.kind=whitespace")
    return found


def _context(config: RunConfig) -> Path | None:
    return getattr(config.model, "context", None)


def _covered(train: Store, config: RunConfig) -> str:
    """How much of the training texts the language model knows."""
    ids = train.ids if train.forms is None or train.form_ids is None else train.forms.context[train.form_ids]
    known = ids[ids != END] != UNKNOWN
    share = known.sum() / max(1, len(known))
    return f"context ({_context(config)}): {share:.1%} of the tokens are words of the language model"


def _origin(config: RunConfig) -> Checkpoint:
    """The checkpoint whose weights and words a run begins with.

    Raises:
        CheckpointError: it is not there.
        ConfigError: its model is of another shape.
    """
    assert config.model.init is not None
    found = checkpoints.load(config.model.init)
    kinds = found.config.model.name, config.model.name
    shared = _hooks(config).PARENTS.get(kinds[0])
    if shared is not None and _context(config) is not None:
        what = "a language model to begin with, and one to read with it: one alone can be had"
        where = f"model.init: {config.model.init}, model.context: {_context(config)}"
        raise ConfigError(what, where=where, fix="--set model.context=none, or --set model.init=none")
    if kinds[0] != kinds[1] and shared is None:
        what = f"a {kinds[1]} cannot begin with a {kinds[0]}"
        raise ConfigError(what, where=f"model.init: {config.model.init}", fix=f"give the model.pt of a {kinds[1]}")
    before, after = (registry.model(one.name).shape(one) for one in (found.config.model, config.model))
    wrong = [key for key in (after if shared is None else shared) if before[key] != after[key]]
    if wrong:
        has = {key: getattr(found.config.model, key) for key in wrong}
        told = ", ".join(f"{key} {value} (the recipe: {getattr(config.model, key)})" for key, value in has.items())
        fix = " ".join(f"--set model.{key}={value}" for key, value in has.items())
        raise ConfigError(f"the model to begin with has {told}", where=f"model.init: {config.model.init}", fix=fix)
    return found


def _begin(parts: Parts, origin: Checkpoint) -> None:
    """Give the model the origin's weights; of a model of another kind, those that it inherits and has."""
    weights = origin.group("model")
    if origin.config.model.name != parts.config.model.name:
        inherited = _hooks(parts.config).inherited
        assert inherited is not None  # a model with PARENTS has one
        own = parts.model.state_dict()
        weights = {name: value for name, value in inherited(weights).items() if name in own}
    unknown = parts.model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False)
    assert not unknown.unexpected_keys


def _hooks(config: RunConfig) -> ModelHooks:
    return hooks(ModelHooks, registry.model(config.model.name))
