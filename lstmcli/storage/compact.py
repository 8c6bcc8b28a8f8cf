"""Make a small file of a finished run, as those that ship.

    python -m lstmcli.storage.compact FROM TO [WORDS [FILE]]

WORDS: how many stay; FILE: words that do not, separated by whitespace.
"""

import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint, grouped
from lstmcli.storage.tensors import SCALE

WORDS = 20_000
KEPT = ("model/", "learner/", "memory/")
WHOLE = ("learned", "conformal")  # groups that are kept in full precision
PRIOR = "baseline/prior"


def compacted(checkpoint: Checkpoint, words: int = WORDS, without: Collection[str] = ()) -> Checkpoint:
    """Return the checkpoint with small weights and the most frequent words only; rarer ones become unknown, and so do
    those of ``without``: for example names of people, which then all have the same vector.

    Tables with a row per word are stored as integers of eight bits with a scale per row, all else in half precision.

    Ids are in the order of the words' counts, except of words with frozen vectors: where there are any, all words are
    kept. The linear baseline is dropped, its figures are kept.
    """
    every = len(checkpoint.vocabulary)
    last = every if checkpoint.vocabulary.frozen_words else min(words, every)
    keep = [index for index, word in enumerate(checkpoint.vocabulary.words[:last]) if word not in without]
    tensors = {name: value.half() for name, value in checkpoint.tensors.items() if name.startswith(KEPT)}
    for name in WHOLE:
        tensors |= grouped(name, checkpoint.group(name))
    for name in tensors.keys() & {f"model/{name}" for name in checkpoint.by_word}:
        tensors[name] = tensors[name][keep]
        if tensors[name].dim() == 2:
            tensors |= quantised(name, checkpoint.tensors[name][keep])
    if PRIOR in checkpoint.tensors:
        tensors[PRIOR] = checkpoint.tensors[PRIOR]
    vocabulary = checkpoint.vocabulary if len(keep) == every else checkpoint.vocabulary.pruned(keep)
    return replace(checkpoint, vocabulary=vocabulary, tensors=tensors)


def quantised(name: str, matrix: "Tensor") -> "dict[str, Tensor]":
    """Return the matrix as integers of eight bits and a scale per row, by name; an error of at most half a scale."""
    scale = (matrix.float().abs().amax(dim=1) / 127).half()
    safe = scale.float().clamp(min=torch.finfo(torch.half).tiny)
    return {name: (matrix / safe[:, None]).round().clamp(-127, 127).to(torch.int8), f"{SCALE}{name}": scale}


if __name__ == "__main__":
    origin, target, *more = sys.argv[1:]
    excluded = {word for path in more[1:] for word in Path(path).read_text("utf-8").split()}
    limit = int(more[0]) if more else WORDS
    checkpoints.save(compacted(checkpoints.load(Path(origin)), limit, excluded), Path(target))
