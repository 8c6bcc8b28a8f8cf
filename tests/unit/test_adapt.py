"""The head when labels come and go."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lstmcli.config import (
    Anchored,
    Classifier,
    Episodes,
    Finetune,
    Maml,
    Prototypical,
    Ridge,
    RunConfig,
    Tokens,
)
from lstmcli.data.batches import batching
from lstmcli.data.batches.encoded import encode
from lstmcli.data.text.vocabulary import UNKNOWN, Vocabulary
from lstmcli.data.text.word_features import likeness
from lstmcli.events import silent
from lstmcli.inference import assemble, batches, frozen
from lstmcli.inference import support as supports
from lstmcli.inference.adapt import _known
from lstmcli.inference.heads import with_labels, with_new_labels
from lstmcli.inference.new_words import DIMENSIONS as BAG
from lstmcli.inference.step_count import as_tasks, best_steps, best_temperature
from lstmcli.machine import runtime
from lstmcli.models.classifier import SIMILARITY, initial_bag
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.types import Batch, Example


def test_known_labels_keep_their_weights_and_new_ones_begin_at_zero(trained: Path) -> None:
    origin = checkpoints.load(trained)
    assert origin.vocabulary.labels == ("bad", "good")
    old = origin.group("model")
    assert with_labels(origin, ["good", "bad"]) is origin

    both = with_labels(origin, ["good", "odd"])
    assert both.vocabulary.labels == ("bad", "good", "odd")
    new = both.group("model")
    torch.testing.assert_close(
        new["head.weight"], torch.cat([old["head.weight"], torch.zeros(1, old["head.weight"].shape[1])])
    )
    torch.testing.assert_close(new["head.bias"], torch.cat([old["head.bias"], torch.zeros(1)]))
    assert all(torch.equal(new[name], old[name]) for name in old if not name.startswith("head."))

    others = with_labels(origin, ["calm", "joy"])
    assert others.vocabulary.labels == ("calm", "joy")
    assert not others.group("model")["head.weight"].any()
    assert origin.vocabulary.labels == ("bad", "good")


def test_a_head_without_old_labels_gets_a_bag_of_words_once(trained: Path) -> None:
    origin = checkpoints.load(trained)
    assert origin.config.model.bag_of_words == 0
    known = origin.vocabulary.words
    texts = [Example(f"Zwieback {known[5]}", "calm"), Example("two zwiebacks, a zwieback", "joy")]
    others = with_new_labels(origin, ["calm", "joy"], texts)
    features = origin.tensors["model/head.weight"].shape[1]
    assert others.config.model.bag_of_words == BAG
    assert others.tensors["model/head.weight"].shape == (2, features + BAG)
    words = others.vocabulary.words
    assert words[: len(known)] == known
    assert set(words) - set(known) == {"zwieback", "zwiebacks", "two", ","} - set(known)

    model = assemble.restored(others, runtime.Runtime("cpu", torch.float32)).model.state_dict()
    for name, value in origin.group("model").items():
        if not name.startswith("head"):
            torch.testing.assert_close(model[name][: len(value)], value)
    new = model["embedding.weight"][len(known) :]  # the LSTM reads them as it did before
    torch.testing.assert_close(new, model["embedding.weight"][UNKNOWN].expand(len(new), -1))
    started = initial_bag(len(words), BAG)
    alike = torch.from_numpy(likeness(words, BAG))
    expected = (1 - SIMILARITY) ** 0.5 * started["projection"].float() + SIMILARITY**0.5 * alike
    torch.testing.assert_close(model["projection"], expected.half())
    torch.testing.assert_close(model["salience"], started["salience"])
    again = with_new_labels(others, ["rain", "snow"], [Example("knäckebrot", "rain")])
    assert again.tensors["model/head.weight"].shape == (2, features + BAG)
    assert again.vocabulary.words == words


def test_a_learner_is_chosen_for_new_labels_unless_one_was_named(trained: Path) -> None:
    origin = checkpoints.load(trained)
    assert with_new_labels(origin, ["calm", "joy"], []).config.learner == origin.config.learner
    assert with_new_labels(origin, ["calm", "joy"], [], free=True).config.learner.name == "anchored"
    assert with_new_labels(origin, ["calm", "good"], [], free=True).config.learner == Anchored()
    assert with_new_labels(origin, ["bad", "good"], []).config.learner == origin.config.learner
    for learner in (Finetune(steps=3), Anchored(l2=2.0)):  # which the recipe names
        named = replace(origin, config=origin.config.model_copy(update={"learner": learner}))
        assert with_new_labels(named, ["bad", "good"], [], free=True).config.learner == learner


def test_an_anchor_has_the_calibrated_probabilities(trained: Path) -> None:
    origin = replace(checkpoints.load(trained), temperature=1.7)
    anchor = with_new_labels(origin, ["bad", "good"], [], free=True)
    assert anchor.temperature == 1.0
    for name in ("head.weight", "head.bias"):
        torch.testing.assert_close(anchor.group("model")[name] * 1.7, origin.group("model")[name].float())


@pytest.mark.parametrize("name", ["ridge", "anchored", "prototypical", "finetune"])
def test_a_head_adapts_to_embeddings_as_to_the_texts(name: str, trained: Path) -> None:
    learner = {"ridge": Ridge(), "anchored": Anchored(l2=1.0), "prototypical": Prototypical(), "finetune": Finetune()}
    origin = checkpoints.load(trained)
    config = origin.config.model_copy(update={"learner": learner[name]})
    parts = assemble.restored(replace(origin, config=config), runtime.Runtime("cpu", torch.float32))
    words = parts.vocabulary.words
    texts = [" ".join(words[2 + index : 4 + 2 * index]) for index in range(6)]
    store = encode(parts.vocabulary, [Example(text, ("bad", "good")[len(text) % 2]) for text in texts], cache=None)
    reading, batch = frozen.support_of(parts, store)
    assert batch.tokens.shape == (6, 1)
    whole = as_tasks(batching.collate(store, np.arange(6)), [list(range(6))])
    with torch.no_grad():
        *_, expected = parts.learner.trajectory(parts.model, whole, parts.task.loss)
        *_, found = reading.learner.trajectory(reading.model, as_tasks(batch, [list(range(6))]), parts.task.loss)
    for weight, value in expected.items():
        torch.testing.assert_close(found[weight], value, rtol=1e-4, atol=1e-5)


def test_the_support_is_read_in_small_batches(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that memory does not grow with the number of texts."""
    parts = assemble.restored(checkpoints.load(trained), runtime.Runtime("cpu", torch.float32))
    monkeypatch.setattr(batches, "EVALUATION_TOKENS", 30)
    read = []
    parts.model.register_forward_pre_hook(lambda _, arguments: read.append(arguments[0].tokens.numel()))
    examples = [Example("a fine film " * (1 + index % 3), ("bad", "good")[index % 2]) for index in range(40)]
    frozen.support_of(parts, encode(parts.vocabulary, examples, cache=None))
    assert max(read) <= 30
    assert len(read) > 5


