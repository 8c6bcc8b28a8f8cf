"""From a RunConfig or a Checkpoint to the parts that work together."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lstmcli import registry
from lstmcli.config import Finetune, LanguageModel, Ridge, RunConfig
from lstmcli.contracts import EMBEDDING, HEAD, Learner, ModelHooks, StreamModel, StreamTask, Task, TextTask, hooks
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.text import vectors
from lstmcli.data.text.vocabulary import PADDING, SPECIAL, UNKNOWN, Vocabulary
from lstmcli.data.text.word_features import likeness
from lstmcli.errors import ConfigError
from lstmcli.events import Listener, Noted, Progress, silent
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.storage.examples import cache_folder
from lstmcli.types import Batch, Example

SHIPPED = "shipped"  # vectors of the model that ships
BAG = 1024  # dimensions of the bag of words that goes with new labels
WORDS = f"{EMBEDDING}.weight"
EVALUATION_TOKENS = 8_192  # a batch, padding counted


@dataclass(frozen=True)
class Parts:
    """A model on its device, with the task and vocabulary that give its numbers a meaning, and how it adapts.

    memory: what the learner keeps of a support beside the model's weights, of one task; empty for most. context: what
    the language model is like that reads with the model, where one does.
    """

    config: RunConfig
    vocabulary: Vocabulary
    task: Task
    model: nn.Module
    runtime: runtime.Runtime
    learner: Learner
    memory: dict[str, Tensor] = field(default_factory=dict)
    context: LanguageModel | None = None

    @property
    def text_task(self) -> TextTask:
        """The task, where it labels whole texts."""
        return cast(TextTask, self.task)

    @property
    def stream_task(self) -> StreamTask:
        """The task, where it is one of a token stream."""
        return cast(StreamTask, self.task)

    @property
    def stream_model(self) -> StreamModel:
        """The model, where it is one of a token stream."""
        return cast(StreamModel, self.model)


def fresh(
    config: RunConfig, vocabulary: Vocabulary, where: runtime.Runtime, context: LanguageModel | None = None
) -> Parts:
    """Parts with new weights. context: what the language model is like that reads with the model."""
    options: dict[str, Any] = {"frozen_words": vocabulary.frozen_words} if vocabulary.frozen_words else {}
    if context is not None:
        words = len(vocabulary if vocabulary.context is None else vocabulary.context)
        options["context"] = registry.model(context.name).build(context, words=words, labels=0)
    sizes = {"words": len(vocabulary) - vocabulary.frozen_words, "labels": len(vocabulary.labels)}
    model = registry.model(config.model.name).build(config.model, **sizes, **options).to(where.device)
    learner = registry.learner(config.learner.name).build(config.learner, model)
    return Parts(config, vocabulary, registry.task(config.task), model, where, learner, context=context)


def restored(checkpoint: Checkpoint, where: runtime.Runtime) -> Parts:
    """Parts with the checkpoint's weights, ready to be used."""
    parts = fresh(checkpoint.config, checkpoint.vocabulary, where, checkpoint.context)
    parts.model.load_state_dict({name: value.float() for name, value in checkpoint.group("model").items()})
    parts.model.eval()
    learned = checkpoint.group("learner")
    for name, value in parts.learner.named_parameters():
        if name in learned:  # as it was learned, however many steps are asked for now
            value.data = learned[name].float().to(where.device)
    memory = {name: value.float()[None].to(where.device) for name, value in checkpoint.group("memory").items()}
    return replace(parts, memory=memory if memory.keys() == set(parts.learner.names) else {})


def settled(parts: Parts, weights: dict[str, Tensor]) -> Parts:
    """The parts adapted for good to one task, ``[1, ...]`` each: the model's weights go into it, the rest is kept."""
    own = {name: value[0] for name, value in weights.items() if name in parts.model.state_dict()}
    parts.model.load_state_dict(own, strict=False)
    return replace(parts, memory={name: value for name, value in weights.items() if name not in own})


