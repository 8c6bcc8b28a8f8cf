"""What a few labelled texts of a new domain change where the labels are known: ``python -m tests.bench.known_labels``.

The model ``english`` on ARSC's target domains (its dev and test rows), and the model ``imdb`` on sets of sentences and
comments that it was not trained on; neither has a text of these in its training data. Each text is embedded once. Of
each count, texts per class are drawn several times, and the head adapts as ``adapt`` does by default; the others are
scored. Where a class has too few texts, two thirds of it are drawn at most.

Accuracy is that of ``adapt --shots N``, which draws equally many texts per class from classes that are not equally
frequent, and keeps the model's class priors. Balanced accuracy is that of ``Model.adapt`` with the same texts, where
the class priors become those of the support. Calibration error is of ``--shots``. Intervals are 95 %, over domains and
draws; TF-IDF (words and pairs, logistic regression) learns from the first draw alone.

``python -m tests.bench.known_labels start``: the head that ``train`` starts from, on texts drawn at random: that of
``english``, a logistic regression of its own, and ``english``'s moved (``training/probe.py``). Beside the domains above
it has the reviews of IMDB that ``english`` was validated on, and the products that ``opinions`` tests on.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score

from lstmcli import registry
from lstmcli.config import Anchored, Data
from lstmcli.data import rows
from lstmcli.data.batches.encoded import encode
from lstmcli.data.readers.sentiment import CERTAIN
from lstmcli.inference import assemble, frozen, heads
from lstmcli.inference.step_count import as_tasks
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.storage import run_folder
from lstmcli.tasks.few_shot import over_episodes
from lstmcli.tasks.metrics import calibration_error
from lstmcli.training import probe
from lstmcli.types import Example
from tests.bench.curve import DOMAINS, tfidf

DRAWS = {5: 20, 10: 20, 50: 5, 500: 3}  # by texts per class
COMPARED = 1  # draws of TF-IDF
MOST = 3_000  # texts of a domain
SENTENCES = ("products", "mams", "goemotions", "xed", "pros_cons")
LABELS = {"1": "positive", "0": "negative"}

Array = np.ndarray[Any, np.dtype[Any]]


def reviews() -> Iterator[tuple[str, list[Example]]]:
    """ARSC's target domains; a review is negative with at most three stars."""
    path = inputs.root_of(Data(name="arsc")) / "arsc.parquet"
    found: dict[str, dict[str, str]] = {domain: {} for domain in DOMAINS}
    for row in rows.stream(path, Data()):
        domain, threshold, split, label = (str(row.values[key]) for key in ("domain", "threshold", "split", "label"))
        if domain in found and split in ("dev", "test") and (threshold, LABELS[label]) in CERTAIN:
            found[domain][str(row.values["text"])] = LABELS[label]
    for domain, texts in found.items():
        yield domain, [Example(text, label) for text, label in texts.items()]


def sentences() -> Iterator[tuple[str, list[Example]]]:
    for domain in SENTENCES:
        data = Data(name="sentiment", domains=(domain,))
        examples = registry.reader("sentiment").read(inputs.root_of(data), "train", data).examples
        order = np.random.default_rng(0).permutation(len(examples))[:MOST]
        yield domain, [examples[index] for index in order]


SETS = {"english": reviews, "imdb": sentences}
STARTS = (50, 200, 500, 2_000)  # texts
START_DRAWS = 5


def starting() -> Iterator[tuple[str, list[Example]]]:
    """Sets that ``english`` has not learned; of one that is larger than ``MOST``, a random part."""
    data = Data(name="sentiment", domains=("imdb",))
    yield "imdb", list(registry.reader(data.name).read(inputs.root_of(data), "validation", data).examples)
    for domain, examples in reviews():
        order = np.random.default_rng(0).permutation(len(examples))[:MOST]
        yield domain, [examples[index] for index in order]
    data = Data(name="opinions")
    yield "opinions", list(registry.reader(data.name).read(inputs.root_of(data), "test", data).examples)


def starts() -> Iterator[dict[str, Any]]:
    """One result per set, count and draw."""
    checkpoint = checkpoints.load(run_folder.SHIPPED / "english.pt")
    parts = assemble.restored(checkpoint, runtime.prepare(checkpoint.config))
    names = ("weight", "bias")
    head = {name: parts.model.get_parameter(f"head.{name}").detach() / checkpoint.temperature for name in names}
    for domain, examples in starting():
        store = encode(parts.vocabulary, examples, cache=None).truncated(parts.config.tokens)
        embeddings, targets = assemble.embeddings(parts, store), store.known_targets
        for count in (count for count in STARTS if count <= 0.75 * len(targets)):
            for seed in range(START_DRAWS):
                order = np.random.default_rng(seed).permutation(len(targets))
                chosen, rest = order[:count], order[count:]
                heads_of = {"english": [head[name].numpy() for name in names]}
                heads_of["own"] = probe.regression(embeddings[chosen], targets[chosen], 2, seed=0)
                parts.model.load_state_dict({f"head.{name}": head[name] for name in names}, strict=False)
                probe.move_head(parts, embeddings[chosen], targets[chosen], 1.0)
                heads_of["moved"] = [parts.model.get_parameter(f"head.{name}").detach().numpy() for name in names]
                found = {name: scores(embeddings[rest] @ weight.T + bias, targets[rest])
                         for name, (weight, bias) in heads_of.items()}  # fmt: skip
                yield {"domain": domain, "count": count, "seed": seed} | found


