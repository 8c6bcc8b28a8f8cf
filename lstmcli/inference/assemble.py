"""Assemble model, task, learner and vocabulary from a RunConfig or a Checkpoint."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lstmcli import registry
from lstmcli.config import Finetune, LanguageModel, RunConfig
from lstmcli.config.training import ADJUSTED
from lstmcli.contracts import EMBEDDING, Learner, ModelHooks, StreamModel, StreamTask, Task, TaskHooks, TextTask, hooks
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.text import vectors
from lstmcli.data.text.vocabulary import PADDING, SPECIAL, UNKNOWN, Vocabulary
from lstmcli.events import Listener, Progress, silent
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import run_folder
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.examples import cache_folder
from lstmcli.types import Batch

SHIPPED = "shipped"  # value of model.vectors: those of the model that ships
WORDS = f"{EMBEDDING}.weight"
DECISION = "class_weights"  # of a checkpoint's progress: by label, what its probability is multiplied by to decide
EVALUATION_TOKENS = 8_192  # per batch, with padding


@dataclass(frozen=True)
class Parts:
    """A model on its device, with its task, vocabulary and learner.

    memory: tensors that the learner keeps of a support beside the model's weights, ``[1, ...]`` each; empty for most
    learners. context: the section of the language model in ``model.context``.
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
        """The task, of models that label whole texts."""
        return cast(TextTask, self.task)

    @property
    def stream_task(self) -> StreamTask:
        """The task, of language models."""
        return cast(StreamTask, self.task)

    @property
    def stream_model(self) -> StreamModel:
        """The model, of language models."""
        return cast(StreamModel, self.model)


def fresh(
    config: RunConfig, vocabulary: Vocabulary, where: runtime.Runtime, context: LanguageModel | None = None
) -> Parts:
    """Build parts with new weights. context: the section of the language model in ``model.context``."""
    options: dict[str, Any] = {"frozen_words": vocabulary.frozen_words} if vocabulary.frozen_words else {}
    if context is not None:
        words = len(vocabulary if vocabulary.context is None else vocabulary.context)
        options["context"] = registry.model(context.name).build(context, words=words, labels=0)
    sizes = {"words": len(vocabulary) - vocabulary.frozen_words, "labels": len(vocabulary.labels)}
    model = registry.model(config.model.name).build(config.model, **sizes, **options).to(where.device)
    learner = registry.learner(config.learner.name).build(config.learner, model)
    return Parts(config, vocabulary, registry.task(config.task), model, where, learner, context=context)


def restored(checkpoint: Checkpoint, where: runtime.Runtime) -> Parts:
    """Build parts with the checkpoint's weights, in evaluation mode."""
    parts = fresh(checkpoint.config, checkpoint.vocabulary, where, checkpoint.context)
    parts.model.load_state_dict({name: value.float() for name, value in checkpoint.group("model").items()})
    parts.model.eval()
    learned = checkpoint.group("learner")
    for name, value in parts.learner.named_parameters():
        if name in learned:  # the shape may differ: rates per step, and another number of steps
            value.data = learned[name].float().to(where.device)
    memory = {name: value.float()[None].to(where.device) for name, value in checkpoint.group("memory").items()}
    return replace(parts, memory=memory if memory.keys() == set(parts.learner.names) else {})


def deciding(parts: Parts, checkpoint: Checkpoint) -> Parts:
    """Return the parts with a task that decides by the class weights of the checkpoint, if it has any.

    Of an adapted checkpoint they are not used: its labels, or their frequencies, are those of the support.
    """
    weights = checkpoint.progress.get(DECISION)
    if weights is None:
        return parts
    weighted = hooks(TaskHooks, parts.task).weighted
    assert weighted is not None  # it was trained with them
    by_label = np.array([weights[label] for label in parts.vocabulary.labels])
    adjusted = parts.config.train.class_weights == ADJUSTED
    return replace(parts, task=weighted(parts.task, by_label, adjusted=adjusted, exponent=1.0))


def settled(parts: Parts, weights: dict[str, Tensor]) -> Parts:
    """Load adapted weights, ``[1, ...]`` each, into the model; what is not the model's becomes the memory."""
    of_model = {name: value[0] for name, value in weights.items() if name in parts.model.state_dict()}
    parts.model.load_state_dict(of_model, strict=False)
    return replace(parts, memory={name: value for name, value in weights.items() if name not in of_model})


