"""Assemble model, task, learner and vocabulary from a RunConfig or a Checkpoint."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from lstmcli import registry
from lstmcli.config import Finetune, LanguageModel, RunConfig
from lstmcli.contracts import EMBEDDING, Learner, ModelHooks, StreamModel, StreamTask, Task, TextTask, hooks
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.spool import in_pieces
from lstmcli.data.text import vectors
from lstmcli.data.text.vocabulary import PADDING, SPECIAL, UNKNOWN, Vocabulary
from lstmcli.errors import CheckpointError, counted
from lstmcli.events import Listener, silent
from lstmcli.inference import batches
from lstmcli.inference.batches import Result
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import run_folder, weights
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.examples import cache_folder
from lstmcli.types import Batch

SHIPPED = "shipped"  # value of model.vectors: those of the model that ships
WORDS = f"{EMBEDDING}.weight"


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
    return _around(weights.build(config, vocabulary, context).to(where.device), config, vocabulary, where, context)


def _around(
    model: nn.Module, config: RunConfig, vocabulary: Vocabulary, where: runtime.Runtime, context: LanguageModel | None
) -> Parts:
    """Build the other parts for the model."""
    learner = registry.learner(config.learner.name).build(config.learner, model)
    return Parts(config, vocabulary, registry.task(config.task), model, where, learner, context=context)


def restored(checkpoint: Checkpoint, where: runtime.Runtime) -> Parts:
    """Build parts with the checkpoint's weights, in evaluation mode. Raises ConfigError for an exported model."""
    checkpoint.check_weights(f"model: {checkpoint.config.model.name}")
    config, vocabulary, context = checkpoint.config, checkpoint.vocabulary, checkpoint.context
    with weights.Undrawn():
        model = weights.build(config, vocabulary, context)
    model.load_state_dict({name: value.float() for name, value in checkpoint.group("model").items()})
    parts = _around(model.to(where.device).eval(), config, vocabulary, where, context)
    learned = checkpoint.group("learner")
    for name, value in parts.learner.named_parameters():
        if name in learned:  # the shape may differ: rates per step, and another number of steps
            value.data = learned[name].float().to(where.device)
    memory = {name: value.float()[None].to(where.device) for name, value in checkpoint.group("memory").items()}
    parts = replace(parts, memory=memory if memory.keys() == set(parts.learner.names) else {})
    _check_memory(parts)
    return parts


def _check_memory(parts: Parts) -> None:
    """Raise CheckpointError where the learner cannot score a text from its memory: only it knows the right shapes."""
    if not parts.memory:
        return
    word = torch.full((1, 1), UNKNOWN, device=parts.runtime.device)
    try:
        with torch.inference_mode():
            logits = logits_from_memory(parts, Batch(word, torch.ones_like(word[0])))
        fits = logits.shape == (1, len(parts.vocabulary.labels))
    except (RuntimeError, IndexError):
        fits = False
    if not fits:
        what = "not a checkpoint that can be read, or a damaged one: the learner's memory does not fit the model"
        raise CheckpointError(what, where=f"learner: {parts.config.learner.name}", fix=checkpoints.WRITTEN)


def deciding(checkpoint: Checkpoint, where: runtime.Runtime) -> Parts:
    """As ``restored``, with the task that decides on labels by the class weights of the checkpoint, if it has any."""
    return replace(restored(checkpoint, where), task=checkpoint.deciding_task)


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


def logits_from_memory(parts: Parts, batch: Batch) -> Tensor:
    """Compute the logits, ``[batch, label]``, from the learner's memory, in full precision."""
    one = Batch(batch.tokens[None], batch.lengths[None])
    return parts.learner.logits(parts.model, one)(parts.memory)[0]


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
    counts = np.zeros(learned, np.int64)
    for piece in in_pieces(ids):
        counts += np.bincount(piece, minlength=learned)
    word_counts = counts[parts.vocabulary.special :]
    of_tokens = word_counts[covered].sum() / max(1, word_counts.sum() + counts[UNKNOWN])
    coverage = f"{covered.sum() / max(1, len(covered)):.1%} of the words, {of_tokens:.1%} of the tokens"
    more = f", and {counted(len(words) - learned, 'word')} that training does not have" if len(words) > learned else ""
    return f"vectors ({config.vectors}): {coverage}{more}"


def cache_of(config: RunConfig) -> Path | None:
    return cache_folder() if config.data.cache else None


def outputs(
    parts: Parts, store: Store, what: str = "scoring", listener: Listener = silent
) -> np.ndarray[Any, np.dtype[Any]]:
    """Compute the model's output for each text, in the order of the store, ``[text, ...]``."""
    parts.model.eval()

    def score(batch: Batch, _: Ints) -> np.ndarray[Any, np.dtype[Any]]:
        with torch.inference_mode():
            if parts.memory:
                logits: np.ndarray[Any, np.dtype[Any]] = logits_from_memory(parts, batch).cpu().numpy()
                return logits
            with parts.runtime.autocast():
                result: np.ndarray[Any, np.dtype[Any]] = parts.task.outputs(parts.model(batch))
        return result

    found = in_batches(parts, store, score, what=what, listener=listener)
    return batches.ordered(found, model=parts.config.model.name)


def embeddings(
    parts: Parts, store: Store, what: str = "embedding", *, sentence: bool = False, listener: Listener = silent
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Compute the input of the head for each text, ``[text, feature]``. sentence: of a model that has a sentence
    embedding, that alone."""
    found = None
    parts.model.eval()
    model: Any = parts.model
    sentence = sentence and getattr(parts.config.model, "sentence_embedding", 0) > 0

    def embed(batch: Batch, _: Ints) -> np.ndarray[Any, np.dtype[np.float32]]:
        with torch.inference_mode(), parts.runtime.autocast():
            rows = model.sentences(batch) if sentence else model(batch).embedding
            return rows.float().cpu().numpy()  # type: ignore[no-any-return]

    for indices, rows in in_batches(parts, store, embed, what=what, listener=listener):
        if found is None:
            found = np.zeros((len(store), rows.shape[1]), np.float32)
        found[indices] = rows
    assert found is not None  # there is at least one text
    return found


def in_batches(
    parts: Parts,
    store: Store,
    work: Callable[[Batch, Ints], Result],
    *,
    batch_tokens: int | None = None,
    what: str = "scoring",
    listener: Listener = silent,
) -> Iterator[tuple[Ints, Result]]:
    """Yield the indices of the texts of each batch, longest texts first, and the result of the work on them.

    batch_tokens: per batch, with padding; None: ``EVALUATION_TOKENS``.
    """
    # One batch per thread: one LSTM does not use two cores, two batches in parallel do.
    threads = torch.get_num_threads()
    workers = threads if parts.runtime.device == "cpu" else 1
    try:
        yield from batches.in_batches(
            store,
            lambda one: work(batching.collate(store, one).to(parts.runtime.device), one),
            workers=workers,
            begin=partial(torch.set_num_threads, 1),
            batch_tokens=batch_tokens,
            what=what,
            listener=listener,
        )
    finally:
        torch.set_num_threads(threads)
