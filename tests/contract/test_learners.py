"""What every learner in the registry must do, on the classifier as it is."""

import copy
import gc
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from lstmcli import registry
from lstmcli.config import (
    Anchored,
    Classifier,
    Finetune,
    LstmOptimizer,
    Maml,
    Matching,
    MetaLstm,
    Prototypical,
    Reptile,
    Ridge,
    Section,
)
from lstmcli.models.classifier import build
from lstmcli.tasks.classify import loss
from lstmcli.types import Batch, Episode
from tests.contract.slopes import slope

TASKS, WAYS, SHOTS, TIME, WORDS = 3, 3, 2, 5, 12
VARIANTS: dict[str, list[Section]] = {
    "anchored": [*(Anchored(l2=l2) for l2 in (0.1, 3.0)), Anchored(l2=1.0, prior="model")],
    "finetune": [
        Finetune(adapted_parameters=adapted, steps=3, lr=0.3) for adapted in ("head", "biases+head", "lstm+head", "all")
    ],
    "maml": [
        *(Maml(adapted_parameters=moves, steps=2, lr=0.3) for moves in ("all", "lstm+head", "biases+head", "head")),
        *(Maml(rates=rates, steps=2, lr=0.3, multi_step_loss_weight=0.3) for rates in ("weight", "layer-step")),
        *(
            Maml(head_init="prototypes", adapted_parameters=adapted, steps=2, lr=0.05, rates="weight")
            for adapted in ("all", "head")
        ),
    ],
    "lstm-optimizer": [
        *(LstmOptimizer(adapted_parameters=moves, steps=3, lr=0.3, hidden=4) for moves in ("all", "head")),
        LstmOptimizer(
            adapted_parameters="lstm+head",
            steps=2,
            lr=1.0,
            hidden=4,
            layers=1,
            sees_weights=True,
            multi_step_loss_weight=0.3,
        ),
        LstmOptimizer(head_init="prototypes", steps=2, lr=0.3, hidden=4),
        LstmOptimizer(adapted_parameters="head", steps=3, lr=0.3, hidden=4, sees_task=True),
    ],
    "matching": [
        Matching(distance=distance, processing_steps=reads, hidden=3, logit_scale=2.0)
        for distance in ("cosine", "squared")
        for reads in (0, 2)
    ],
    "meta-lstm": [
        MetaLstm(adapted_parameters=moves, head_init=start, steps=2, lr=0.3, multi_step_loss_weight=0.3)
        for moves, start in (("all", "model"), ("head", "model"), ("head", "prototypes"))
    ],
    "prototypical": [Prototypical()],
    "reptile": [Reptile(adapted_parameters=moves, steps=3, lr=0.3) for moves in ("all", "head")],
    "ridge": [Ridge()],
}
CASES = [pytest.param(name, config, id=f"{name}-{number}")
         for name in sorted(registry.LEARNERS) for number, config in enumerate(VARIANTS.get(name, ()))]  # fmt: skip
battery = pytest.mark.parametrize(("name", "config"), CASES)


def model(pooling: str = "max-mean") -> nn.Module:
    torch.manual_seed(0)
    made = build(Classifier(embedding=4, hidden=3, dropout=0.0, pooling=pooling), words=WORDS, labels=WAYS).double()
    for value in made.parameters():  # biases are zero at the start: a fault in their use would not show
        value.data += 0.3 * torch.randn_like(value)
    return made.eval()


DESCENDING = [name for name in registry.LEARNERS if hasattr(registry.learner(name), "descend")]  # by plain gradient
META_LOSS = [pytest.param(name, config.model_copy(update={"order": "second"} if hasattr(config, "order") else {}),
                          id=f"{name}-{number}")
             for name in sorted(registry.LEARNERS) for number, config in enumerate(VARIANTS.get(name, ()))
             if registry.learner(name).build(config, model()).exact_gradient]  # fmt: skip
EXACT = [case.values[1] for case in META_LOSS if case.values[0] == "maml"]


def test_most_learners_are_held_against_a_finite_difference() -> None:
    others = set(VARIANTS) - {case.values[0] for case in META_LOSS}
    reason = "exact_gradient = False needs a reason: add the learner here with it"
    assert others == {"anchored", "finetune", "reptile"}, reason
    assert {"finetune", "maml", "reptile"} <= set(DESCENDING)


def batch(seed: int, tasks: int = TASKS) -> Batch:
    torch.manual_seed(seed)
    lengths = torch.randint(1, TIME + 1, (tasks, WAYS * SHOTS))
    tokens = torch.randint(1, WORDS, (tasks, WAYS * SHOTS, TIME)) * (torch.arange(TIME) < lengths[:, :, None])
    return Batch(tokens, lengths, torch.arange(WAYS).repeat_interleave(SHOTS).expand(tasks, -1))


def episode(tasks: int = TASKS) -> Episode:
    return Episode(batch(1, tasks), batch(2, tasks), ("a", "b", "c"))


def one_task(batch: Batch, task: int) -> Batch:
    return Batch(batch.tokens[task], batch.lengths[task], batch.targets[task])


