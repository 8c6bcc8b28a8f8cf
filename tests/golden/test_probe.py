"""The linear probe of a warm start, against scikit-learn; and what else a run takes over of its initial model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import Tensor

from lstmcli import load
from lstmcli.config import Classifier, RunConfig, Tokens, Train
from lstmcli.data.batches.encoded import encode
from lstmcli.events import Evaluated
from lstmcli.inference import assemble, new_words
from lstmcli.inference.assemble import Parts
from lstmcli.machine import runtime
from lstmcli.models.classifier import build, with_bag
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.examples import Inputs
from lstmcli.tasks import classify
from lstmcli.tasks.class_weights import EXPONENTS
from lstmcli.training import probe, setup
from lstmcli.training.train import run as train
from lstmcli.types import Batch, Example

MODEL = Classifier(embedding=6, hidden=5, dropout=0.0, sentence_embedding=4)
WORDS = ["warm", "bright", "kind", "quick", "cold", "dull", "cruel", "slow"]


def labelled(count: int = 60) -> list[Example]:
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        side = int(random.integers(2))
        words = [WORDS[4 * side + random.integers(4)], *random.choice(["film", "book", "shop", "it", "was"], 4)]
        found.append(Example(" ".join(random.permutation(words)), ("good", "bad")[side]))
    return found


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A model of other labels, hardly trained."""
    examples = [Example(example.text, f"old {example.target}") for example in labelled(24)]
    learning = Train(epochs=1, batch_tokens=64)
    config = RunConfig(model=MODEL, tokens=Tokens(min_count=1), train=learning, precision="float32")
    train(config, Inputs(examples, examples[:6], []), tmp_path / "origin")
    return tmp_path / "origin" / "model.pt"


@pytest.mark.parametrize("labels", [2, 3, 4])
def test_its_weights_are_those_of_a_logistic_regression(labels: int) -> None:
    random = np.random.default_rng(labels)
    features, targets = random.normal(size=(40, 7)), random.integers(labels, size=40)
    weight, bias = probe.fitted(features, targets, labels + 1, seed=0)  # one label more than there are texts of
    logits = features @ weight.T + bias
    expected = [
        LogisticRegression(C=penalty, max_iter=300).fit(features, targets).predict_proba(features)
        for penalty in probe.PENALTIES
    ]
    found = torch.from_numpy(logits).softmax(dim=1).numpy()
    assert found[:, labels].max() < 1e-6
    assert min(np.abs(found[:, :labels] - rows).max() for rows in expected) < 1e-6


def test_a_penalty_is_chosen_by_the_texts_left_out() -> None:
    random = np.random.default_rng(0)
    noise, targets = random.normal(size=(60, 30)), np.arange(60) % 2
    weak, _ = probe.fitted(noise, targets, 2, seed=0)
    clear = noise + 3 * targets[:, None]
    strong, _ = probe.fitted(clear, targets, 2, seed=0)
    by_hand = [np.abs(LogisticRegression(C=c, max_iter=300).fit(noise, targets).coef_ / 2).max() for c in (0.1,)]
    assert np.abs(weak).max() == pytest.approx(by_hand[0], rel=1e-3)  # of noise the strongest penalty
    assert np.abs(strong[1] @ np.ones(30)) > np.abs(weak[1] @ np.ones(30))


