"""Words that a trained model does not know: more rows in its vocabulary, and a bag of words beside its states."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import torch

from lstmcli import registry
from lstmcli.contracts import ModelHooks, hooks
from lstmcli.data.text.vocabulary import UNKNOWN
from lstmcli.data.text.word_features import likeness
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.types import Example

DIMENSIONS = 1024


def with_words(checkpoint: Checkpoint, texts: Sequence[Example], *, min_count: int, most: int) -> Checkpoint:
    """Add the texts' unknown words of at least that frequency to the vocabulary, with the vectors of the unknown word.

    most: how many are added, the most frequent. None is added to a model of pieces of words, or where a language model
    shares the vocabulary.
    """
    if checkpoint.context:
        return checkpoint
    counts = Counter(chain.from_iterable(checkpoint.vocabulary.unknown_words(str(one.text) for one in texts)))
    words = [word for word, count in counts.most_common(most) if count >= min_count]
    if not words:
        return checkpoint
    tensors = dict(checkpoint.tensors)
    by_word = hooks(ModelHooks, registry.model(checkpoint.config.model.name)).BY_WORD
    for name in (f"model/{name}" for name in by_word if f"model/{name}" in tensors):
        rows = tensors[name]
        tensors[name] = torch.cat((rows, rows[UNKNOWN].expand(len(words), *rows.shape[1:])))
    vocabulary = checkpoint.vocabulary.with_words(words, frozen=False)
    return replace(checkpoint, vocabulary=vocabulary, tensors=tensors)


def with_bag(checkpoint: Checkpoint, texts: Sequence[Example], dimensions: int = DIMENSIONS) -> Checkpoint:
    """Add a bag of words, in which words of similar spelling have similar vectors; the head does not use it yet.

    Unknown words of the texts are added to the vocabulary, with the LSTM's vector of the unknown word. With a language
    model that shares the vocabulary none is added.
    """
    new = [] if checkpoint.context else checkpoint.vocabulary.unknown(str(example.text) for example in texts)
    vocabulary = checkpoint.vocabulary.with_words(new, frozen=False) if new else checkpoint.vocabulary
    section = checkpoint.config.model.model_copy(update={"bag_of_words": dimensions})
    config = checkpoint.config.model_copy(update={"model": section})
    add = hooks(ModelHooks, registry.model(config.model.name)).with_bag
    assert add is not None  # every section with a bag has one
    weights = add(checkpoint.group("model"), torch.from_numpy(likeness(vocabulary.words, dimensions)))
    return replace(
        checkpoint, config=config, vocabulary=vocabulary, tensors=checkpoint.tensors | grouped("model", weights)
    )