def learner_for(name: str, config: Section, model: nn.Module) -> Any:
    torch.manual_seed(4)
    learner = registry.find(registry.LEARNERS, name).build(config, model).double()
    for value in learner.parameters():  # all alike at the start: rates paired wrongly would not show
        value.data += 0.1 * torch.rand_like(value)
    return learner


def end(learner: Any, model: nn.Module, support: Batch) -> dict[str, Tensor]:
    *_, weights = learner.trajectory(model, support, loss)
    return weights


@pytest.mark.parametrize("name", sorted(VARIANTS.keys() | registry.LEARNERS.keys()))
def test_every_learner_has_variants(name: str) -> None:
    assert name in registry.LEARNERS, f"'{name}' has VARIANTS, but is not in registry.LEARNERS"
    assert name in VARIANTS, f"add configurations of '{name}' to VARIANTS in {__file__}: no other test here runs it"


@battery
def test_it_fits_the_support_and_leaves_the_model_untouched(name: str, config: Section) -> None:
    net = model()
    learner = learner_for(name, config, net)
    before = copy.deepcopy(net.state_dict())
    support = batch(1)
    reached = end(learner, net, support)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(value.grad is None for value in net.parameters())
    for task in range(TASKS):
        texts = one_task(support, task)
        assert learner.losses(net, support, loss)(reached)[task] < loss(net(texts), texts).value


@battery
def test_an_adapted_model_is_the_model_at_other_weights(name: str, config: Section) -> None:
    net = model()
    learner, query = learner_for(name, config, net), batch(2)
    reached = end(learner, net, batch(1))
    logits = learner.logits(net, query)(reached)
    assert logits.shape == (TASKS, WAYS * SHOTS, WAYS)
    losses = learner.losses(net, query, loss)(reached)
    for task in range(TASKS):
        expected = torch.nn.functional.cross_entropy(logits[task], query.targets[task])
        torch.testing.assert_close(losses[task], expected, rtol=0, atol=1e-12)
        own = {weight: value[task] for weight, value in reached.items()}
        if own.keys() <= net.state_dict().keys():  # else the learner remembers the support itself
            alone = functional_call(net, own, (one_task(query, task),)).logits
            torch.testing.assert_close(logits[task], alone, rtol=0, atol=1e-12)


@battery
def test_a_model_with_a_bag_of_words_is_adapted_too(name: str, config: Section) -> None:
    """One of its weights is a single number."""
    net = build(Classifier(embedding=4, hidden=3, dropout=0.0, bag_of_words=5), words=WORDS, labels=WAYS).double()
    learner = learner_for(name, config, net)
    assert learner.meta_loss(net, episode(), loss).isfinite().all()


@battery
def test_the_order_of_the_support_does_not_matter(name: str, config: Section) -> None:
    if name == "matching" and config.processing_steps:
        pytest.skip("an LSTM reads the support")
    net, support, query = model(), batch(1), batch(2)
    learner = learner_for(name, config, net)
    order = torch.randperm(WAYS * SHOTS)
    other = Batch(support.tokens[:, order], support.lengths[:, order], support.targets[:, order])
    one, two = (learner.logits(net, query)(end(learner, net, texts)) for texts in (support, other))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-9)


@battery
def test_a_class_without_texts_is_not_answered(name: str, config: Section) -> None:
    if hasattr(config, "steps") or name == "anchored":
        pytest.skip("it begins with a head that may know the class")
    net, support, query = model(), batch(1), batch(2)
    learner = learner_for(name, config, net)
    fewer = Batch(support.tokens[:, :-SHOTS], support.lengths[:, :-SHOTS], support.targets[:, :-SHOTS])
    logits = learner.logits(net, query)(end(learner, net, fewer))
    assert logits.isfinite().all()
    assert (logits.softmax(dim=-1)[..., -1] < 1e-9).all()


@battery
def test_zero_steps_change_nothing(name: str, config: Section) -> None:
    if not hasattr(config, "steps") or getattr(config, "head_init", "model") != "model":
        pytest.skip("a head made of the support is a step of its own")
    net = model()
    weights = end(learner_for(name, config.model_copy(update={"steps": 0}), net), net, batch(1))
    assert set(weights) == set(learner_for(name, config, net).names)
    for weight, value in weights.items():
        assert torch.equal(value, net.get_parameter(weight).expand(TASKS, *net.get_parameter(weight).shape))


@battery
def test_tasks_do_not_touch(name: str, config: Section) -> None:
    net = model()
    learner, support = learner_for(name, config, net), batch(1)
    together = end(learner, net, support)
    for task in range(TASKS):
        single = Batch(support.tokens[task, None], support.lengths[task, None], support.targets[task, None])
        alone = end(learner, net, single)
        for weight, value in together.items():
            torch.testing.assert_close(value[task], alone[weight][0], rtol=0, atol=1e-12)