@pytest.mark.parametrize(("good", "uneven"), [(12, False), (40, True)])
def test_a_draw_that_changes_the_class_frequencies_is_uneven(good: int, uneven: bool) -> None:
    examples = [
        Example(f"{label} {row}", label) for label, count in (("bad", 10), ("good", good)) for row in range(count)
    ]
    assert supports.draw(examples, 5, seed=0, listener=silent).uneven is uneven
    assert supports.draw(examples, 1000, seed=0, listener=silent).uneven is False


def test_the_temperature_is_that_of_texts_left_out(trained: Path) -> None:
    origin = checkpoints.load(trained)
    config = origin.config.model_copy(update={"learner": Ridge()})
    parts = assemble.restored(replace(origin, config=config), runtime.Runtime("cpu", torch.float32))
    examples = [Example(f"{text} film", label) for label, two in (("bad", "dull cold weak"), ("good", "fine warm kind"))
                for text in two.split()]  # fmt: skip
    reading, batch = frozen.support_of(parts, encode(parts.vocabulary, examples, cache=None))
    logits = torch.zeros(6, 2)
    for left in (0, 1, 2):
        rest = [index for index in range(6) if index % 3 != left]
        *_, weights = parts.learner.trajectory(reading.model, as_tasks(batch, [rest]), parts.task.loss)
        for index in (left, left + 3):
            own = {name: value[0] for name, value in weights.items()}
            one = Batch(batch.tokens[[index]], batch.lengths[[index]])
            logits[index] = torch.func.functional_call(reading.model, own, (one,)).logits[0]
    order = [0, 3, 1, 4, 2, 5]
    expected = parts.task.calibrate(logits[order].detach().numpy(), batch.targets[order].numpy())
    assert best_temperature(reading, batch) == pytest.approx(expected, rel=1e-5)
    single = Batch(batch.tokens[[0, 3, 4]], batch.lengths[[0, 3, 4]], batch.targets[[0, 3, 4]])
    assert best_temperature(reading, single) is None


