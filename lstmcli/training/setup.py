"""Set up a run: vocabulary and initial weights, new or from pretrained vectors or other models."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli import registry
from lstmcli.config import RunConfig, pace
from lstmcli.contracts import ModelHooks, Task, hooks
from lstmcli.data.batches import check
from lstmcli.data.batches.encoded import Store, built, encode, text_hashes
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.batches.unknown_words import NOTABLE, of_store
from lstmcli.data.spool import in_pieces
from lstmcli.data.text.vocabulary import END, UNKNOWN, Vocabulary
from lstmcli.errors import ConfigError, counted
from lstmcli.events import Checked, Listener, Noted, Progress, silent
from lstmcli.inference import assemble
from lstmcli.inference.assemble import Parts
from lstmcli.inference.episodes import draws_classes, labels_of
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.examples import SENTENCES, UNLABELLED, Inputs
from lstmcli.training import class_weights, distillation, episodic, sentences, warm_start
from lstmcli.training.supervised import SOFT_LABELS
from lstmcli.validation import has_weights

Array = np.ndarray[Any, np.dtype[Any]]
MOST_TOKENS = 2**24  # that baselines are fitted on: the features of more would be larger than the texts


@dataclass(frozen=True)
class RunSetup:
    """The parts before the first step, and the encoded texts by part.

    baseline: if it was fitted already, as the teacher; learned: hashes of all texts that the run and the models that it
    starts from are trained on; amount: tokens and texts of an epoch.
    """

    parts: Parts
    texts: dict[str, Store]
    baseline: dict[str, Array]
    learned: Ints
    amount: dict[str, int]


def prepare(config: RunConfig, inputs: Inputs, last: Checkpoint | None, *, listener: Listener = silent) -> RunSetup:
    """Set up a run. last: the last checkpoint of a run that is resumed."""
    where = runtime.prepare(config)
    cache = assemble.cache_of(config)
    episodic.check(config)
    labels = labels_of(config, inputs.train)
    origin = None
    if config.model.init is not None and last is None:
        origin = warm_start.origin(config, labels, inputs.train)
    initial = last or origin
    language_model = _language_model(config) if initial is None else None  # an initial checkpoint contains its own
    if initial is not None:
        vocabulary = initial.vocabulary
    else:
        vocabulary = _words(config, inputs, language_model, listener).with_labels(labels)
    labelled = not draws_classes(config)
    full = {}
    for name, part in inputs.parts.items():
        full[name] = encode(vocabulary, part, cache=cache, labelled=labelled and name != UNLABELLED, listener=listener)
    lengths = {name: (store.lengths, store.truncated_lengths(config.tokens)) for name, store in full.items()}
    checked = check.check(inputs.parts, lengths)
    listener(Checked(checked))
    own_words = initial is None and not (language_model is not None and registry.task(config.task).READS == "text")
    fix = "" if config.train.class_weights or config.episodes or not has_weights(config) else check.UNEVEN_FIX
    for remark in (*check.remarks(checked, fix=fix), *_of_words(vocabulary, full, config, own_words=own_words)):
        listener(Noted(remark))
    config, amount = _paced(config, lengths, listener)
    baseline: dict[str, Array] = {}
    if UNLABELLED in full:
        if last is not None:
            soft_labels = last.group("state")[SOFT_LABELS].numpy()
        else:
            soft_labels, baseline = _soft_labels(config, inputs, full, vocabulary.labels, where, listener)
        full[UNLABELLED] = replace(full[UNLABELLED], targets=soft_labels)
    if inputs.sentences.examples:
        full[SENTENCES] = sentences.encoded(config, inputs.sentences, vocabulary, listener)
    own_context = None if language_model is None else language_model.language_model
    context = own_context if initial is None else initial.context
    parts = class_weights.applied(assemble.fresh(config, vocabulary, where, context), full["train"])
    parts = _initialise(parts, full, origin, language_model, last, listener)
    return RunSetup(parts, full, baseline, _learned(config, inputs, last, origin, language_model), amount)


def _initialise(
    parts: Parts,
    full: dict[str, Store],
    origin: Checkpoint | None,
    language_model: Checkpoint | None,
    last: Checkpoint | None,
    listener: Listener,
) -> Parts:
    """Set the initial weights that are not random: those of other models, a head fitted to the texts, word vectors; and
    what a task chooses with them."""
    config, train = parts.config, full["train"]
    if language_model is not None:
        submodule = _hooks(config).CONTEXT
        assert submodule is not None  # every section with a context has one
        keys = parts.model.get_submodule(submodule).load_state_dict(language_model.group("model"), strict=False)
        assert not keys.missing_keys
        listener(Noted(_covered(train, config)))
    if origin is not None:
        warm_start.begin(parts, origin, train, listener)
    elif config.model.vectors is not None and last is None:
        listener(Progress("reading vectors"))
        listener(Noted(assemble.place_vectors(parts, train.ids)))
    elif SENTENCES in full and last is None:
        listener(Progress("fitting the word vectors"))
        sentences.fit_words(parts, full[SENTENCES])
    return class_weights.with_exponent(parts, train, last, listener)


def _paced(
    config: RunConfig, lengths: dict[str, tuple[Ints, Ints]], listener: Listener
) -> tuple[RunConfig, dict[str, int]]:
    """Return the config with what follows from the amount of data, which is reported, and that amount.

    Args:
        lengths: Of the texts of each part, whole and as the model reads them.
    """
    read = np.concatenate([lengths[name][1] for name in ("train", UNLABELLED) if name in lengths])
    tokens = read if config.train.crop is None else np.minimum(read, config.train.crop)
    amount = {"tokens": int(tokens.sum()), "texts": len(tokens)}
    found = pace.paced(config, **amount)
    if found.train != config.train:
        train = found.train
        batches = f"batches of {counted(train.batch_tokens, 'token')}, " if config.episodes is None else ""
        patience = "" if train.patience is None else f", patience {train.patience}"
        what = f"by the amount of data (train.min_steps={train.min_steps})"
        listener(Noted(f"{what}: {batches}up to {counted(train.epochs, 'epoch')}{patience}"))
    return found, amount


def _of_words(vocabulary: Vocabulary, full: dict[str, Store], config: RunConfig, *, own_words: bool) -> list[str]:
    """Return remarks on unknown words, and on texts without spaces. own_words: the vocabulary is of the training
    texts."""
    kind = config.tokens.kind
    full_softmax = "" if getattr(config.model, "softmax", "full") == "full" else " --set model.softmax=full"
    pieces = f"--set tokens.kind=bpe{full_softmax}"
    fixes = []
    if config.tokens.min_count > 1 and len(vocabulary) < config.tokens.size:
        fixes.append("rare words: --set tokens.min_count=1")
    if kind in ("words", "whitespace"):
        fixes.append(f"pieces of words, also of texts without spaces: {pieces}")
    fix = "; ".join(fixes) if own_words and kind != "bpe" else ""
    tallies = {name: of_store(store) for name, store in full.items()}
    remarks = [
        remark for name, tally in tallies.items() for remark in tally.remark(name, fix=fix if name == "train" else "")
    ]
    if registry.task(config.task).READS == "stream" and tallies["validation"].unknown:
        fraction = f"{tallies['validation'].fraction:.1%} of the words of validation"
        remarks.append(
            f"perplexity counts unknown words, {fraction}, as one word: compare it within one vocabulary alone"
        )
    if own_words and kind == "words":
        unspaced = vocabulary.unspaced()
        found = sum(int(np.isin(piece, unspaced).sum()) for piece in in_pieces(full["train"].ids))
        characters = found / max(1, tallies["train"].tokens)
        if characters >= NOTABLE:
            what = f"{characters:.1%} of the tokens of train are characters of scripts without spaces"
            remarks.append(f"{what}, each read as a word; to read pieces of several: {pieces}")
    return remarks


def _learned(config: RunConfig, inputs: Inputs, last: Checkpoint | None, *others: Checkpoint | None) -> Ints:
    """Return the hashes of all training texts, of this run and of the models that it starts from."""
    others = (last, *others)
    if last is None and isinstance(config.train.teacher, Path):
        others = (*others, checkpoints.load(config.train.teacher))
    known = [other.group("learned")["texts"].numpy() for other in others if other and other.group("learned")]
    return np.unique(np.concatenate([text_hashes(inputs.train), text_hashes(inputs.unlabelled), *known]))


def _soft_labels(
    config: RunConfig,
    inputs: Inputs,
    full: dict[str, Store],
    labels: tuple[str, ...],
    where: runtime.Runtime,
    listener: Listener,
) -> tuple[Array, dict[str, Array]]:
    """Compute the teacher's probabilities for the unlabelled texts, ``[text, label]``, zeros without a teacher; and fit
    the baseline if that is the teacher."""
    teacher, unlabelled = config.train.teacher, inputs.unlabelled
    task = registry.task(config.task)
    if teacher is None:
        return np.zeros((len(unlabelled), len(labels)), np.float32), {}
    if isinstance(teacher, Path):
        cache, linear, baseline = assemble.cache_of(config), None, {}
        if "terms" not in checkpoints.load(teacher).group("baseline"):
            baseline = fitted(full["train"], task, labels=len(labels), listener=listener)
            linear = distillation.linear_probabilities(task, baseline, full[UNLABELLED], listener=listener)
        found = distillation.probabilities(
            teacher, unlabelled, labels, where, cache=cache, linear=linear, listener=listener
        )
    else:
        baseline = fitted(full["train"], task, labels=len(labels), listener=listener)
        found = distillation.linear_probabilities(task, baseline, full[UNLABELLED], listener=listener)
    # With class weights the run's baseline is another: fitted with them.
    return found, baseline if config.train.class_weights is None else {}


def fitted(train: Store, task: Task, *, labels: int, listener: Listener = silent) -> dict[str, Array]:
    """Fit the task's baselines on the training texts, or on a random part of them where they have very many tokens;
    none if each episode draws its own classes."""
    if train.targets is None:
        return {}
    if not train.per_token and train.offsets[-1] > MOST_TOKENS:
        count = round(len(train) * MOST_TOKENS / int(train.offsets[-1]))
        drawn = np.sort(np.random.default_rng(0).choice(len(train), count, replace=False))
        listener(
            Noted(f"the linear baseline is fitted on {count:,} of the {len(train):,} training texts, drawn at random")
        )
        train = train.part(drawn)
    listener(Progress("fitting the baselines"))
    assert train.targets is not None
    return task.fit_baselines(train.codes, train.offsets, train.targets, labels=labels)


def _words(config: RunConfig, inputs: Inputs, language_model: Checkpoint | None, listener: Listener) -> Vocabulary:
    """Build the vocabulary of the training texts. With a language model (``model.context``) a tagger has its vocabulary
    too, and a classifier has only that."""
    reads = registry.task(config.task).READS
    if language_model is not None and reads == "text":
        return language_model.vocabulary
    stream = reads == "stream"
    vocabulary = built(inputs.learned, config.tokens, cache=assemble.cache_of(config), stream=stream, listener=listener)
    vocabulary = assemble.with_frozen_words(vocabulary, config)
    return vocabulary if language_model is None else vocabulary.with_context(language_model.vocabulary)


def _language_model(config: RunConfig) -> Checkpoint | None:
    """Load the language model of ``model.context``, if there is one.

    Raises:
        CheckpointError: It does not exist.
        ConfigError: It is not a language model, or has no words for a tagger.
    """
    path = _context(config)
    if path is None:
        return None
    found = checkpoints.load(path)
    fix = "train one: lstmcli train lm --data TEXTS --set model.bidirectional=true"
    if found.task.READS != "stream":
        raise ConfigError("not a language model", where=f"model.context: {path}", fix=fix)
    if registry.task(config.task).READS == "words" and found.config.tokens.kind == "bpe":
        what = "the language model reads pieces of words, a tagger whole ones"
        raise ConfigError(what, where=f"model.context: {path}", fix=f"{fix} --set tokens.kind=whitespace")
    return found


def _context(config: RunConfig) -> Path | None:
    return getattr(config.model, "context", None)


def _covered(train: Store, config: RunConfig) -> str:
    """Describe how many of the training tokens are in the language model's vocabulary."""
    ids = train.ids if train.forms is None or train.form_ids is None else train.forms.context[train.form_ids]
    known = ids[ids != END] != UNKNOWN
    share = known.sum() / max(1, len(known))
    return f"context ({_context(config)}): {share:.1%} of the tokens are words of the language model"


def _hooks(config: RunConfig) -> ModelHooks:
    return hooks(ModelHooks, registry.model(config.model.name))