def test_texts_sorted_by_label_get_the_penalty_of_shuffled_ones(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(probe, "TRIED", 20)
    monkeypatch.setattr(probe, "_penalty", lambda features, targets, *_: seen.append(set(targets)) or 1.0)
    examples = sorted(labelled(), key=lambda example: str(example.target))
    section = MODEL.model_copy(update={"init": origin})
    config = RunConfig(model=section, train=Train(probe=True), tokens=Tokens(min_count=1), precision="float32")
    setup.prepare(config, Inputs(examples, examples[:6], []), None)
    assert len(seen[0]) == 2


def test_the_head_is_fitted_on_what_the_frozen_encoder_gives(origin: Path) -> None:
    examples = labelled()
    section = MODEL.model_copy(update={"init": origin})
    config = RunConfig(model=section, train=Train(probe=True), tokens=Tokens(min_count=1), precision="float32")
    begun = setup.prepare(config, Inputs(examples, examples[:6], []), None)
    parts, store = begun.parts, begun.texts["train"]
    before = checkpoints.load(origin).group("model")
    for name, value in parts.model.state_dict().items():
        if not name.startswith("head."):
            torch.testing.assert_close(value, before[name])
    features = assemble.embeddings(parts, store)
    logits = assemble.outputs(parts, store)
    weight, bias = (parts.model.get_parameter(f"head.{name}").detach().numpy() for name in ("weight", "bias"))
    np.testing.assert_allclose(logits, features @ weight.T + bias, atol=1e-4)
    centred = features - features.mean(axis=0)
    scaled = centred * probe.LENGTH / np.sqrt((centred**2).sum(axis=1).mean())
    candidates = [
        LogisticRegression(C=penalty, max_iter=300).fit(scaled, store.known_targets).predict_proba(scaled)
        for penalty in probe.PENALTIES
    ]
    found = torch.from_numpy(logits).double().softmax(dim=1).numpy()
    assert min(np.abs(found - rows).max() for rows in candidates) < 1e-3


def uneven() -> list[Example]:
    """Of 200 texts a tenth are bad, half of which have a good word."""
    good, bad = ([one for one in labelled(600) if one.target == side] for side in ("good", "bad"))
    hidden = [Example(one.text, "bad") for one in good[180:190]]
    found = [*good[:180], *bad[:10], *hidden]
    return [found[index] for index in np.random.default_rng(0).permutation(len(found)).tolist()]


def adjusted(origin: Path, **changed: Any) -> RunConfig:
    section = MODEL.model_copy(update={"init": origin})
    learning = Train(probe=True, class_weights="adjusted", epochs=2, batch_tokens=64, schedule="constant")
    learning = learning.model_copy(update=changed)
    return RunConfig(model=section, train=learning, tokens=Tokens(min_count=1), precision="float32", threads=1)


def test_texts_are_scored_by_heads_that_were_fitted_without_them(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_penalty", lambda *_: 1.0)
    examples = uneven()
    begun = setup.prepare(adjusted(origin), Inputs(examples, examples[:6], []), None)
    parts, store = begun.parts, begun.texts["train"]
    logits, targets = probe.out_of_fold(parts, store, seed=0)
    order = np.random.default_rng(0).permutation(len(store))
    np.testing.assert_array_equal(targets, store.known_targets[order])
    features = assemble.embeddings(parts, store)[order]
    centred = features - features.mean(axis=0)
    scaled = centred * probe.LENGTH / np.sqrt((centred**2).sum(axis=1).mean())
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    model = LogisticRegression(C=1.0, max_iter=300)
    expected = cross_val_predict(model, scaled, targets, cv=folds, method="predict_proba")
    np.testing.assert_allclose(torch.from_numpy(logits).softmax(dim=1).numpy(), expected, atol=1e-4)
    priors = np.bincount(targets) / len(targets)
    temperature = classify.calibrate(logits, targets)
    calibrated = classify.probabilities(logits, temperature)
    reached = [f1_score(targets, (calibrated / priors**power).argmax(axis=1), average="macro") for power in EXPONENTS]
    chosen = round(10 * begun.parts.task.exponent)  # type: ignore[attr-defined]
    assert reached[chosen] == pytest.approx(max(reached))
    assert max(reached) > reached[0]


def test_a_text_of_the_only_other_label_is_left_out(origin: Path) -> None:
    """Without it there is one label, and nothing to fit."""
    examples = [*(one for one in labelled() if one.target == "good"), Example("a cold film", "bad")]
    begun = setup.prepare(adjusted(origin), Inputs(examples, examples[:6], []), None)
    logits, targets = probe.out_of_fold(begun.parts, begun.texts["train"], seed=0)
    assert 0 < len(targets) < len(examples)
    assert set(targets) == {begun.parts.vocabulary.labels.index("good")}
    assert len(logits) == len(targets)


def test_the_exponent_is_chosen_once_and_kept_by_a_resumed_run(origin: Path, tmp_path: Path) -> None:
    """Validation, which would choose another, has no part in it."""
    examples = uneven()
    inputs = Inputs(examples, [Example("a warm film", "good"), Example("a cold shop", "bad")], [])
    begun = setup.prepare(adjusted(origin), inputs, None).parts.task
    assert begun.exponent not in (None, 0.0, 0.5, 1.0)  # type: ignore[attr-defined]
    train(adjusted(origin), inputs, tmp_path / "whole")
    train(adjusted(origin, epochs=1), inputs, tmp_path / "cut")
    train(adjusted(origin), inputs, tmp_path / "cut", resume=True, chosen=["train.epochs"])
    whole, cut = (checkpoints.load(tmp_path / name / "model.pt") for name in ("whole", "cut"))
    assert whole.progress["class_weights"] == cut.progress["class_weights"]
    expected = begun.weights**begun.exponent  # type: ignore[attr-defined]
    assert list(whole.progress["class_weights"].values()) == pytest.approx(expected.tolist())
    for name, value in whole.group("model").items():
        torch.testing.assert_close(value, cut.group("model")[name], rtol=0, atol=0)


def started(origin: Path, examples: list[Example], **train: object) -> Parts:
    """The parts of a run that starts from the model, before the first step."""
    section = MODEL.model_copy(update={"init": origin})
    learning = Train(probe=True, **train)
    config = RunConfig(model=section, train=learning, tokens=Tokens(min_count=1), precision="float32")
    return setup.prepare(config, Inputs(examples, examples[:6], []), None).parts


def head(parts: Parts) -> tuple[Tensor, Tensor]:
    return parts.model.get_parameter("head.weight").detach(), parts.model.get_parameter("head.bias").detach()


def known(examples: list[Example]) -> list[Example]:
    """The examples with the labels of the initial model."""
    return [Example(example.text, f"old {example.target}") for example in examples]


def test_where_all_labels_are_known_the_head_moves_as_adaptation_moves_it(origin: Path) -> None:
    examples = known(labelled())
    found = head(started(origin, examples))
    adapted = load(origin).adapt([str(one.text) for one in examples], [str(one.target) for one in examples])
    adapted.save(origin.with_name("adapted.pt"))
    before, expected = (
        [checkpoints.load(origin.with_name(file)).tensors[f"model/head.{name}"] for name in ("weight", "bias")]
        for file in (origin.name, "adapted.pt")
    )
    for one, other, old in zip(found, expected, before, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
        assert not torch.allclose(one, old, rtol=1e-2)


def test_known_labels_that_the_texts_do_not_support_leave_the_head_at_its_temperature(origin: Path) -> None:
    checkpoint = checkpoints.load(origin)
    checkpoints.save(replace(checkpoint, temperature=2.0), origin)
    random = np.random.default_rng(0)
    noise = [Example(one.text, f"old {random.choice(['good', 'bad'])}") for one in labelled(40)]
    for value, name in zip(head(started(origin, noise)), ("weight", "bias"), strict=True):
        torch.testing.assert_close(value, checkpoint.tensors[f"model/head.{name}"] / 2)


@pytest.mark.parametrize("case", ["a new label", "a known label without a text", "class weights"])
def test_else_the_head_is_a_logistic_regression_of_its_own(origin: Path, case: str) -> None:
    examples, weights = known(labelled()), {}
    if case == "class weights":
        weights = {"class_weights": "balanced"}
    elif case == "a new label":
        examples[::3] = [Example(one.text, "new") for one in examples[::3]]
    else:
        three = [*examples[:24], *(Example(f"dull shop {number}", "old third") for number in range(9))]
        config = RunConfig(model=MODEL, tokens=Tokens(min_count=1), train=Train(epochs=1, batch_tokens=64))
        train(config, Inputs(three, three[-6:], []), origin.parent)
    parts = started(origin, examples, **weights)
    store = encode(parts.vocabulary, examples, cache=None)
    features, targets = assemble.embeddings(parts, store), store.known_targets
    standard, _, _ = probe.standardised(features)
    logits = features @ head(parts)[0].numpy().T + head(parts)[1].numpy()
    present = np.unique(targets)
    loss_weights = dict(enumerate(getattr(parts.task, "loss_weights", np.ones(len(parts.vocabulary.labels)))))
    candidates = [
        LogisticRegression(C=penalty, max_iter=300, class_weight=loss_weights).fit(standard, targets)
        for penalty in probe.PENALTIES
    ]
    found = logits[:, present] + np.log([loss_weights[label] for label in present])
    rows = torch.from_numpy(found).double().softmax(dim=1).numpy()
    assert min(np.abs(rows - one.predict_proba(standard)).max() for one in candidates) < 1e-3
    assert len(present) == 2 + (case == "a new label")


def test_the_fitted_head_is_evaluated_first_and_kept_where_training_does_not_help(origin: Path, tmp_path: Path) -> None:
    examples = labelled()
    section = MODEL.model_copy(update={"init": origin})
    learning = Train(probe=True, epochs=2, lr=1e-9, weight_decay=0.0, batch_tokens=64)
    config = RunConfig(model=section, train=learning, tokens=Tokens(min_count=1))
    events: list[object] = []
    train(config, Inputs(examples, examples[:20], []), tmp_path / "run", listener=events.append)
    evaluated = [event for event in events if isinstance(event, Evaluated)]
    assert [event.epoch for event in evaluated] == [0, 1, 2]
    assert evaluated[0].loss is None
    assert evaluated[0].is_best
    assert evaluated[0].metrics["loss"] == pytest.approx(evaluated[2].metrics["loss"], rel=1e-3)


def test_words_of_the_texts_are_added_with_the_vector_of_the_unknown_word(origin: Path) -> None:
    checkpoint = checkpoints.load(origin)
    texts = [Example("a zither zither okapi warm"), Example("okapi okapi gnu")]
    found = new_words.with_words(checkpoint, texts, min_count=2, most=9)
    assert found.vocabulary.words[len(checkpoint.vocabulary) :] == ["okapi", "zither"]
    fewer = new_words.with_words(checkpoint, texts, min_count=2, most=1)
    assert fewer.vocabulary.words == found.vocabulary.words[:-1]
    rows, before = found.group("model")["embedding.weight"], checkpoint.group("model")["embedding.weight"]
    torch.testing.assert_close(rows[: len(before)], before)
    torch.testing.assert_close(rows[len(before) :], before[1].expand(2, -1))
    read = []
    for one in (checkpoint, found):
        parts = assemble.restored(one, runtime.prepare(one.config))
        read.append(assemble.outputs(parts, encode(one.vocabulary, texts, cache=None, labelled=False)))
    np.testing.assert_allclose(read[0], read[1], atol=1e-6)


def test_a_bag_that_is_added_leaves_the_logits_as_they_are() -> None:
    torch.manual_seed(0)
    model = build(MODEL, words=9, labels=2)
    model.get_buffer("sentence_gain").fill_(0.5)
    wider = build(MODEL.model_copy(update={"bag_of_words": 3}), words=11, labels=2)
    wider.load_state_dict(with_bag(model.state_dict(), torch.randn(11, 3)))
    batch = Batch(torch.tensor([[3, 5, 6], [4, 5, 0]]), torch.tensor([3, 2]))
    torch.testing.assert_close(wider(batch).logits, model(batch).logits)
    torch.testing.assert_close(wider.sentences(batch), model.sentences(batch))
