"""The objective of sentence embeddings: those of the model are to point where a teacher's point.

    L  =  1 - cos(embedding, teacher's embedding), a mean over sentences

Reimers & Gurevych (2020), "Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation", with the
cosine in place of the squared distance, since only directions matter.
"""

from dataclasses import replace

from lstmcli.config import RunConfig
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store, encode
from lstmcli.data.batches.ragged import Ints
from lstmcli.data.embeddings import Sentences
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.errors import ConfigError
from lstmcli.events import Listener
from lstmcli.inference import assemble
from lstmcli.inference.assemble import Parts
from lstmcli.types import Mean


def encoded(config: RunConfig, sentences: Sentences, vocabulary: Vocabulary, listener: Listener) -> Store:
    """Encode the sentences; their targets are the teacher's embeddings, ``[text, dimension]``.

    Raises:
        ConfigError: The model has no sentence embedding of that size.
    """
    size = sentences.embeddings.shape[1]
    if getattr(config.model, "sentence_embedding", 0) != size:
        where = f"train.embeddings: {config.train.embeddings}"
        what = f"the teacher's embeddings have {size} dimensions, those of the model do not"
        raise ConfigError(what, where=where, fix=f"--set model.sentence_embedding={size}")
    cache = assemble.cache_of(config)
    store = encode(vocabulary, sentences.examples, cache=cache, labelled=False, listener=listener)
    return replace(store, targets=sentences.embeddings)


def loss(parts: Parts, store: Store, indices: Ints) -> tuple[Mean, int]:
    """Compute the loss of the sentences at the indices, and their number of tokens."""
    batch = batching.collate(store, indices).to(parts.runtime.device)
    with parts.runtime.autocast():
        scores = parts.model(batch)
    assert batch.targets is not None
    cosines = (parts.model.sentence_of(scores) * batch.targets.float()).sum(dim=-1)  # type: ignore[operator]
    return Mean((1 - cosines).mean(), len(indices)), int(batch.lengths.sum())
