"""The tagger against the same model over packed sequences with ``pytorch-crf``; and ``predict`` on raw text."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torchcrf import CRF

from lstmcli import recipes
from lstmcli.config import Data, Tagger
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store, built, encode
from lstmcli.data.readers import entities
from lstmcli.inference import assemble
from lstmcli.machine import malloc, runtime
from lstmcli.storage import checkpoint
from lstmcli.tasks import tag
from lstmcli.training.loop import optimizer_for
from lstmcli.types import CASINGS, Batch, Example
from tests.bench import scoring

Figures = dict[str, float]
SENTENCES = 1200
WORDS = 200_000  # of the text to predict


class Packed(nn.Module):
    """The usual implementation of the same model: a convolution over the characters of every word, ``torch.nn.LSTM``
    over packed sequences, and the CRF of pytorch-crf."""

    def __init__(self, words: int, labels: int, config: Tagger) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, config.embedding, padding_idx=0)
        self.casing = nn.Embedding(CASINGS, config.casing)
        self.characters = nn.Embedding(257, config.character_embedding, padding_idx=0)
        self.convolution = nn.Conv1d(config.character_embedding, config.character_features, 3, padding=1)
        inputs = config.embedding + config.casing + config.character_features
        self.lstm = nn.LSTM(inputs, config.hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * config.hidden, labels)
        self.dropout = nn.Dropout(config.dropout)
        self.crf = CRF(labels, batch_first=True)

    def loss(self, batch: Batch) -> Tensor:
        words = batch.word_features
        characters = self.characters(words.characters[words.forms]).flatten(0, 1)  # [batch * time, longest, feature]
        read = self.convolution(characters.mT).amax(dim=2).unflatten(0, batch.tokens.shape)
        features = torch.cat((self.embedding(batch.tokens), read, self.casing(words.casing)[words.forms]), dim=-1)
        packed = pack_padded_sequence(self.dropout(features), batch.lengths, batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        emissions = self.head(self.dropout(hidden))
        return -self.crf(emissions, batch.targets, mask=batch.mask, reduction="token_mean")


def sentences(count: int) -> list[Example]:
    """The bundled sentences, over and over, with lengths as CoNLL-2003 has them (mean 14.5 words)."""
    random = np.random.default_rng(0)
    found = [example for split in ("train", "validation", "test")
             for example in entities.read(entities.BUNDLED, split, Data(name="entities")).examples]  # fmt: skip
    chosen = [found[place] for place in random.integers(0, len(found), count)]
    cuts = np.clip(random.gamma(1.3, 11, count), 2, 113).astype(int)
    return [Example(example.text[:cut], example.target[:cut]) for example, cut in zip(chosen, cuts, strict=True)]


def prepared() -> tuple[assemble.Parts, Store]:
    config = recipes.load("conll2003", overrides=["model.vectors=none"])
    examples = sentences(SENTENCES)
    vocabulary = built(examples, config.tokens, cache=None)
    where = runtime.Runtime("cpu", runtime.best_precision("cpu"))
    return assemble.fresh(config, vocabulary, where), encode(vocabulary, examples, cache=None)


def epoch(model: nn.Module, loss_of: Callable[[Batch], Tensor], parts: assemble.Parts, store: Store) -> None:
    config = parts.config.train
    optimizer = optimizer_for(model, config)
    for indices in batching.shuffled(store.lengths, batch_tokens=config.batch_tokens, seed=(0,)):
        optimizer.zero_grad()
        loss_of(batching.collate(store, indices)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()


def training(median: Callable[..., float]) -> Figures:
    """The same sentences in the same batches: ours (bfloat16 where fast; float32) on as many processors as the engine
    gives it, and as it is usually written on one or all, whichever is faster."""
    parts, store = prepared()
    available = runtime.available_threads()

    def ours(where: runtime.Runtime) -> Callable[[Batch], Tensor]:
        def loss_of(batch: Batch) -> Tensor:
            with where.autocast():
                scores = parts.model(batch)
            return tag.loss(scores, batch).value

        return loss_of

    def seconds(model: nn.Module, loss_of: Callable[[Batch], Tensor], threads: int) -> float:
        torch.set_num_threads(threads)
        return median(lambda: epoch(model, loss_of, parts, store), 5)

    packed = Packed(len(parts.vocabulary), len(parts.vocabulary.labels), parts.config.model)
    theirs = min(seconds(packed, packed.loss, threads) for threads in {1, available})
    malloc.keep(shared=True)
    threads = runtime.step_threads(parts.config) or available
    own = seconds(parts.model, ours(parts.runtime), threads)
    in_full = seconds(parts.model, ours(runtime.Runtime("cpu", torch.float32)), threads)
    return {
        "tagger_words_per_s": store.offsets[-1] / own,
        "tagger_vs_torchcrf": theirs / own,
        "tagger_vs_torchcrf_float32": theirs / in_full,
    }


def predicting() -> Figures:
    """The whole command on 200,000 words, a sentence a line, reading and writing included; and its seconds of the
    processor against those of torch in float32."""
    parts, _ = prepared()
    examples = sentences(WORDS // 12)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = checkpoint.grouped("model", parts.model.state_dict())
        checkpoint.save(checkpoint.Checkpoint(parts.config, parts.vocabulary, state), folder / "model.pt")
        (folder / "in.txt").write_text("\n".join(" ".join(example.text) for example in examples), "utf-8")
        whole, used = scoring.seconds(scoring.RUN, folder, "-c", "model.pt")
        _, of_torch = scoring.seconds(scoring.TORCH, folder, "-c", "model.pt", "--precision", "float32")
    words = sum(len(example.text) for example in examples)
    return {"tag_words_per_s": words / whole, "tag_vs_torch_float_cpu": of_torch / used}
