"""What every model in the registry must do, whatever its kind."""

import copy
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, grad, vmap

from lstmcli import registry
from lstmcli.config import Classifier, Data, LanguageModel, Multilabel, RunConfig, Section, Tagger, Tokens, Train
from lstmcli.contracts import TaskHooks, hooks
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import Store, built, encode
from lstmcli.events import Evaluated, Event
from lstmcli.inference import assemble
from lstmcli.machine import runtime
from lstmcli.models import crf
from lstmcli.storage.checkpoint import Checkpoint, grouped, load, save
from lstmcli.training.loop import Job, Position, fit, optimizer_for
from lstmcli.types import Batch, ClassScores, Example, LabelSet, Mean, Scores, TokenScores

TEXTS = ["a b c", "b", "c c a b a", "d e", "e", "a e d b", "c", "d d d a"]
SETS = ["x y", "y", "", "x", "y z", "x", "x y", "z"]
LABELS = ["x", "y", "y", "x", "y", "x", "y", "x"]
WORDS = {"a": "Ada", "b": "bee", "c": "c3", "d": "--", "e": "eX"}  # of several letters, in every casing
TAGS = ["O B-p E-p", "S-q", "S-p O S-q O S-q", "O O", "O", "O B-q E-q S-p", "S-p", "O O O S-q"]
EXAMPLES = {  # by what the task reads, and sets of labels
    "sets": [Example(text, LabelSet(labels.split())) for text, labels in zip(TEXTS, SETS, strict=True)],
    "text": [Example(text, label) for text, label in zip(TEXTS, LABELS, strict=True)],
    "stream": [Example(text) for text in TEXTS],
    "words": [
        Example(tuple(WORDS[word] for word in text.split()), tuple(tags.split()))
        for text, tags in zip(TEXTS, TAGS, strict=True)
    ],
}

CONTEXT = Path("language-model.pt")  # stands for the one below, which no file holds
BESIDE = LanguageModel(embedding=4, hidden=3, bidirectional=True)
VARIANTS: dict[str, list[Section]] = {  # by model: configurations that reach every branch
    "classifier": [
        Classifier(embedding=6, hidden=5, dropout=0.0, pooling=pooling, bidirectional=both, layers=layers)
        for pooling in ("last", "mean", "max", "max-mean", "attention")
        for both, layers in ((True, 1), (False, 2))
    ]
    + [Classifier(embedding=6, hidden=5, dropout=0.0, film=True)]
    + [Classifier(embedding=6, hidden=5, dropout=0.0, bag_of_words=7)]
    + [Classifier(embedding=6, hidden=5, dropout=0.0, context=CONTEXT)],
    "language-model": [
        LanguageModel(embedding=12, hidden=16, dropout=0.0, softmax=softmax, bidirectional=both, layers=layers)
        for softmax in ("full", "adaptive")
        for both, layers in ((True, 1), (False, 2))
    ],
    "multilabel": [
        Multilabel(embedding=6, hidden=5, dropout=0.0, layers=2),
        Multilabel(embedding=6, hidden=5, dropout=0.0, bag_of_words=7),
    ],
    "tagger": [
        Tagger(
            embedding=6, hidden=5, dropout=0.0, word_dropout=0.0, character_embedding=3, character_features=4,
            characters=characters, casing=casing, head=head, bidirectional=both, layers=layers,
        )
        for characters, casing, head in (("cnn", 2, "crf"), ("lstm", 0, "crf"), ("none", 2, "softmax"))
        for both, layers in ((True, 1), (False, 2))
    ]
    + [
        Tagger(
            embedding=6, hidden=5, dropout=0.0, word_dropout=0.0, character_embedding=3, character_features=4,
            casing=0, context=CONTEXT,
        )
    ],
}  # fmt: skip
CASES = [pytest.param(name, config, id=f"{name}-{number}")
         for name in sorted(registry.MODELS) for number, config in enumerate(VARIANTS.get(name, ()))]  # fmt: skip
battery = pytest.mark.parametrize(("name", "model_config"), CASES)
OF_TEXTS = [case for case in CASES if registry.task(case.values[1].task).READS == "text"]


def parts_of(config: RunConfig, seed: int = 0) -> tuple[assemble.Parts, Store]:
    torch.manual_seed(seed)
    task = registry.task(config.task)
    reads = task.READS
    examples = EXAMPLES["sets" if hooks(TaskHooks, task).LABEL_SETS else reads]
    vocabulary = built(examples, config.tokens, cache=None, stream=reads == "stream")
    beside = None if getattr(config.model, "context", None) is None else BESIDE
    if beside is not None:
        texts = [example.text if isinstance(example.text, str) else " ".join(example.text) for example in examples]
        words = built(list(map(Example, texts)), Tokens(min_count=1, kind="whitespace"), cache=None, stream=True)
        vocabulary = vocabulary.with_context(words) if reads == "words" else words.with_labels(vocabulary.labels)
    parts = assemble.fresh(config, vocabulary, runtime.Runtime("cpu", torch.float32), beside)
    return parts, encode(vocabulary, examples, cache=None)


