"""Usual text classifiers and the models that ship, on the same reviews: seconds, megabytes, accuracy.

TF-IDF of words and pairs of words with logistic regression (scikit-learn), and fastText (Joulin et al. 2017, with pairs
of words, dimension 10), if it is installed: ``pip install fasttext-wheel``. Both learn from the 25,000 training reviews
of IMDB in ``LSTMCLI_DATA``; the models that ship were trained on these and more. All label the same file of test
reviews, each as a command of its own, one after the other in each round.
"""

import json
import os
import pickle
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as parquet

Figures = dict[str, float]
TRAINED, LABELLED, ROUNDS = 25_000, 5_000, 3
PREFIX = "__label__"
# Runs a module. Peak memory as the process itself has it: what the system counts for a child begins with its parent's.
RUN = """import atexit, pathlib, runpy, sys
atexit.register(lambda: pathlib.Path("status").write_bytes(pathlib.Path("/proc/self/status").read_bytes()))
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)"""


class Used(NamedTuple):
    """Of a command: seconds, those of the processor, and peak memory in MB."""

    wall: float
    processor: float
    memory: float


def tfidf_train() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    lines = Path("train.txt").read_text("utf-8").splitlines()
    labels, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = make_pipeline(vectorizer, LogisticRegression(C=10, max_iter=200)).fit(texts, labels)
    Path("tfidf.model").write_bytes(pickle.dumps(model))


def tfidf_predict() -> None:
    model = pickle.loads(Path("tfidf.model").read_bytes())
    texts = Path("in.txt").read_text("utf-8").splitlines()
    probabilities = model.predict_proba(texts)
    _write((model.classes_[row.argmax()], row.max()) for row in probabilities)


def fasttext_train() -> None:
    fasttext = import_module("fasttext")  # not among the packages for development
    lines = Path("train.txt").read_text("utf-8").splitlines()
    Path("words.txt").write_text("".join(f"{PREFIX}{_words(line)}\n" for line in lines), "utf-8")
    fasttext.train_supervised("words.txt", wordNgrams=2, dim=10, lr=0.5, verbose=0).save_model("fasttext.model")


def fasttext_predict() -> None:
    fasttext = import_module("fasttext")
    texts = [_words(line) for line in Path("in.txt").read_text("utf-8").splitlines()]
    labels, probabilities = fasttext.load_model("fasttext.model").predict(texts)
    pairs = zip(labels, probabilities, strict=True)
    _write((label[0].removeprefix(PREFIX), probability[0]) for label, probability in pairs)


def _words(line: str) -> str:
    """Words and punctuation with blanks between, in lower case, as the tutorial of fastText prepares texts."""
    return " ".join(re.findall(r"\w+|[^\w\s]", line.lower()))


def _write(pairs: Iterable[tuple[str, float]]) -> None:
    with Path("out.jsonl").open("w") as file:
        for label, probability in pairs:
            file.write(json.dumps({"label": str(label), "probability": float(probability)}) + "\n")


PARTS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (tfidf_train, tfidf_predict, fasttext_train, fasttext_predict)
}


def figures(labelled: int = LABELLED, rounds: int = ROUNDS) -> Figures:
    """TF-IDF with logistic regression, fastText and the models that ship, on IMDB: training, prediction, accuracy."""
    source = Path(os.environ.get("LSTMCLI_DATA", os.devnull)) / "imdb"
    if not source.is_dir():
        print("  without IMDB in LSTMCLI_DATA there is nothing to compare on")
        return {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(source, folder, labelled)
        found, commands = {}, {}
        for kind in ("tfidf", "fasttext"):
            if find_spec({"tfidf": "sklearn"}.get(kind, kind)) is None:
                print(f"  {kind} is not installed")
                continue
            training = _run(_command(f"{kind}_train"), folder)
            found |= {f"{kind}_train_s": training.wall, f"{kind}_train_mb": training.memory}
            commands[kind] = (_command(f"{kind}_predict"), folder / f"{kind}.model")
        for kind in ("english", "imdb"):
            small = folder / f"{kind}.onnx"
            _run(["lstmcli", "export", kind, str(small), "--int8", "-q"], folder)
            shipped = Path(__file__).parents[2] / "lstmcli" / "pretrained" / f"{kind}.pt"
            for label, path in ((kind, shipped), (f"{kind}_int8", small)):
                options = ["-q", "-i", "in.txt", "-o", "out.jsonl", "-c", str(path)]
                commands[label] = (["lstmcli", "predict", *options], path)
        used: dict[str, list[Used]] = {kind: [] for kind in commands}
        for _ in range(rounds):
            for kind, (command, _) in commands.items():
                used[kind].append(_run(command, folder))
                found[f"{kind}_accuracy"] = _accuracy(folder)
        for kind, (_, path) in commands.items():
            wall, processor, memory = (statistics.median(part) for part in zip(*used[kind], strict=True))
            found |= {f"{kind}_reviews_per_s": labelled / wall, f"{kind}_ms_per_review": processor / labelled * 1e3}
            found |= {f"{kind}_peak_mb": memory, f"{kind}_file_mb": path.stat().st_size / 1e6}
    for kind in ("english_int8", "imdb_int8"):
        found[f"{kind}_vs_tfidf_cpu"] = found["tfidf_ms_per_review"] / found[f"{kind}_ms_per_review"]
    return found | {"predict_vs_tfidf": found["imdb_int8_reviews_per_s"] / found["tfidf_reviews_per_s"]}


def _prepare(source: Path, folder: Path, labelled: int) -> None:
    """Write ``train.txt``, a label and a text per line; ``in.txt``, a text per line; and ``labels.txt``."""
    for split, count in (("train", TRAINED), ("test", labelled)):
        table = parquet.read_table(source / f"{split}.parquet", columns=["text", "label"]).to_pydict()
        chosen = np.random.default_rng(0).permutation(len(table["text"]))[:count].tolist()
        texts = [" ".join(table["text"][index].split()) for index in chosen]
        labels = [("negative", "positive")[table["label"][index]] for index in chosen]
        if split == "train":
            pairs = zip(labels, texts, strict=True)
            (folder / "train.txt").write_text("".join(f"{label} {text}\n" for label, text in pairs), "utf-8")
        else:
            (folder / "in.txt").write_text("".join(f"{text}\n" for text in texts), "utf-8")
            (folder / "labels.txt").write_text("\n".join(labels), "utf-8")


def _command(part: str) -> list[str]:
    return ["tests.bench.peers", part]


def _run(command: list[str], folder: Path) -> Used:
    """Run a module with arguments."""
    root, *more = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, *filter(None, more)])}
    begun = time.perf_counter()
    arguments = [sys.executable, "-c", RUN, *command]
    process = subprocess.Popen(arguments, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    wall = time.perf_counter() - begun
    status_of = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    return Used(wall, usage.ru_utime + usage.ru_stime, int(status_of["VmHWM"].split()[0]) / 1024)


def _accuracy(folder: Path) -> float:
    labels = (folder / "labels.txt").read_text("utf-8").splitlines()
    answers = (json.loads(line)["label"] for line in (folder / "out.jsonl").read_text("utf-8").splitlines())
    return float(np.mean([found == label for found, label in zip(answers, labels, strict=True)]))


if __name__ == "__main__":
    PARTS[sys.argv[1]]()
