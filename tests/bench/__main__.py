"""Print a table of speeds and, last, one line of JSON. Both sides of a comparison run in one process, median of several
runs. The reference runs first, since lstmcli's memory settings would help it too.

Texts are drawn from the words of the bundled reviews at IMDB's lengths (median 174 words, mean 234), so that no other
data is needed. ``python -m tests.bench [name ...]`` runs only the benches named, each in a process of its own.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as lstmcli itself sets it

import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.data import DataLoader

from lstmcli.config import Classifier, Data, Tokens
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store, encode
from lstmcli.data.readers import reviews
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.machine import malloc, runtime
from lstmcli.models.classifier import build
from lstmcli.types import Batch, Example
from tests.bench import adapting as meta_steps
from tests.bench import languages, large, learning, peers, processes, tagging
from tests.bench import scoring as engines

Figures = dict[str, float]
MODEL = Classifier(embedding=100, hidden=128, dropout=0.3)
BUDGET = 8192  # tokens per batch, as in the imdb recipe
LIMIT = 400


def texts(count: int, mean_words: float = 234) -> list[str]:
    random = np.random.default_rng(0)
    words = " ".join(str(e.text) for e in reviews.read(reviews.BUNDLED, "train", Data()).examples).split()
    lengths = np.clip(random.lognormal(np.log(mean_words * 0.744), 0.77, count), 5, 2500).astype(int)
    starts = random.integers(0, len(words), count)
    long = words * (2500 // len(words) + 2)
    return [" ".join(long[start : start + length]) for start, length in zip(starts, lengths, strict=True)]


def median(work: Callable[[], object], times: int = 5) -> float:
    work()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def stores() -> tuple[Vocabulary, Store]:
    examples = [Example(text, "ab"[number % 2]) for number, text in enumerate(texts(2000))]
    vocabulary = Vocabulary.build((str(example.text) for example in examples), "ab", Tokens(min_count=1))
    return vocabulary, encode(vocabulary, examples, cache=None).truncated(Tokens(max_tokens=LIMIT))


class Packed(nn.Module):
    """The classifier as tutorials write it: torch.nn.LSTM over packed sequences, max and mean over time."""

    def __init__(self, words: int, *, packed: bool) -> None:
        super().__init__()
        self.packed = packed
        self.embedding = nn.Embedding(words, MODEL.embedding, padding_idx=0)
        self.lstm = nn.LSTM(MODEL.embedding, MODEL.hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(4 * MODEL.hidden, 2)
        self.dropout = nn.Dropout(MODEL.dropout)

    def forward(self, batch: Batch) -> torch.Tensor:
        embedded = self.dropout(self.embedding(batch.tokens))
        if self.packed:
            packed = pack_padded_sequence(embedded, batch.lengths, batch_first=True, enforce_sorted=False)
            hidden, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        else:
            hidden, _ = self.lstm(embedded)
        pooled = torch.cat((hidden.amax(dim=1), hidden.mean(dim=1)), dim=1)
        return self.head(self.dropout(pooled))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, where: runtime.Runtime | None) -> None:
    optimizer.zero_grad()
    if where is None:
        logits = model(batch)
    else:
        with where.autocast():
            logits = model(batch).logits
    nn.functional.cross_entropy(logits, batch.targets).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def training() -> Figures:
    """The same texts: ours (bfloat16 where fast; float32), torch.nn.LSTM packed, and the usual loop padded to 400."""
    vocabulary, store = stores()
    where = runtime.Runtime("cpu", runtime.best_precision("cpu"))
    torch.set_num_threads(runtime.available_threads())
    chosen = np.random.default_rng(0).permutation(len(store))[:320]
    part = store.lengths[chosen]
    batches = [
        batching.collate(store, chosen[places]) for places in batching.shuffled(part, batch_tokens=BUDGET, seed=(0,))
    ]
    rows = [
        (torch.from_numpy(store.ids[store.offsets[i] : store.offsets[i + 1]].astype(np.int64)), i % 2) for i in chosen
    ]

    def padded(items: list[tuple[torch.Tensor, int]]) -> Batch:
        tokens = torch.stack([nn.functional.pad(ids, (0, LIMIT - len(ids))) for ids, _ in items])
        return Batch(tokens, torch.full((len(items),), LIMIT), torch.tensor([label for _, label in items]))

    loader = DataLoader(rows, batch_size=32, collate_fn=padded)  # type: ignore[arg-type]
    ours = build(MODEL, words=len(vocabulary), labels=2)
    packed, tutorial = Packed(len(vocabulary), packed=True), Packed(len(vocabulary), packed=False)

    def run(model: nn.Module, items: Any, place: runtime.Runtime | None) -> Callable[[], None]:
        optimizer = torch.optim.AdamW(model.parameters())
        return lambda: [step(model, optimizer, batch, place) for batch in items] and None

    packed_seconds = median(run(packed, batches, None), 3)
    tutorial_seconds = median(run(tutorial, loader, None), 3)
    malloc.keep(shared=True)
    our_seconds = median(run(ours, batches, where))
    float32_seconds = median(run(ours, batches, runtime.Runtime("cpu", torch.float32)), 3)
    figures = {
        "train_tokens_per_s": part.sum() / our_seconds,
        "train_vs_packed": packed_seconds / our_seconds,
        "train_vs_packed_float32": packed_seconds / float32_seconds,
        "train_vs_tutorial": tutorial_seconds / our_seconds,
    }
    figures["busy_vs_quiet"] = beside_a_neighbour(run(ours, batches, where)) / our_seconds
    return figures


def spin() -> None:
    while True:
        pass


def beside_a_neighbour(work: Callable[[], None]) -> float:
    """The seconds when every processor has another busy process."""
    neighbours = [multiprocessing.Process(target=spin, daemon=True) for _ in range(runtime.available_threads())]
    for neighbour in neighbours:
        neighbour.start()
    try:
        return median(work, 3)
    finally:
        for neighbour in neighbours:
            neighbour.terminate()


def encoding() -> Figures:
    """50,000 reviews to ids on all processors, and what is held."""
    examples = [Example(text) for text in texts(50_000)]
    vocabulary = Vocabulary.build((str(example.text) for example in examples[:5000]), [], Tokens())
    begun = time.perf_counter()
    store = encode(vocabulary, examples, cache=None, labelled=False)
    return {
        "encode_50k_s": time.perf_counter() - begun,
        "encode_50k_mb": (store.ids.nbytes + store.offsets.nbytes) / 1e6,
    }


# Of the process itself: what the system counts for a child begins with its parent's memory.
PEAK = "import re,sys; from lstmcli.cli.app import main\ntry:\n main(sys.argv[1:])\nfinally:\n " + (
    "found = re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())\n "
    "print(int(found[1]) / 1024, file=open(sys.argv[-1] + '.mb', 'w'))"
)


def predict(folder: Path, lines: list[str]) -> tuple[float, float]:
    """Seconds of the whole command, and its peak memory in MB."""
    source, target = folder / "in.txt", folder / "out.jsonl"
    source.write_text("\n".join(lines), "utf-8")
    begun = time.perf_counter()
    command = [sys.executable, "-c", PEAK, "predict", "-q", "--input", str(source), "--output", str(target)]
    subprocess.run(command, check=True, cwd=folder)
    return time.perf_counter() - begun, float((folder / "out.jsonl.mb").read_text())


def predicting() -> Figures:
    """The whole command on 25,000 reviews, reading and writing included; its memory at 10,000 and 200,000 rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, _ = predict(folder, texts(25_000))
        _, few = predict(folder, texts(10_000, 30))
        _, many = predict(folder, texts(10_000, 30) * 20)
    return {"predict_reviews_per_s": 25_000 / seconds, "predict_10k_mb": few, "predict_200k_more_mb": many - few}