def config_of(model: Section, **train: object) -> RunConfig:
    task = registry.task(model.task)
    reads, separator = task.READS, "," if hooks(TaskHooks, task).LABEL_SETS else None
    return RunConfig(
        data=Data(label_separator=separator),
        tokens=Tokens(min_count=1, kind="pretokenized" if reads == "words" else "words"),
        model=model,
        train=Train(**{"epochs": 2, "batch_tokens": 16, **train}),
        precision="float32",
    )


def training(parts: assemble.Parts, store: Store) -> Iterator[Event]:
    def loss_of(indices: np.ndarray) -> tuple[Mean, int]:
        batch = batching.collate(store, indices)
        return parts.task.loss(parts.model(batch), batch), 1

    def evaluate() -> dict[str, float]:
        return parts.task.summary(assemble.outputs(parts, store), store.targets)

    def items(epoch: int) -> list[np.ndarray]:
        return batching.shuffled(store.lengths, batch_tokens=parts.config.train.batch_tokens, seed=(0, epoch))

    job = Job(parts.model, optimizer_for(parts.model, parts.config.train), items, loss_of, evaluate)
    return fit(job, parts.config.train, Position())


def trained(parts: assemble.Parts, store: Store) -> assemble.Parts:
    list(training(parts, store))
    return parts


def scores(model: nn.Module, batch: Batch) -> torch.Tensor:
    return flat(model(batch))


def flat(found: Scores) -> torch.Tensor:
    """All that the scores say of each text in turn: ``[text, label]``, or ``[word, label]``."""
    if isinstance(found, ClassScores):
        return found.logits
    if isinstance(found, TokenScores):
        return torch.cat(
            [row[:, :length].T for row, length in zip(found.log_probs.unbind(1), found.lengths, strict=True)]
        )
    chain = crf.Chain(found.transitions, found.start, found.end)
    # The probability of a tag is the derivative of the log partition by its emission.
    probabilities = grad(lambda one: crf.log_partition(chain, one, found.lengths).sum())(found.emissions)
    return torch.cat([row[:length] for row, length in zip(probabilities, found.lengths, strict=True)])


def padded(batch: Batch, extra: int) -> Batch:
    features = batch.word_features
    if features is not None:
        features = replace(features, forms=nn.functional.pad(features.forms, (0, extra)))
    targets = None  # but of a token stream, which is scored by them
    if features is None and batch.targets is not None and batch.targets.dim() == 2:
        targets = nn.functional.pad(batch.targets, (0, extra))
    return replace(batch, tokens=nn.functional.pad(batch.tokens, (0, extra)), targets=targets, word_features=features)


@pytest.mark.parametrize("name", sorted(VARIANTS.keys() | registry.MODELS.keys()))
def test_every_model_has_variants(name: str) -> None:
    assert name in registry.MODELS, f"'{name}' has VARIANTS, but is not in registry.MODELS"
    assert name in VARIANTS, f"add configurations of '{name}' to VARIANTS in {__file__}: no other test here runs it"


@pytest.mark.slow
@battery
def test_overfits_eight_examples(name: str, model_config: Section) -> None:
    parts, store = parts_of(config_of(model_config, epochs=120, lr=0.05, warmup=0.1, weight_decay=0.0))
    epochs = (event for event in training(parts, store) if isinstance(event, Evaluated))
    assert any(event.metrics["score"] >= best(parts.config) for event in epochs)  # and no epoch more


def best(config: RunConfig) -> float:
    """The score of a model that knows the eight examples by heart."""
    if registry.task(config.task).READS != "stream":
        return 1.0
    sides = [[text.split() for text in TEXTS]]
    if config.model.bidirectional:
        sides.append([words[::-1] for words in sides[0]])
    losses = []
    for side in sides:
        begun = Counter(tuple(words[:place]) for words in side for place in range(len(words) + 1))
        ended = Counter(map(tuple, side))  # an end is a word too
        for words in map(tuple, side):
            losses += [-math.log(begun[words[: place + 1]] / begun[words[:place]]) for place in range(len(words))]
            losses.append(-math.log(ended[words] / begun[words]))
    return -sum(losses) / len(losses) - 0.1


@battery
def test_every_parameter_gets_a_gradient(name: str, model_config: Section) -> None:
    parts, store = parts_of(config_of(model_config))
    batch = batching.collate(store, np.arange(len(store)))
    parts.task.loss(parts.model(batch), batch).value.backward()
    silent = [name for name, value in parts.model.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


@battery
def test_neighbours_and_padding_do_not_change_a_text(name: str, model_config: Section) -> None:
    parts, store = parts_of(config_of(model_config))
    parts.model.double().eval()
    together = scores(parts.model, batching.collate(store, np.arange(len(store))))
    alone = torch.cat([scores(parts.model, batching.collate(store, np.array([place]))) for place in range(len(store))])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)
    batch = batching.collate(store, np.arange(len(store)))
    torch.testing.assert_close(scores(parts.model, padded(batch, 7)), together, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "model_config"), OF_TEXTS)
