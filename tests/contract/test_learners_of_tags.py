"""Learners on the tagger and its chain of tags: the same inner loop, checked against one task after the other."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call

from lstmcli import registry
from lstmcli.config import Finetune, LanguageModel, Maml, Reptile, Section, Tagger
from lstmcli.models import language_model
from lstmcli.models.tagger import build
from lstmcli.tasks.tag import loss
from lstmcli.types import Batch, Episode, WordFeatures
from tests.contract.slopes import slope

TASKS, TEXTS, TIME, FORMS, LABELS = 2, 4, 5, 6, 9
CASES: list[tuple[str, Section]] = [
    ("finetune", Finetune(adapted_parameters="head", steps=3, lr=0.3)),
    ("finetune", Finetune(adapted_parameters="all", steps=2, lr=0.1)),
    ("maml", Maml(adapted_parameters="all", steps=2, lr=0.1)),
    ("maml", Maml(adapted_parameters="head", steps=2, lr=0.3)),
    ("reptile", Reptile(adapted_parameters="all", steps=2, lr=0.1)),
]
battery = pytest.mark.parametrize(("name", "config"), CASES, ids=str)


def model(characters: str = "cnn") -> nn.Module:
    torch.manual_seed(0)
    config = Tagger(embedding=3, hidden=3, dropout=0.0, word_dropout=0.0, casing=2, characters=characters,
                    character_embedding=2, character_features=4)  # fmt: skip
    beside = language_model.build(LanguageModel(embedding=2, hidden=3, bidirectional=True), words=6, labels=0)
    made = build(config, words=8, labels=LABELS, context=beside).double()
    for value in made.parameters():
        value.data += 0.3 * torch.randn_like(value)
    return made.eval()


def batch(seed: int) -> Batch:
    torch.manual_seed(seed)
    lengths = torch.randint(1, TIME + 1, (TASKS, TEXTS))
    inside = torch.arange(TIME) < lengths[:, :, None]
    letters = torch.randint(1, 257, (TASKS, FORMS, 4)) * (torch.arange(4) < torch.randint(1, 5, (TASKS, FORMS, 1)))
    forms = torch.randint(0, FORMS, inside.shape) * inside
    casing, context = torch.randint(0, 8, (TASKS, FORMS)), torch.randint(1, 6, (TASKS, FORMS))
    features = WordFeatures(forms, letters, casing, context)
    singles = torch.tensor([0, 4, 8])[torch.randint(0, 3, inside.shape)]  # O, S of either type: any order is allowed
    return Batch(torch.randint(1, 8, inside.shape) * inside, lengths, singles * inside, features)


def one_task(batch: Batch, task: int) -> Batch:
    features = WordFeatures(*(part[task] for part in vars(batch.word_features).values()))
    return Batch(batch.tokens[task], batch.lengths[task], batch.targets[task], features)


def learner_for(name: str, config: Section, net: nn.Module) -> Any:
    return registry.find(registry.LEARNERS, name).build(config, net).double()


@battery
def test_tasks_together_learn_what_each_learns_in_a_plain_loop(name: str, config: Section) -> None:
    net, support = model(), batch(1)
    *_, reached = learner_for(name, config, net).trajectory(net, support, loss)
    for task in range(TASKS):
        texts = one_task(support, task)
        weights = {weight: net.get_parameter(weight).detach() for weight in reached}
        start = dict(weights)
        for _ in range(config.steps):
            leaves = {weight: value.clone().requires_grad_() for weight, value in weights.items()}
            objective = loss(functional_call(net, leaves, (texts,)), texts).value
            for weight, value in leaves.items():
                objective = objective + getattr(config, "anchor", 0) * (value - start[weight]).square().sum()
            gradients = torch.autograd.grad(objective, list(leaves.values()))
            weights = {weight: value - config.lr * gradient
                       for (weight, value), gradient in zip(weights.items(), gradients, strict=True)}  # fmt: skip
        for weight, value in weights.items():
            torch.testing.assert_close(reached[weight][task], value, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("moves", "characters"), [("all", "none"), ("head", "cnn"), ("lstm+head", "none")])
def test_the_exact_meta_gradient_through_the_chain_equals_the_finite_difference(moves: str, characters: str) -> None:
    net = model(characters)
    learner = learner_for("maml", Maml(order="second", adapted_parameters=moves, steps=2, lr=0.2), net)
    given = Episode(batch(1), batch(2), ())
    exact, numeric = slope(learner, net, given, loss)
    assert exact == pytest.approx(numeric, rel=1e-6)
