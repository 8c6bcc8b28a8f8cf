"""The objective of sentence embeddings: those of the model are to point where a teacher's point.

    L  =  1 - cos(embedding, teacher's embedding), a mean over sentences

Reimers & Gurevych (2020), "Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation", with the
cosine in place of the squared distance, since only directions matter.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from lstmcli.config import RunConfig
from lstmcli.contracts import EMBEDDING
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store, encode
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.embeddings import Sentences
from lstmcli.data.text.vocabulary import SPECIAL, Vocabulary
from lstmcli.errors import ConfigError, counted
from lstmcli.events import Listener
from lstmcli.inference import assemble
from lstmcli.inference.assemble import Parts
from lstmcli.types import Mean

Array = np.ndarray[Any, np.dtype[Any]]
PENALTY = 3.0  # of the ridge regression, in texts of one word
STEPS = 8  # of conjugate gradients
TINY = 1e-20
STATES_SCALE = 0.1  # initial scale of the map of the pooled states, beside that of the fitted words


def encoded(config: RunConfig, sentences: Sentences, vocabulary: Vocabulary, listener: Listener) -> Store:
    """Encode the sentences; their targets are the teacher's embeddings, ``[text, dimension]``.

    Raises:
        ConfigError: The model has no sentence embedding of that size.
    """
    size = sentences.embeddings.shape[1]
    if getattr(config.model, "sentence_embedding", 0) != size:
        where = f"train.embeddings: {config.train.embeddings}"
        what = f"the teacher's embeddings have {counted(size, 'dimension')}, those of the model do not"
        raise ConfigError(what, where=where, fix=f"--set model.sentence_embedding={size}")
    cache = assemble.cache_of(config)
    store = encode(vocabulary, sentences.examples, cache=cache, labelled=False, listener=listener)
    return replace(store, targets=sentences.embeddings)


def loss(parts: Parts, store: Store, indices: Ints) -> Mean:
    """Compute the loss of the sentences at the indices."""
    batch = batching.collate(store, indices).to(parts.runtime.device)
    with parts.runtime.autocast():
        embeddings = parts.model.sentences(batch)  # type: ignore[operator]
    assert batch.targets is not None
    cosines = (embeddings * batch.targets.float()).sum(dim=-1)
    return Mean((1 - cosines).mean(), len(indices))


def fit_words(parts: Parts, store: Store) -> None:
    """Set the word vectors of the model to those whose sums come closest to the teacher's embeddings.

        minimise over V    Σ |t_s - Σ_w c_sw V_w / √n_s|²  +  PENALTY Σ |V_w - p_w|²

    where t_s is the teacher's embedding of text s, c_sw how often word w is in it, n_s its length, and p_w the
    teacher's embedding of the word as a text of its own, zero if there is no such text. V, ``[word, teacher's
    dimension]``, is then brought to the model's dimension by its singular vectors, weighted by the words' frequency.
    Directions become the word vectors, lengths the weights of the words. Training goes on from there.
    """
    from scipy.sparse import csr_array

    model, lengths = parts.model, store.lengths
    words, size = len(parts.vocabulary), int(store.offsets[-1])
    scale = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths).astype(np.float32)
    counts = csr_array((scale, store.ids[:size], store.offsets), shape=(len(store), words), copy=True)
    counts.sum_duplicates()  # in place
    targets = store.known_targets.astype(np.float32)
    vectors = np.zeros((words, targets.shape[1]), np.float32)
    alone = lengths == 1
    vectors[store.ids[store.offsets[:-1][alone]]] = targets[alone]
    _solve(counts, targets, vectors)
    frequency = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=0)).ravel() + PENALTY)
    _, _, basis = np.linalg.svd(frequency[:, None] * vectors, full_matrices=False)
    embedding = model.get_parameter(f"{EMBEDDING}.weight")
    basis = basis[: embedding.shape[1]]
    basis = np.pad(basis, ((0, embedding.shape[1] - len(basis)), (0, 0)))  # [dimension, teacher's dimension]
    reduced = vectors @ basis.T
    length = np.linalg.norm(reduced, axis=1)
    known = length > 0  # words of no sentence keep their random vectors, and do not count
    length[: len(SPECIAL)], known[: len(SPECIAL)] = 0, False
    with torch.no_grad():
        embedding[torch.from_numpy(known)] = torch.from_numpy(reduced[known] / length[known, None]).to(embedding)
        model.get_parameter("word_weight").copy_(torch.from_numpy(length))
        model.get_parameter("sentence_words.weight").copy_(torch.from_numpy(basis.T.copy()))
        model.get_parameter("sentence.weight").mul_(STATES_SCALE)


def _solve(counts: Any, targets: Array, vectors: Array) -> None:
    """Solve the ridge regression by conjugate gradients, from the vectors, in place."""
    transposed = counts.T.tocsr()
    inverse = (
        1 / (np.asarray(counts.multiply(counts).sum(axis=0)).ravel() + PENALTY)[:, None]
    )  # preconditioner: diagonal
    residual = transposed @ (targets - counts @ vectors)
    direction = inverse * residual
    size = (residual * direction).sum(axis=0)
    for _ in range(STEPS):
        image = transposed @ (counts @ direction) + PENALTY * direction
        step = size / np.maximum((direction * image).sum(axis=0), TINY)
        vectors += step * direction
        residual -= step * image
        scaled = inverse * residual
        before, size = size, (residual * scaled).sum(axis=0)
        direction = scaled + size / np.maximum(before, TINY) * direction