@battery
def test_how_classes_are_numbered_does_not_matter(name: str, config: Section) -> None:
    net, support, query = model(), batch(1), batch(2)
    order = torch.tensor([2, 0, 1])  # class k is now called order[k]
    other = copy.deepcopy(net)
    with torch.no_grad():
        for value, old in ((other.head.weight, net.head.weight), (other.head.bias, net.head.bias)):
            value[order] = old
    renamed = Batch(support.tokens, support.lengths, order[support.targets])
    logits = []
    for each, texts in ((net, support), (other, renamed)):
        learner = learner_for(name, config, each)
        logits.append(learner.logits(each, query)(end(learner, each, texts)))
    torch.testing.assert_close(logits[0], logits[1][..., order], rtol=0, atol=1e-9)


@battery
def test_it_equals_the_loop_over_tasks_steps_and_the_fused_kernel(name: str, config: Section) -> None:
    if name not in DESCENDING:
        pytest.skip("held against loops of its own")
    net = model()
    learner, support = learner_for(name, config, net), batch(1)
    begin, *_, reached = learner.trajectory(net, support, loss)
    for task in range(TASKS):
        texts = one_task(support, task)
        weights = {weight: value[task].detach() for weight, value in begin.items()}
        start = dict(weights)
        for step in range(config.steps):
            leaves = {weight: value.clone().requires_grad_() for weight, value in weights.items()}
            objective = loss(functional_call(net, leaves, (texts,)), texts).value
            for weight, value in leaves.items():
                objective = objective + getattr(config, "anchor", 0) * (value - start[weight]).square().sum()
            gradients = torch.autograd.grad(objective, list(leaves.values()))
            rate = getattr(learner, "_rate", lambda *_: config.lr)
            weights = {weight: value - rate(weight, step) * gradient
                       for (weight, value), gradient in zip(weights.items(), gradients, strict=True)}  # fmt: skip
        for weight, value in weights.items():
            torch.testing.assert_close(reached[weight][task], value, rtol=0, atol=1e-9)


@pytest.mark.parametrize("moves", ["all", "head"])
def test_without_steps_prototypes_are_those_of_a_prototypical_network(moves: str) -> None:
    net, support, query = model(), batch(1), batch(2)
    learner = learner_for("maml", Maml(head_init="prototypes", adapted_parameters=moves, steps=0), net)
    weights = end(learner, net, support)
    for task in range(TASKS):
        learned = net(one_task(support, task)).embedding
        prototypes = torch.stack([learned[support.targets[task] == label].mean(dim=0) for label in range(WAYS)])
        away = torch.cdist(net(one_task(query, task)).embedding, prototypes).square()  # [text, label]
        expected = (-learner.scale.exp() * away).log_softmax(dim=-1)
        actual = learner.logits(net, query)(weights)[task].log_softmax(dim=-1)
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("name", "config"), META_LOSS)
def test_the_exact_meta_gradient_equals_the_finite_difference(name: str, config: Section) -> None:
    net = model("mean")  # no maximum, whose kinks a difference may straddle
    exact, numeric = slope(learner_for(name, config, net), net, episode(), loss)
    assert exact == pytest.approx(numeric, rel=1e-6)


@pytest.mark.parametrize("pooling", ["last", "attention"])
def test_the_exact_meta_gradient_holds_for_other_poolings(pooling: str) -> None:
    net = model(pooling)
    exact, numeric = slope(learner_for("maml", EXACT[0], net), net, episode(), loss)
    assert exact == pytest.approx(numeric, rel=1e-6)


@pytest.mark.parametrize("moves", ["all", "head"])
def test_the_first_order_gradient_is_that_of_the_query_where_the_steps_lead(moves: str) -> None:
    net = model()
    learner = learner_for("maml", Maml(adapted_parameters=moves, steps=2, lr=0.3), net)
    given = episode()
    learner.meta_loss(net, given, loss).sum().backward()
    reached = end(learner, net, given.support)
    expected = {name: torch.zeros_like(value) for name, value in net.named_parameters()}
    for task in range(TASKS):
        query = one_task(given.query, task)
        at = {name: value.detach().clone().requires_grad_() for name, value in net.named_parameters()}
        at |= {name: value[task].detach().requires_grad_() for name, value in reached.items()}
        loss(functional_call(net, at, (query,)), query).value.backward()
        for name, value in at.items():
            expected[name] += value.grad
    for name, value in net.named_parameters():
        torch.testing.assert_close(value.grad, expected[name], rtol=0, atol=1e-9)


def test_memory_does_not_grow_over_meta_steps() -> None:
    """No graph of one step hangs on to the next: no tensor that a step makes is alive after it."""
    net = model()
    learner = learner_for("maml", EXACT[0], net)

    def alive_after_a_step() -> list[Tensor]:
        learner.meta_loss(net, episode(), loss).mean().backward()
        net.zero_grad()
        learner.zero_grad()
        gc.collect()
        return [thing for thing in gc.get_objects() if issubclass(type(thing), Tensor)]

    before = {id(tensor): tensor for tensor in alive_after_a_step()}  # what a first step makes once for all
    assert [tensor for tensor in alive_after_a_step() if id(tensor) not in before] == []