def with_frozen_words(vocabulary: Vocabulary, config: RunConfig) -> Vocabulary:
    """The vocabulary with the first words of the pretrained vectors too, as many as the recipe says."""
    source, count = config.model.vectors, getattr(config.model, "frozen_vectors", 0)
    if source is None or count == 0:
        return vocabulary
    found = (
        _holder(source).vocabulary.words[len(SPECIAL) :][:count] if _held(source) else vectors.words_of(source, count)
    )
    if config.tokens.lowercase:  # a word with capitals would never be looked up
        found = [word for word in found if word == word.lower()]
    return vocabulary.with_words(found, frozen=True)


def with_labels(checkpoint: Checkpoint, labels: Sequence[str], *, alone: bool = False) -> Checkpoint:
    """The checkpoint with a head for these labels, of a tagger types of entities.

    Labels that it knows keep their weights and those it does not know begin at zero. Where it knows none of them, or
    where they are to be ``alone``, they take the place of its own.

    Raises:
        ConfigError: a tagger does not know the type.
    """
    known = checkpoint.vocabulary.labels
    if checkpoint.vocabulary.pretokenized:
        types = checkpoint.vocabulary.classes
        if foreign := [label for label in labels if label not in types]:
            where = f"it knows {', '.join(types)}"
            fix = "train one that does: lstmcli train FOLDER"
            raise ConfigError(f"the model has no entities of type {', '.join(foreign)}", where=where, fix=fix)
        return checkpoint
    if known == tuple(labels) or (set(labels) <= set(known) and not alone):
        return checkpoint
    kept = known if set(labels) & set(known) and not alone else ()
    together = [*kept, *(label for label in labels if label not in kept)]
    tensors = dict(checkpoint.tensors)
    for name, old in checkpoint.group("model").items():
        if name.startswith(f"{HEAD}."):
            new = torch.zeros(len(together), *old.shape[1:])
            for place, label in enumerate(together):
                if label in known:
                    new[place] = old[known.index(label)]
            tensors[f"model/{name}"] = new
    tensors = {name: value for name, value in tensors.items() if not name.startswith("memory/")}  # of the known alone
    return replace(checkpoint, vocabulary=checkpoint.vocabulary.with_labels(together), tensors=tensors)


def with_new_labels(
    checkpoint: Checkpoint,
    labels: Sequence[str],
    texts: Sequence[Example],
    *,
    alone: bool = False,
    free: bool = False,
    listener: Listener = silent,
) -> Checkpoint:
    """As ``with_labels``; what is more where none of the model's own labels is left, unless it was meta-trained.

    Of classes that a model was not trained for the words themselves say more than its LSTM's states do: a bag of words
    is put beside them, if the model has none, among them those of the texts. And no head is there to be adapted: where
    the learner is ``free`` to be chosen, a new one is fitted whole.
    """
    headed = with_labels(checkpoint, labels, alone=alone)
    if headed.config.episodes is not None or set(headed.vocabulary.labels) & set(checkpoint.vocabulary.labels):
        return headed
    if free:
        headed = replace(headed, config=headed.config.model_copy(update={"learner": Ridge()}))
        listener(Noted("all labels are new: their head is fitted in closed form (--learner ridge)"))
    return _with_bag(headed, texts) if getattr(headed.config.model, "bag_of_words", None) == 0 else headed


def _with_bag(checkpoint: Checkpoint, texts: Sequence[Example]) -> Checkpoint:
    """The checkpoint with a bag of words, in which words that are spelled alike are alike; its head sees nothing of it
    yet. The LSTM reads the texts' words that it does not know as it did before; none is added where a language model
    reads the same words."""
    new = [] if checkpoint.context else checkpoint.vocabulary.unknown(str(example.text) for example in texts)
    vocabulary = checkpoint.vocabulary.with_words(new, frozen=False) if new else checkpoint.vocabulary
    section = checkpoint.config.model.model_copy(update={"bag_of_words": BAG})
    config = checkpoint.config.model_copy(update={"model": section})
    with_bag = hooks(ModelHooks, registry.model(config.model.name)).with_bag
    assert with_bag is not None  # a section with a bag has one
    weights = with_bag(checkpoint.group("model"), torch.from_numpy(likeness(vocabulary.words, BAG)))
    tensors = checkpoint.tensors | grouped("model", weights)
    return replace(checkpoint, config=config, vocabulary=vocabulary, tensors=tensors)