def with_frozen_words(vocabulary: Vocabulary, config: RunConfig) -> Vocabulary:
    """Add the first words of the pretrained vectors to the vocabulary, as many as ``model.frozen_vectors``."""
    source, count = config.model.vectors, getattr(config.model, "frozen_vectors", 0)
    if source is None or count == 0:
        return vocabulary
    found = (
        _vector_checkpoint(source).vocabulary.words[len(SPECIAL) :][:count]
        if _in_checkpoint(source)
        else vectors.words_of(source, count)
    )
    if config.tokens.lowercase:  # capitalised words would never be looked up
        found = [word for word in found if word == word.lower()]
    return vocabulary.with_words(found, frozen=True)


def _logits_from_memory(parts: Parts, batch: Batch) -> np.ndarray[Any, np.dtype[Any]]:
    """Compute the logits from the learner's memory, in full precision."""
    one = Batch(batch.tokens[None], batch.lengths[None])
    logits: np.ndarray[Any, np.dtype[Any]] = parts.learner.logits(parts.model, one)(parts.memory)[0].cpu().numpy()
    return logits


def adapting(parts: Parts, model: nn.Module, learner: Finetune) -> Parts:
    """Return the parts with another model of the same kind, and a new learner."""
    return replace(parts, model=model, learner=registry.learner(learner.name).build(learner, model), memory={})


def _in_checkpoint(source: str) -> bool:
    """Return True if the vectors are those of a checkpoint."""
    return source == SHIPPED or run_folder.model_at(Path(source)).suffix == ".pt"


def _vector_checkpoint(source: str) -> Checkpoint:
    return checkpoints.load(checkpoints.PRETRAINED if source == SHIPPED else Path(source))


def place_vectors(parts: Parts, ids: Ints) -> str:
    """Copy pretrained vectors into the model's embedding, and describe how many words and tokens they cover.

    Vectors fill the first dimensions. The other dimensions, and words without a vector, stay random, scaled to the
    standard deviation of the vectors. ids: the training tokens.

    Raises:
        DataError: The vectors are not available, or do not fit the model.
    """
    config = parts.config.model
    assert config.vectors is not None
    words = parts.vocabulary.words
    weight = parts.model.get_parameter(WORDS).data
    learned, limit = weight.shape
    if _in_checkpoint(config.vectors):
        origin = _vector_checkpoint(config.vectors)
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
    covered = mask[parts.vocabulary.special : learned]  # <unk> does not count
    counts = np.bincount(ids, minlength=learned)
    word_counts = counts[parts.vocabulary.special :]
    of_tokens = word_counts[covered].sum() / max(1, word_counts.sum() + counts[UNKNOWN])
    coverage = f"{covered.sum() / max(1, len(covered)):.1%} of the words, {of_tokens:.1%} of the tokens"
    more = f", and {len(words) - learned:,} words that training does not have" if len(words) > learned else ""
    return f"vectors ({config.vectors}): {coverage}{more}"


def cache_of(config: RunConfig) -> Path | None:
    return cache_folder() if config.data.cache else None


def outputs(
    parts: Parts, store: Store, what: str = "scoring", listener: Listener = silent
) -> np.ndarray[Any, np.dtype[Any]]:
    """Compute the model's output for each text, in the order of the store, ``[text, ...]``."""
    batches = batching.by_length(store.lengths, batch_tokens=EVALUATION_TOKENS)
    parts.model.eval()

    def score(indices: Ints) -> np.ndarray[Any, np.dtype[Any]]:
        batch = batching.collate(store, indices).to(parts.runtime.device)
        with torch.inference_mode():
            if parts.memory:
                return _logits_from_memory(parts, batch)
            with parts.runtime.autocast():
                result: np.ndarray[Any, np.dtype[Any]] = parts.task.outputs(parts.model(batch))
        return result

    # One batch per thread: one LSTM does not use two cores, two batches in parallel do.
    threads = torch.get_num_threads()
    workers = threads if parts.runtime.device == "cpu" else 1
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    results = []
    done = 0
    try:
        for indices, result in zip(batches, pool.map(score, batches), strict=True):
            results.append(result)
            done += len(indices)
            listener(Progress(what, done, len(store)))
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
    gathered = np.concatenate(results)
    ordered = np.empty_like(gathered)
    ordered[np.concatenate(batches)] = gathered
    return ordered
