"""Faithfulness of explanations: ``python -m tests.bench.explaining [train|test]``.

Of each text the fifth of the words with the largest absolute contributions is removed, and the change of the
probability of the label is compared with that after removing as many random words (DeYoung et al. 2020, "ERASER",
comprehensiveness). On training texts, where the method was chosen, also by occlusion: a word's weight is the change of
the log odds without it. Three models and data sets: ``english`` on bundled product opinions, ``english`` adapted to
intents of HWU64 (bundled) by five texts each and used on the others, and ``imdb`` on IMDB, if $LSTMCLI_DATA has it.
Prints Markdown; beside it the time of an explanation in units of a prediction, and what the midpoint rule leaves.
"""

import random
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from lstmcli import Model, load, registry
from lstmcli.config import Data
from lstmcli.errors import DataError
from lstmcli.inference import explain as explaining
from lstmcli.storage import examples as inputs
from lstmcli.storage import run_folder

REMOVED = 0.2  # of the words
DRAWS = 5  # of random words per text
LIMIT = {"opinions": 300, "hwu64": 300, "imdb": 200}  # texts
OCCLUDED = 40  # texts of IMDB, each of which occlusion predicts once per word

Span = tuple[int, int]
Weights = list[tuple[int, int, float]]


def texts_of(name: str, split: str) -> list[tuple[str, str]]:
    data = Data(name=name)
    rows = registry.reader(name).read(inputs.root_of(data), split, data).examples
    return [(str(row.text), str(row.target)) for row in rows]


def cases(split: str) -> Iterator[tuple[str, Model, list[str]]]:
    for name in ("opinions", "hwu64", "imdb"):
        try:
            pairs = texts_of(name, split)
        except DataError:
            continue
        model = load(run_folder.SHIPPED / ("imdb.pt" if name == "imdb" else "english.pt"), threads=1)
        if name == "hwu64":
            support: dict[str, list[str]] = {}
            for text, label in random.Random(0).sample(pairs, len(pairs)):
                support.setdefault(label, []).append(text)
            taken = [(text, label) for label, texts in support.items() for text in texts[:5]]
            model = model.adapt([text for text, _ in taken], [label for _, label in taken])
            pairs = [pair for pair in pairs if pair not in taken]
        texts = [text for text, _ in pairs if len(text.split()) >= 3]
        yield name, model, random.Random(0).sample(texts, min(LIMIT[name], len(texts)))


def without(text: str, spans: list[Span]) -> str:
    """The text without these words, or one unknown word if none is left."""
    for start, end in sorted(spans, reverse=True):
        text = text[:start] + text[end:]
    return text if text.strip() else "?"


def probabilities(model: Model, texts: list[str], labels: list[str]) -> np.ndarray:
    columns = [model.classes_.tolist().index(label) for label in labels]
    return model.predict_proba(texts)[np.arange(len(texts)), columns]


def occluded(model: Model, text: str, label: str, words: Weights) -> Weights:
    variants = [text, *(without(text, [(start, end)]) for start, end, _ in words)]
    found = probabilities(model, variants, [label] * len(variants)).clip(1e-9, 1 - 1e-9)
    odds = np.log(found / (1 - found))
    return [(start, end, float(odds[0] - odd)) for (start, end, _), odd in zip(words, odds[1:], strict=True)]


def change(model: Model, texts: list[str], labels: list[str], choose: Callable[[int], list[Span]]) -> float:
    """The mean absolute change of the label's probability without the chosen words."""
    before = probabilities(model, texts, labels)
    after = probabilities(model, [without(text, choose(i)) for i, text in enumerate(texts)], labels)
    return float(np.abs(before - after).mean())


def count(words: Weights) -> int:
    return max(1, round(REMOVED * len(words)))


def strongest(words: Weights) -> list[Span]:
    return [(start, end) for start, end, _ in sorted(words, key=lambda one: -abs(one[2]))[: count(words)]]


def faithfulness(name: str, model: Model, texts: list[str], method: str, words: list[Weights]) -> str:
    labels = model.predict(texts).tolist()
    top = change(model, texts, labels, lambda i: strongest(words[i]))
    draws = [
        change(model, texts, labels, lambda i, draw=draw: [one[:2] for one in
               random.Random(1000 * draw + i).sample(words[i], count(words[i]))])
        for draw in range(DRAWS)
    ]  # fmt: skip
    by_chance = float(np.mean(draws))
    return f"| {name} | {method} | {len(texts)} | {top:.3f} | {by_chance:.3f} | {top / by_chance:.1f} |"


def remainder(model: Model, texts: list[str]) -> str:
    """What the midpoint rule leaves, and how long an explanation takes; both as medians."""
    with model._ready() as predictions:
        _, store, logits = predictions._outputs(texts)
        explainer, targets = predictions._explainer, logits.argmax(axis=1)
        weights = explainer.integrated(store, targets)
        base = explaining.log_odds(explainer._of_unknown_words(store.lengths), targets, explainer._temperature)
        change = explaining.log_odds(logits, targets, explainer._temperature) - base
    left = np.abs(change - [one.sum() for one in weights])
    times: dict[str, list[float]] = {"predict": [], "explain": []}
    for _ in range(2):
        for name, work in (("predict", model.predict), ("explain", model.explain)):
            begun = time.process_time()  # other processes do not count
            work(texts)
            times[name].append(time.process_time() - begun)
    ratio = np.median(times["explain"]) / np.median(times["predict"])
    return (f"left by the midpoint rule: {left.mean():.3f} of {np.abs(change).mean():.2f} nats, 95 % below "
            f"{np.sort(left)[int(0.95 * len(left))]:.3f}; time: {ratio:.1f} predictions")  # fmt: skip


def main(split: str) -> None:
    print(
        "| data | method | texts | strongest removed | random removed | ratio |\n| --- | --- | --- | --- | --- | --- |"
    )
    notes = []
    for name, model, texts in cases(split):
        words = [[tuple(one) for one in found["contributions"]] for found in model.explain(texts)]
        print(faithfulness(name, model, texts, "integrated gradients", words), flush=True)
        notes.append(f"{name}: {remainder(model, texts)}")
        if split != "train":
            continue
        few = len(texts) if name != "imdb" else OCCLUDED
        labels = model.predict(texts[:few]).tolist()
        other = [occluded(model, *one) for one in zip(texts[:few], labels, words[:few], strict=True)]
        if few < len(texts):
            print(faithfulness(name, model, texts[:few], "integrated gradients", words[:few]))
        print(faithfulness(name, model, texts[:few], "occlusion", other), flush=True)
    print("\n" + "\n".join(notes))


if __name__ == "__main__":
    main(*sys.argv[1:] or ["test"])
