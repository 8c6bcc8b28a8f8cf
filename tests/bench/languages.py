"""Training a language model: ours as ``imdb-lm`` has it, against ``torch.nn.LSTM`` and a full softmax in float32."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lstmcli.config import LanguageModel
from lstmcli.data.batches import bptt
from lstmcli.data.batches.encoded import Store
from lstmcli.machine import malloc, runtime
from lstmcli.models.language_model import build
from lstmcli.tasks import model_language
from lstmcli.types import Batch

WORDS, EMBEDDING, HIDDEN = 30_000, 256, 512
COLUMNS, WINDOW, WINDOWS = 32, 64, 3


class Plain(nn.Module):
    """The model as tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
        self.decoder = nn.Linear(HIDDEN, WORDS)

    def loss(self, batch: Batch) -> torch.Tensor:
        hidden, _ = self.lstm(self.embedding(batch.tokens))
        return F.cross_entropy(self.decoder(hidden).flatten(0, 1), batch.targets.flatten())


def language_modelling(median: Callable[[Callable[[], object], int], float]) -> dict[str, float]:
    """Words a second in training, and how many times those of the plain loop; words are drawn after Zipf's law."""
    torch.set_num_threads(runtime.available_threads())
    where = runtime.Runtime("cpu", runtime.best_precision("cpu"))
    total = COLUMNS * WINDOW * WINDOWS
    words = np.exp(np.random.default_rng(0).random(total + 1) * np.log(WORDS - 3)).astype(np.int64) + 2
    store = Store(words[:-1], np.array([0, total]), words[1:], is_stream=True)
    windows = bptt.windows(store, columns=COLUMNS, window=WINDOW)
    batches = [windows.batch(number) for number in range(len(windows))]
    config = LanguageModel(embedding=EMBEDDING, hidden=HIDDEN, softmax="sampled", dropout=0.1)
    ours, plain = build(config, words=WORDS, labels=0), Plain()

    def of_ours(batch: Batch) -> torch.Tensor:
        with where.autocast():
            scores = ours(batch, ours.begin(COLUMNS))
        return model_language.loss(scores, batch).value

    def run(model: nn.Module, loss: Callable[[Batch], torch.Tensor], fused: bool) -> Callable[[], None]:
        optimizer = torch.optim.AdamW(model.parameters(), fused=fused)

        def work() -> None:
            for batch in batches:
                optimizer.zero_grad()
                loss(batch).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()

        return work

    theirs = median(run(plain, plain.loss, False), 3)
    malloc.keep(shared=True)
    seconds = median(run(ours, of_ours, True), 3)
    return {"lm_words_per_s": total / seconds, "lm_vs_plain": theirs / seconds}
