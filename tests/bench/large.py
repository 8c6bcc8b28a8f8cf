"""Training on a file larger than memory should be: resident memory of ``lstmcli train`` on millions of rows.

The words are made up, with the frequencies of Zipf's law, the rows about 300 bytes long: 5 million rows are 1.5 GB. The
figure is the peak of the whole command: reading, vocabulary, one epoch of a tiny model on the first and the last word
of each text, and baselines.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROWS = 5_000_000
WORDS = 400_000  # that there are
MEAN = 43  # words of a text
BLOCK = 200_000  # rows
RECIPE = (
    "model.init=none", "model.embedding=8", "model.hidden=8", "model.sentence_embedding=0", "tokens.kind=whitespace",
    "tokens.max_tokens=2", "tokens.extend=false", "train.probe=false", "train.epochs=1", "train.batch_tokens=65536",
    "data.validation=0.01",
)  # fmt: skip


def write(path: Path, rows: int) -> None:
    """Write a table of so many rows with two labels, which are in proportion to two words.

    Blocks of rows repeat the first, each after a word of its own.
    """
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    spelled = ("".join(letters[random.integers(0, len(letters), size)]) for size in random.integers(2, 10, WORDS))
    words = np.array(list(dict.fromkeys(spelled)), object)
    ranks = np.cumsum(1 / np.arange(1, len(words) + 1))
    lengths = np.maximum(3, random.lognormal(np.log(MEAN * 0.8), 0.67, min(rows, BLOCK)).astype(int))
    drawn = words[np.searchsorted(ranks, ranks[-1] * random.random(int(lengths.sum())))].tolist()
    labels = random.integers(0, 2, len(lengths)).tolist()
    block = [
        f"{words[100 + label]} {' '.join(drawn[end - length : end])},{'bg'[label]}\n"
        for length, end, label in zip(lengths.tolist(), lengths.cumsum().tolist(), labels, strict=True)
    ]
    with path.open("w") as file:
        file.write("text,label\n")
        for begin in range(0, rows, BLOCK):
            file.writelines(f"{words[begin // BLOCK]} {line}" for line in block[: rows - begin])


def memory(rows: int = ROWS) -> dict[str, float]:
    """The whole command ``train`` on 5 million rows, 1.5 GB: its peak memory in MB. Takes 4 GB of ``/var/tmp``."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        table = Path(folder) / "rows.csv"
        write(table, rows)
        overrides = [part for one in RECIPE for part in ("--set", one)]
        command = [sys.executable, "-m", "lstmcli", "train", str(table), "--no-cache", "--quiet", *overrides]
        begun = time.perf_counter()
        subprocess.run([*command, "--out", f"{folder}/run"], check=True)
        seconds = time.perf_counter() - begun
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"train_peak_mb_5m_rows": most, "train_5m_rows_s": seconds}


if __name__ == "__main__":
    print(json.dumps(memory(*map(int, sys.argv[1:]))))
