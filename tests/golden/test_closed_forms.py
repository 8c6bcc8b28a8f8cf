"""Learners without steps against what their papers say, in numpy, a text at a time."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lstmcli.config import Matching, Prototypical, Ridge
from lstmcli.meta import matching, prototypical, ridge
from lstmcli.tasks.classify import loss
from lstmcli.types import Batch, ClassScores

TASKS, FEATURES, LABELS = 2, 4, 3
TARGETS = np.array([[0, 0, 1, 1, 2, 2], [2, 1, 0, 1, 0, 1]])


class Given(nn.Module):
    """A model whose embedding of a text is the row of a table that its first token names."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = torch.randn(40, FEATURES, dtype=torch.float64)
        self.head = nn.Linear(FEATURES, LABELS).double()

    def forward(self, batch: Batch) -> ClassScores:
        embedding = self.table[batch.tokens[:, 0]]
        return ClassScores(self.head(embedding), embedding)


def batch(first: int, targets: np.ndarray | None = None) -> Batch:
    tokens = torch.arange(first, first + TARGETS.size).view(*TARGETS.shape, 1)
    return Batch(tokens, torch.ones(TARGETS.shape, dtype=torch.long),
                 None if targets is None else torch.from_numpy(targets))  # fmt: skip


SUPPORT, QUERY = batch(0, TARGETS), batch(20)


def rows(model: Given, texts: Batch, task: int) -> np.ndarray:
    return model.table[texts.tokens[task, :, 0]].numpy()


def probabilities_of(learner: nn.Module, model: Given) -> np.ndarray:
    *_, weights = learner.trajectory(model, SUPPORT, loss)
    return learner.logits(model, QUERY)(weights).softmax(dim=-1).detach().numpy()


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def test_a_text_belongs_to_the_nearest_mean() -> None:
    model = Given()
    learner = prototypical.build(Prototypical(), model).double()
    learner.scale.data.fill_(np.log(0.7))
    actual = probabilities_of(learner, model)
    for task in range(TASKS):
        e, t = rows(model, SUPPORT, task), TARGETS[task]
        means = np.stack([e[t == label].mean(axis=0) for label in range(LABELS)])
        for index, q in enumerate(rows(model, QUERY, task)):
            expected = softmax(-0.7 * ((q - means) ** 2).sum(axis=1))
            np.testing.assert_allclose(actual[task, index], expected, atol=1e-12)


@pytest.mark.parametrize("strength", [0.01, 2.0])
def test_ridge_solves_the_normal_equations(strength: float) -> None:
    model = Given()
    actual = probabilities_of(ridge.build(Ridge(l2=strength, logit_scale=3.0), model).double(), model)
    for task in range(TASKS):
        x = np.hstack([rows(model, SUPPORT, task), np.ones((TARGETS.shape[1], 1))])
        held = strength * (x**2).sum(axis=1).mean()
        w = np.linalg.solve(x.T @ x + held * np.eye(FEATURES + 1), x.T @ np.eye(LABELS)[TARGETS[task]])
        for index, q in enumerate(rows(model, QUERY, task)):
            np.testing.assert_allclose(actual[task, index], softmax(3.0 * np.append(q, 1) @ w), atol=1e-10)


def test_ridge_of_fewer_texts_than_features_is_the_same() -> None:
    """Both sides of the Woodbury identity; the six texts above are more than the features."""
    model = Given()
    fewer = Batch(SUPPORT.tokens[:, :3], SUPPORT.lengths[:, :3], SUPPORT.targets[:, :3])
    *_, actual = ridge.build(Ridge(l2=0.3, logit_scale=3.0), model).double().trajectory(model, fewer, loss)
    for task in range(TASKS):
        x = np.hstack([rows(model, fewer, task), np.ones((3, 1))])
        held = 0.3 * (x**2).sum(axis=1).mean()
        w = np.linalg.solve(x.T @ x + held * np.eye(FEATURES + 1), x.T @ np.eye(LABELS)[TARGETS[task, :3]])
        np.testing.assert_allclose(actual["head.weight"][task].detach(), 3.0 * w[:-1].T, atol=1e-10)


def near(distance: str, one: np.ndarray, other: np.ndarray) -> float:
    if distance == "cosine":
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    return -float(((one - other) ** 2).sum())


def answer(attention: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.array([attention[targets == label].sum() for label in range(LABELS)])


@pytest.mark.parametrize("reads", [0, 2])
@pytest.mark.parametrize("distance", ["cosine", "squared"])
def test_matching_begins_as_plain_attention(distance: str, reads: int) -> None:
    model = Given()
    actual = probabilities_of(
        matching.build(Matching(distance=distance, processing_steps=reads, logit_scale=1.5), model), model
    )
    for task in range(TASKS):
        e = rows(model, SUPPORT, task)
        for index, q in enumerate(rows(model, QUERY, task)):
            attention = softmax(1.5 * np.array([near(distance, q, each) for each in e]))
            np.testing.assert_allclose(actual[task, index], answer(attention, TARGETS[task]), atol=1e-12)


def cell(x: np.ndarray, state: tuple[np.ndarray, np.ndarray], weights: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    w_ih, w_hh, b_ih, b_hh = (weight.detach().numpy() for weight in weights)
    hidden, memory = state
    i, f, g, o = np.split(w_ih @ x + b_ih + w_hh @ hidden + b_hh, 4)
    i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
    memory = f * memory + i * np.tanh(g)
    return o * np.tanh(memory), memory


@pytest.mark.parametrize("distance", ["cosine", "squared"])
def test_matching_reads_in_context_as_its_equations_say(distance: str) -> None:
    model, hidden, reads = Given(), 3, 2
    learner = matching.build(Matching(distance=distance, processing_steps=reads, hidden=hidden, logit_scale=1.5), model)
    for part in (learner.to_support, learner.to_query):
        nn.init.normal_(part.weight)
    u, v = (part.weight.detach().numpy() for part in (learner.to_support, learner.to_query))
    actual = probabilities_of(learner.eval(), model.eval())
    zero = (np.zeros(hidden), np.zeros(hidden))
    for task in range(TASKS):
        e = rows(model, SUPPORT, task)
        sides = []
        for suffix, order in (("", range(len(e))), ("_reverse", reversed(range(len(e))))):
            weights = [getattr(learner.over_support, f"{name}_l0{suffix}")
                       for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]  # fmt: skip
            state, found = zero, {}
            for index in order:
                state = cell(e[index], state, weights)
                found[index] = state[0]
            sides.append(np.stack([found[index] for index in range(len(e))]))
        g = e + np.hstack(sides) @ u.T
        for index, q in enumerate(rows(model, QUERY, task)):
            f, state = q, zero
            for _ in range(reads):
                attention = softmax(1.5 * np.array([near(distance, f, each) for each in g]))
                state = cell(np.append(q, attention @ g), state, list(learner.over_query.parameters()))
                f = q + v @ state[0]
            attention = softmax(1.5 * np.array([near(distance, f, each) for each in g]))
            np.testing.assert_allclose(actual[task, index], answer(attention, TARGETS[task]), atol=1e-10)


def test_training_reads_the_support_in_an_order_draws_classes() -> None:
    model = Given()
    learner = matching.build(Matching(processing_steps=1), model)
    nn.init.normal_(learner.to_support.weight)
    one, two = (probabilities_of(learner, model.train()) for _ in range(2))
    assert not np.allclose(one, two)
    one, two = (probabilities_of(learner, model.eval()) for _ in range(2))
    np.testing.assert_array_equal(one, two)