def test_weights_of_many_tasks_are_mapped(name: str, model_config: Section) -> None:
    """As few-shot learners do that adapt all parameters."""
    parts, store = parts_of(config_of(model_config))
    parts.model.double().eval()
    batch = batching.collate(store, np.arange(len(store)))
    weights = {key: torch.stack((value, 0.9 * value)) for key, value in parts.model.named_parameters()}
    mapped = vmap(lambda of_task: scores_of(parts.model, of_task, batch))(weights)
    for task, found in enumerate(mapped):
        alone = scores_of(parts.model, {key: value[task] for key, value in weights.items()}, batch)
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-9)


def scores_of(model: nn.Module, weights: dict[str, torch.Tensor], batch: Batch) -> torch.Tensor:
    return flat(functional_call(model, weights, (batch,)))


@battery
def test_substituted_weights_are_honoured(name: str, model_config: Section) -> None:
    parts, store = parts_of(config_of(model_config))
    other, _ = parts_of(config_of(model_config), seed=1)
    batch = batching.collate(store, np.arange(len(store)))
    before = copy.deepcopy(parts.model.state_dict())
    substituted = flat(functional_call(parts.model, other.model.state_dict(), (batch,)))
    torch.testing.assert_close(substituted, scores(other.model, batch), rtol=0, atol=0)
    assert all(torch.equal(value, before[name]) for name, value in parts.model.state_dict().items())
    for name, _ in parts.model.named_parameters():  # each by itself: one read from elsewhere would not show above
        changed = dict(parts.model.named_parameters()) | {name: before[name] + 0.1 * torch.randn_like(before[name])}
        assert not torch.equal(flat(functional_call(parts.model, changed, (batch,))), scores(parts.model, batch)), name


@battery
def test_saved_and_loaded_it_predicts_the_same_bytes(
    name: str, model_config: Section, tmp_path_factory: pytest.TempPathFactory
) -> None:
    parts, store = parts_of(config_of(model_config))
    path = tmp_path_factory.mktemp("saved") / "model.pt"
    tensors = grouped("model", parts.model.state_dict())
    save(Checkpoint(parts.config, parts.vocabulary, tensors, context=parts.context), path)
    again = assemble.restored(load(path), parts.runtime)
    one, other = (
        json.dumps(parts.task.describe(assemble.outputs(side, store), parts.vocabulary.labels, 1.0))
        for side in (parts, again)
    )
    assert one == other
    tensors = grouped("model", again.model.state_dict())
    save(Checkpoint(again.config, again.vocabulary, tensors, context=again.context), path.with_name("again.pt"))
    assert path.read_bytes() == path.with_name("again.pt").read_bytes()


@pytest.mark.slow
@battery
def test_the_same_seed_gives_the_same_bytes_of_weights(name: str, model_config: Section) -> None:
    with_noise = model_config.model_copy(update={"dropout": 0.3, "word_dropout": 0.2, "weight_drop": 0.2})
    runs = [trained(*parts_of(config_of(with_noise))).model.state_dict() for _ in range(2)]
    other = trained(*parts_of(config_of(with_noise), seed=1)).model.state_dict()
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])
    assert not all(torch.equal(runs[0][name], other[name]) for name in other)


@battery
def test_noise_is_for_training_alone(name: str, model_config: Section) -> None:
    noisy = model_config.model_copy(update={"dropout": 0.5, "word_dropout": 0.5, "weight_drop": 0.5})
    parts, store = parts_of(config_of(noisy))
    batch = batching.collate(store, np.arange(len(store)))
    assert not torch.equal(scores(parts.model, batch), scores(parts.model, batch))
    parts.model.eval()
    assert torch.equal(scores(parts.model, batch), scores(parts.model, batch))


@pytest.mark.parametrize("name", sorted(registry.MODELS))
def test_any_batch_scores_as_its_texts_do_alone(name: str) -> None:
    parts, _ = parts_of(config_of(VARIANTS[name][0]))
    parts.model.eval()

    @given(
        st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=12), min_size=1, max_size=6),
        st.integers(0, 4),
    )
    @settings(max_examples=30, deadline=None)
    def check(rows: list[list[str]], extra: int) -> None:
        texts = [tuple(map(WORDS.__getitem__, row)) if parts.vocabulary.pretokenized else " ".join(row) for row in rows]
        examples = list(map(Example, texts))
        store = encode(parts.vocabulary, examples, cache=None, labelled=False)
        batch = padded(batching.collate(store, np.arange(len(rows))), extra)
        alone = [scores(parts.model, batching.collate(store, np.array([place]))) for place in range(len(rows))]
        torch.testing.assert_close(scores(parts.model, batch), torch.cat(alone), rtol=0, atol=1e-5)

    check()