def _remembered(parts: Parts, batch: Batch) -> np.ndarray[Any, np.dtype[Any]]:
    """What the learner says by the support that it remembers; in full precision, which differences need."""
    one = Batch(batch.tokens[None], batch.lengths[None])
    logits: np.ndarray[Any, np.dtype[Any]] = parts.learner.logits(parts.model, one)(parts.memory)[0].cpu().numpy()
    return logits


def adapting(parts: Parts, model: nn.Module, learner: Finetune) -> Parts:
    """The parts with another model of the same kind, and a learner that has learned nothing."""
    return replace(parts, model=model, learner=registry.learner(learner.name).build(learner, model), memory={})


def _held(source: str) -> bool:
    """True where the vectors are those of a checkpoint."""
    return source == SHIPPED or source.endswith(".pt")


def _holder(source: str) -> Checkpoint:
    return checkpoints.load(checkpoints.PRETRAINED if source == SHIPPED else Path(source))


def place_vectors(parts: Parts, ids: Ints) -> str:
    """Put pretrained vectors into the model's embedding; returns how many words and tokens of the data they cover.

    ids: the training tokens. Vectors fill the first dimensions; what they leave, and words without one, stay random,
    scaled to the others.

    Raises:
        DataError: the vectors are not available, or do not fit the model.
    """
    config = parts.config.model
    assert config.vectors is not None
    words = parts.vocabulary.words
    weight = parts.model.get_parameter(WORDS).data
    learned, limit = weight.shape
    if _held(config.vectors):
        origin = _holder(config.vectors)
        matrix = origin.group("model")[WORDS].float().numpy()
        names = origin.vocabulary.words
        found, mask = vectors.gather(names, matrix, words, limit=limit, source=config.vectors)
    else:
        found, mask = vectors.load(config.vectors, words, limit=limit)
    mask[PADDING] = False
    scale = float(found[:learned][mask[:learned]].std()) if mask[:learned].any() else 1.0
    vectors_found = torch.from_numpy(found).to(weight.device)
    with torch.no_grad():
        weight *= scale / weight[1:].std()
        weight[mask[:learned], : found.shape[1]] = vectors_found[:learned][mask[:learned]]
        if len(words) > learned:
            frozen = hooks(ModelHooks, registry.model(config.name)).FROZEN_VECTORS
            assert frozen is not None  # only such a model has words beyond its embedding
            parts.model.get_buffer(frozen)[:, : found.shape[1]] = vectors_found[learned:]
    covered = mask[parts.vocabulary.special : learned]  # <unk> may have a vector, and covers no word
    counts = np.bincount(ids, minlength=learned)
    of_words = counts[parts.vocabulary.special :]
    share = of_words[covered].sum() / max(1, of_words.sum() + counts[UNKNOWN])
    shares = f"{covered.sum() / max(1, len(covered)):.1%} of the words, {share:.1%} of the tokens"
    more = f", and {len(words) - learned:,} words that training does not have" if len(words) > learned else ""
    return f"vectors ({config.vectors}): {shares}{more}"


def cache_of(config: RunConfig) -> Path | None:
    return cache_folder() if config.data.cache else None


def outputs(
    parts: Parts, store: Store, what: str = "scoring", listener: Listener = silent
) -> np.ndarray[Any, np.dtype[Any]]:
    """What the model says of each text, in the order of the store: ``[text, ...]``."""
    places = batching.by_length(store.lengths, batch_tokens=EVALUATION_TOKENS)
    parts.model.eval()

    def score(indices: Ints) -> np.ndarray[Any, np.dtype[Any]]:
        batch = batching.collate(store, indices).to(parts.runtime.device)
        with torch.inference_mode():
            if parts.memory:
                return _remembered(parts, batch)
            with parts.runtime.autocast():
                result: np.ndarray[Any, np.dtype[Any]] = parts.task.outputs(parts.model(batch))
        return result

    # A batch a thread: one LSTM does not keep two processors busy, two batches side by side do.
    threads = torch.get_num_threads()
    workers = threads if parts.runtime.device == "cpu" else 1
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    results = []
    done = 0
    try:
        for indices, result in zip(places, pool.map(score, places), strict=True):
            results.append(result)
            done += len(indices)
            listener(Progress(what, done, len(store)))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
    gathered = np.concatenate(results)
    ordered = np.empty_like(gathered)
    ordered[np.concatenate(places)] = gathered
    return ordered