def starting() -> Figures:
    """Seconds from the shell to the answer."""
    with tempfile.TemporaryDirectory() as folder:

        def call(*arguments: str) -> Callable[[], object]:
            command = [sys.executable, "-m", "lstmcli", *arguments]
            return lambda: subprocess.run(command, check=True, capture_output=True, cwd=folder)

        return {
            "help_s": median(call("--help")),
            "import_typer_s": median(imported("typer")),
            "predict_cold_s": median(call("predict", "a fine film")),
            "import_torch_s": median(imported("torch")),
        }


def imported(name: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", f"import {name}"], check=True)


def scoring() -> Figures:
    """``predict`` on ONNX Runtime, in float32 and int8, against torch."""
    return engines.figures(texts)


def adapting() -> Figures:
    """An exact and a first-order meta-step of MAML against an exact loop over torch.nn.LSTM, a task after the other."""
    return meta_steps.figures(median)


def tagger() -> Figures:
    """The same sentences in the same batches: ours (bfloat16 where fast; float32), and as it is usually written, on one
    or all processors, whichever is faster."""
    return tagging.training(median) | tagging.predicting()


def optimising() -> Figures:
    """One step of the LSTM optimiser for 100,000 coordinates against a matrix product of as many operations."""
    return learning.figures(median)


def reading() -> Figures:
    """A step of a language model, hidden 512, 30,000 words: ours, and torch.nn.LSTM with a full softmax in float32."""
    return languages.language_modelling(median)


BENCHES = {
    "adapting": adapting,
    "optimising": optimising,
    "starting": starting,
    "encoding": encoding,
    "training": training,
    "predicting": predicting,
    "scoring": scoring,
    "peers": peers.figures,
    "tagger": tagger,
    "reading": reading,
    "processes": processes.gradient_error,
    "large": large.memory,
}


def main() -> None:
    figures: Figures = {}
    names = sys.argv[1:] or list(BENCHES)
    for name in names:
        if len(names) > 1:
            command = [sys.executable, "-m", "tests.bench", name]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            table, _, last = said.rstrip().rpartition("\n")
            print(table, flush=True)
            figures |= json.loads(last)
            continue
        print(f"\n{name}: {BENCHES[name].__doc__}")
        for key, value in BENCHES[name]().items():
            figures[key] = round(float(value), 3) or float(value)
            print(f"  {key:24} {value:12,.2f}" if figures[key] >= 0.001 else f"  {key:24} {value:12.1e}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
