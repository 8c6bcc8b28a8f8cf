"""Accuracy against the number of labelled texts, beside what else learns from as many: ``make curve``.

Sentiment of four domains that the model that ships has not learned from (books, DVDs, electronics, kitchen: the target
domains of ARSC), and intents of BANKING77 and CLINC150, which it has not learned from either. Of each data set a pool
to draw from and a test part are fixed; each count of labels is drawn for each seed, as many of each class as the pool
allows: up to 100 equally many; of 500 and 800 reviews most are positive, as in the pool. All methods learn from the
same texts:

    tfidf    TF-IDF of words and pairs, logistic regression
    minilm   logistic regression on frozen embeddings of all-MiniLM-L6-v2, if the extra ``teacher`` is installed
    adapt    the model that ships, adapted: ``load().adapt``; without labels as it is
    train    what ``lstmcli train my.csv`` makes of the texts: ``fit``

Balanced accuracy, the mean over data sets and seeds with a 95 % interval over data sets and seeds. It comes out as
Markdown and JSON (``runs/curve.json``), and as a picture (``runs/curve.svg``). ``python -m tests.bench.curve [method
...]`` takes a part; ``train``, the slowest, is measured at two counts with one seed.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from lstmcli import fit, load, registry
from lstmcli.config import Data
from lstmcli.errors import LstmcliError
from lstmcli.report import charts
from lstmcli.storage import examples as inputs
from lstmcli.tasks.few_shot import over_episodes
from lstmcli.types import Measure

COUNTS = {"sentiment": (0, 10, 50, 100, 500, 800), "intents": (1, 5, 10)}  # labels; of intents per class
SEEDS = (0, 1, 2)
SLOW, TRAINED = "train", (100, 500)  # takes a minute: with the first seed and these counts alone
DOMAINS = ("books", "dvd", "electronics", "kitchen_housewares")
CERTAIN = {("t2", "negative"), ("t4", "negative"), ("t4", "positive"), ("t5", "positive")}
POOL, TESTED = 800, 1500
OUT = Path("runs")

PALETTE = """
svg { background: #fff } text { font: 11px system-ui, sans-serif; fill: #444 }
.line { fill: none; stroke-width: 2 } .band { opacity: 0.15; stroke: none } .grid, .axis { stroke: #ccc }
.c1 { stroke: #666; fill: #666 } .c2 { stroke: #b07aa1; fill: #b07aa1 } .c3 { stroke: #e07b00; fill: #e07b00 }
.c4 { stroke: #1f77b4; fill: #1f77b4 } .line.c1, .line.c2, .line.c3, .line.c4 { fill: none }
text[class] { stroke: none }
"""

Texts, Labels = list[str], list[str]
Points = list[dict[str, Any]]
Learned = Callable[[Texts], Sequence[Any]]


def sentiment() -> Iterator[tuple[str, Texts, Labels, Texts, Labels]]:
    """By domain a pool and a test part."""
    rows = registry.reader("arsc").read(inputs.root_of(Data(name="arsc")), "test", Data(name="arsc")).examples
    for domain in DOMAINS:
        texts: dict[str, str] = {}
        for example in rows:
            threshold, _, text = str(example.text).partition(" ")
            if example.domain.startswith(domain) and (threshold, example.target) in CERTAIN:
                texts[text] = str(example.target)
        order = np.random.default_rng(0).permutation(len(texts))
        pairs = [list(texts.items())[index] for index in order]
        (pool, known), (tested, answers) = (map(list, zip(*part, strict=True)) for part in (pairs[:POOL], pairs[POOL:]))
        yield domain, pool, known, tested, answers


def intents() -> Iterator[tuple[str, Texts, Labels, Texts, Labels]]:
    """All classes of the data set at once; the test part is drawn from its texts."""
    for name in ("banking77", "clinc150"):
        data = Data(name=name)
        rows = [
            row
            for split in inputs.splits(data)
            for row in registry.reader(name).read(inputs.root_of(data), split, data).examples
        ]
        order = np.random.default_rng(0).permutation(len(rows))
        tested = [rows[index] for index in order[:TESTED]]
        pool = [rows[index] for index in order[TESTED:]]
        yield (
            name,
            [str(row.text) for row in pool],
            [str(row.target) for row in pool],
            [str(row.text) for row in tested],
            [str(row.target) for row in tested],
        )


def drawn(labels: Labels, count: int, seed: int, *, per_class: bool) -> list[int]:
    """Indices of so many texts, as many of each class as there are."""
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class: dict[str, list[int]] = {}
    for index in order:
        by_class.setdefault(labels[index], []).append(int(index))
    if per_class:
        return [index for rows in by_class.values() for index in rows[:count]]
    chosen: list[int] = []
    for turn in range(max(map(len, by_class.values()))):
        chosen += [rows[turn] for rows in by_class.values() if turn < len(rows)]
    return chosen[:count]


def tfidf(texts: Texts, labels: Labels) -> Learned:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(C=10, max_iter=300).fit(words.fit_transform(texts), labels)
    return lambda tested: model.predict(words.transform(tested))


def minilm(texts: Texts, labels: Labels) -> Learned:
    from tests.bench.teacher import embed

    model = LogisticRegression(C=10, max_iter=300).fit(_embedded(embed, texts), labels)
    return lambda tested: model.predict(_embedded(embed, tested))


EMBEDDED: dict[str, np.ndarray[Any, Any]] = {}


def _embedded(embed: Callable[[Texts], Any], texts: Texts) -> Any:
    if new := [text for text in texts if text not in EMBEDDED]:
        EMBEDDED.update(zip(new, embed(new).astype(np.float32), strict=True))
    return np.stack([EMBEDDED[text] for text in texts])


def adapt(texts: Texts, labels: Labels) -> Learned:
    return (load().adapt(texts, labels) if texts else load()).predict


def train(texts: Texts, labels: Labels) -> Learned:
    return fit(texts, labels).predict


METHODS: dict[str, Callable[[Texts, Labels], Learned]] = {
    "tfidf": tfidf,
    "minilm": minilm,
    "adapt": adapt,
    "train": train,
}


def points(methods: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One result per data set, count, seed and method."""
    for kind, sets in (("sentiment", sentiment), ("intents", intents)):
        for name, pool, labels, tested, answers in sets():
            for count in COUNTS[kind]:
                for seed in SEEDS if 0 < count < len(pool) else SEEDS[:1]:
                    chosen = drawn(labels, count, seed, per_class=kind == "intents")
                    for method in methods:
                        if (not chosen and method != "adapt") or (
                            method == SLOW and (seed or kind == "intents" or count not in TRAINED)
                        ):
                            continue
                        start = time.perf_counter()
                        try:
                            learned = METHODS[method]([pool[i] for i in chosen], [labels[i] for i in chosen])
                            score = balanced_accuracy_score(answers, list(learned(tested)))
                        except LstmcliError as error:
                            print(f"{name} {count} {method}: {error}", file=sys.stderr)
                            continue
                        seconds = time.perf_counter() - start
                        point = {"kind": kind, "data": name, "count": count, "seed": seed, "method": method}
                        yield point | {"score": float(score), "seconds": seconds}


def mean(found: Points, kind: str, count: int, method: str) -> Measure | None:
    """The mean score of the points, with its interval."""
    scores = [
        {"score": one["score"]} for one in found if (one["kind"], one["count"], one["method"]) == (kind, count, method)
    ]
    return over_episodes(scores)["score"] if scores else None


def table(found: Points, kind: str, methods: Sequence[str]) -> str:
    """The means as Markdown."""
    lines = [f"| {kind}, labels | {' | '.join(methods)} |", f"| --- |{' --- |' * len(methods)}"]
    for count in COUNTS[kind]:
        measures = [mean(found, kind, count, method) for method in methods]
        cells = [f"{one.value:.1%} ({one.low:.1%} to {one.high:.1%})" if one else "–" for one in measures]
        lines.append(f"| {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(found: Points, methods: Sequence[str]) -> str:
    """The means of sentiment as an SVG image, light and dark."""
    kind = "sentiment"
    counts = COUNTS[kind]
    series = []
    for method in methods:
        measures = {at: one for at, count in enumerate(counts) if (one := mean(found, kind, count, method))}
        points = [(float(at), one.value) for at, one in measures.items()]
        bounds = [[one.low for one in measures.values()], [one.high for one in measures.values()]]
        series.append(charts.Series(method, points, *bounds))
    across = charts.Axis(0, len(counts) - 1, "labelled texts", lambda at: f"{counts[round(at)]:,}")
    up = charts.Axis(0.45, 0.95, "balanced accuracy")
    about = "Balanced accuracy against the number of labelled texts, four domains of reviews not trained on"
    drawn = charts.lines(series, across, up, about)
    names = "".join(
        f'<text class="c{number}" x="{-20 + 80 * number}" y="118">{one.name}</text>'
        for number, one in enumerate(series, 1)
    )
    opening, _, rest = drawn.partition(">")
    style = f"<style>{PALETTE}</style>"
    return f'{opening} xmlns="http://www.w3.org/2000/svg">{style}{rest.replace("</svg>", names + "</svg>")}\n'


def main(methods: Sequence[str]) -> None:
    OUT.mkdir(exist_ok=True)
    found = []
    for point in points(methods):
        found.append(point)
        print(json.dumps(point), file=sys.stderr, flush=True)
    for kind in dict.fromkeys(one["kind"] for one in found):
        print(f"\n{table(found, kind, methods)}")
    (OUT / "curve.json").write_text(json.dumps(found, indent=1) + "\n")
    (OUT / "curve.svg").write_text(picture(found, methods), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or list(METHODS))