@pytest.mark.parametrize(
    ("labels", "sets"),
    [
        (["calm", "good"], {}),  # one is kept, and with it what the head reads
        (["bad", "good"], {}),
        (["calm", "joy"], {"episodes": Episodes(), "learner": Maml()}),  # which has learned what its head reads
    ],
)
def test_a_head_that_knows_what_it_reads_gets_no_bag(labels: list[str], sets: dict[str, Any], trained: Path) -> None:
    origin = checkpoints.load(trained)
    origin = replace(origin, config=origin.config.model_copy(update=sets))
    headed = with_new_labels(origin, labels, [], free=True)
    assert headed.config.model == origin.config.model
    assert headed.tensors["model/head.weight"].shape[1] == origin.tensors["model/head.weight"].shape[1]


@pytest.mark.parametrize("seed", range(4))
def test_the_number_of_steps_is_that_of_leaving_out_one_of_each_class_in_turn(seed: int) -> None:
    texts = ["a b", "b c", "c d a", "d", "e a", "b e", "c c"]
    labels = ["x", "y", "x", "y", "x", "y", "x"]
    examples = [Example(text, label) for text, label in zip(texts, labels, strict=True)]
    config = RunConfig(
        tokens=Tokens(min_count=1),
        model=Classifier(embedding=6, hidden=5),
        learner=Finetune(steps=12, lr=1.0, anchor=0.0),
    )
    torch.manual_seed(seed)
    vocabulary = Vocabulary.build(texts, labels, config.tokens)
    parts = assemble.fresh(config, vocabulary, runtime.Runtime("cpu", torch.float32))
    parts.model.eval()
    store = encode(vocabulary, examples, cache=None)
    support = batching.collate(store, np.arange(len(texts)))
    losses = torch.zeros(13)
    for out in ([0, 1], [2, 3], [4, 5]):  # y has three texts: as many turns
        rest = as_tasks(support, [[index for index in range(len(texts)) if index not in out]])
        left = batching.collate(store, np.array(out))
        for step, weights in enumerate(parts.learner.trajectory(parts.model, rest, parts.task.loss)):
            own = {name: value[0] for name, value in weights.items()}
            scores = torch.func.functional_call(parts.model, own, (left,))
            losses[step] += parts.task.loss(scores, left).value.detach()
    assert best_steps(parts, support, least=0) == int(losses.argmin())


def test_one_text_of_a_class_cannot_be_left_out(trained: Path) -> None:
    parts = assemble.restored(checkpoints.load(trained), runtime.Runtime("cpu", torch.float32))
    examples = [Example("a fine film", "good"), Example("a dull film", "bad"), Example("kind", "good")]
    support = batching.collate(encode(parts.vocabulary, examples, cache=None), np.arange(3))
    assert best_steps(parts, support, least=0) is None


def test_what_was_forgotten_is_not_measured_on_what_is_learned_now() -> None:
    old = [Example("a", "good"), Example("b", "good"), Example("c", "odd"), Example("d", "bad")]
    support = [Example("a", "good", where="elsewhere"), Example("b", "bad")]  # b means something else now
    assert _known(old, support, ("bad", "good")) == [old[1], old[3]]
