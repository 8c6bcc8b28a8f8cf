"""Training on a file larger than memory should be: resident memory of ``lstmcli train`` on millions of rows.

The words are made up, with the frequencies of Zipf's law, the rows about 300 bytes long: 5 million rows are 1.5 GB. The
figure is the peak of the whole command: reading, vocabulary, one epoch of a tiny model on the first and last words of
each text, and baselines.
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
AT_ONCE = 10_000  # rows
RECIPE = (
    "model.init=none", "model.embedding=8", "model.hidden=8", "model.sentence_embedding=0", "tokens.max_tokens=8",
    "tokens.extend=false", "train.probe=false", "train.epochs=1", "train.batch_tokens=65536",
)  # fmt: skip


def write(path: Path, rows: int) -> None:
    """Write a table of so many rows with two labels, which are in proportion to two words."""
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgk"))
    spelled = ("".join(letters[random.integers(0, len(letters), size)]) for size in random.integers(2, 10, WORDS))
    words = np.array(list(dict.fromkeys(spelled)), object)
    ranks = np.cumsum(1 / np.arange(1, len(words) + 1))
    ranks /= ranks[-1]
    with path.open("w") as file:
        file.write("text,label\n")
        for begin in range(0, rows, AT_ONCE):
            count = min(AT_ONCE, rows - begin)
            lengths = np.maximum(3, random.lognormal(np.log(MEAN * 0.8), 0.67, count).astype(int))
            drawn = words[np.searchsorted(ranks, random.random(int(lengths.sum())))].tolist()
            ends = lengths.cumsum().tolist()
            labels = random.integers(0, 2, count).tolist()
            for length, end, label in zip(lengths.tolist(), ends, labels, strict=True):
                file.write(f"{words[100 + label]} {' '.join(drawn[end - length : end])},{'bg'[label]}\n")


def peak(rows: int = ROWS) -> dict[str, float]:
    """Return the peak of the resident memory in MB, and the seconds that the command took."""
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
    print(json.dumps(peak(*map(int, sys.argv[1:]))))