def start_table(found: list[dict[str, Any]]) -> Iterator[str]:
    """Accuracy and balanced accuracy of each head, a mean over draws, by set and count."""
    yield "| set, texts | `english` | logistic regression of its own | moved |"
    yield "| --- | --- | --- | --- |"
    for domain, count in dict.fromkeys((point["domain"], point["count"]) for point in found):
        own = [point for point in found if (point["domain"], point["count"]) == (domain, count)]
        cells = []
        for head in ("english", "own", "moved"):
            means = [100 * np.mean([point[head][metric] for point in own]) for metric in ("accuracy", "balanced")]
            cells.append(" / ".join(f"{mean:.1f}" for mean in means))
        yield f"| {domain}, {count:,} | {' | '.join(cells)} |"


def scores(logits: Array, targets: Array) -> dict[str, float]:
    probabilities = torch.from_numpy(logits).double().softmax(dim=1).numpy()
    best = probabilities.argmax(axis=1)
    return {
        "accuracy": float((best == targets).mean()),
        "balanced": float(balanced_accuracy_score(targets, best)),
        "ece": float(calibration_error(probabilities, targets)),
    }


def drawn(targets: Array, count: int, seed: int) -> Array:
    random = np.random.default_rng(seed)
    groups = [random.permutation(np.flatnonzero(targets == label)) for label in np.unique(targets)]
    return np.concatenate([group[: min(count, len(group) * 2 // 3)] for group in groups])


def points(name: str) -> Iterator[dict[str, Any]]:
    """One result per domain, count and draw. name: of a model that ships."""
    checkpoint = checkpoints.load(run_folder.SHIPPED / f"{name}.pt")
    where = runtime.prepare(checkpoint.config)
    headed = heads.with_new_labels(checkpoint, list(checkpoint.vocabulary.labels), (), free=True)
    parts = assemble.restored(headed, where)
    learners = {
        prior: registry.learner("anchored").build(Anchored(prior=prior), parts.model) for prior in ("model", "support")
    }
    for domain, examples in SETS[name]():
        store = encode(parts.vocabulary, examples, cache=None).truncated(parts.config.tokens)
        reading, batch = frozen.support_of(replace(parts, learner=learners["model"]), store)
        embeddings, targets = reading.model.get_buffer("embeddings"), store.known_targets
        with torch.no_grad():
            before = reading.model.get_submodule("head")(embeddings).numpy()
        for count, draws in DRAWS.items():
            for seed in range(draws):
                chosen = drawn(targets, count, seed)
                rest = np.setdiff1d(np.arange(len(targets)), chosen)
                point: dict[str, Any] = {"model": name, "domain": domain, "count": count, "seed": seed}
                point |= {"texts": len(chosen), "before": scores(before[rest], targets[rest])}
                for prior, learner in learners.items():
                    support = as_tasks(batch, [chosen.tolist()])
                    (weights,) = learner.trajectory(reading.model, support, parts.task.loss)
                    logits = embeddings @ weights["head.weight"][0].mT + weights["head.bias"][0]
                    point[prior] = scores(logits.numpy()[rest], targets[rest])
                if seed < COMPARED:
                    texts, labels = [str(one.text) for one in examples], [str(one.target) for one in examples]
                    learned = tfidf([texts[i] for i in chosen], [labels[i] for i in chosen])
                    found = learned([texts[i] for i in rest])
                    truth = [labels[i] for i in rest]
                    accuracy = float(np.mean([one == other for one, other in zip(found, truth, strict=True)]))
                    balanced = float(balanced_accuracy_score(truth, list(found)))
                    point["tfidf"] = {"accuracy": accuracy, "balanced": balanced}
                yield point


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """The lines of a Markdown table: mean figures before, changes with their intervals, and TF-IDF."""
    yield "| texts per class | accuracy | balanced accuracy | calibration error | TF-IDF, accuracy / balanced |"
    yield "| --- | --- | --- | --- | --- |"
    for count in DRAWS:
        own = [point for point in found if point["count"] == count]
        cells = []
        for metric, prior in (("accuracy", "model"), ("balanced", "support"), ("ece", "model")):
            before = np.mean([point["before"][metric] for point in own])
            gains = [{metric: point[prior][metric] - point["before"][metric]} for point in own]
            gain = over_episodes(gains, least=-1.0)[metric]
            cells.append(f"{before:.1%} {gain.value:+.1%} ({gain.low:+.1%} to {gain.high:+.1%})".replace("%", ""))
        others = [point["tfidf"] for point in own if "tfidf" in point]
        figures = ([other[metric] for other in others] for metric in ("accuracy", "balanced"))
        means = [f"{100 * np.mean(values):.1f}" for values in figures] if others else []
        texts = f"{min(point['texts'] for point in own)} to {max(point['texts'] for point in own)} in all"
        yield f"| {count} ({texts}) | {' | '.join(cells)} | {' / '.join(means) if others else '–'} |"


def main(names: list[str]) -> None:
    if names == ["start"]:
        print("\n".join(start_table(list(starts()))))
        return
    for name in names:
        found = []
        for point in points(name):
            found.append(point)
            print(json.dumps(point), file=sys.stderr, flush=True)
        print(f"\n{name}\n\n" + "\n".join(table(found)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(SETS))
