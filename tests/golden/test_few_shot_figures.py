"""Figures over episodes, and baselines that learn from a support alone, against plain computations."""

from types import SimpleNamespace

import numpy as np
import pytest

from lstmcli.data.batches.episodes import Draw
from lstmcli.inference.priors import log_probabilities, shifted, shifts
from lstmcli.tasks.few_shot import episode_figures, over_episodes, support_probabilities, text_features


def test_an_episode_s_figures_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    figures = episode_figures(probabilities, np.array([0, 0, 1, 1]))
    assert figures["accuracy"] == 0.75
    assert figures["balanced_accuracy"] == 0.75
    assert figures["auc"] == 0.75  # of the four pairs one is the wrong way round
    assert "auc" not in episode_figures(probabilities, np.zeros(4, int))


def test_the_mean_over_episodes_and_its_interval() -> None:
    random = np.random.default_rng(0)
    values = random.normal(0.8, 0.1, 400)
    measure = over_episodes([{"accuracy": value} for value in values])["accuracy"]
    assert measure.value == pytest.approx(values.mean())
    error = values.std() / 20
    assert (measure.low, measure.high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.1 * error
    )
    some = over_episodes([{"accuracy": 1.0, "auc": 0.5}, {"accuracy": 0.0}])
    assert (some["accuracy"].value, some["auc"].value) == (0.5, 0.5)


def test_the_nearest_centroid_is_the_class_with_the_larger_cosine() -> None:
    texts = ["my card is lost", "the card was stolen", "what is the rate", "which rate for euro", "lost my card",
             "rate of exchange", "???"]  # fmt: skip
    features = text_features(texts)
    targets = np.array([0, 0, 1, 1])
    result = support_probabilities(features[:4], targets, features[4:], labels=2)
    dense = features.toarray()
    prototypes = np.stack([dense[:4][targets == label].sum(axis=0) for label in (0, 1)])
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    lengths = np.maximum(np.linalg.norm(dense[4:], axis=1, keepdims=True), 1e-9)
    logits = 10 * (dense[4:] / lengths) @ prototypes.T
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result["centroid"], expected, atol=1e-6)
    assert result["centroid"].argmax(axis=1)[:2].tolist() == [0, 1]


def test_a_fit_on_the_terms_of_the_support_is_that_on_all_terms() -> None:
    from sklearn.linear_model import LogisticRegression

    texts = [f"{word} {number}" for number in range(5) for word in ("good film", "bad film")]
    features, targets = text_features([*texts, "a good one", "one bad day"]), np.arange(10) % 2
    result = support_probabilities(features[:10], targets, features[10:], labels=2)
    whole = LogisticRegression(C=10, max_iter=300).fit(features[:10], targets).predict_proba(features[10:])
    np.testing.assert_allclose(result["support linear"], whole, atol=1e-3)


def test_a_prior_is_what_it_says() -> None:
    one = Draw("books.t4", ("bad", "good"), np.arange(4), np.array([0, 0, 0, 1]), np.arange(2), np.arange(2))
    known = {"": {"bad": 0.5, "good": 0.5}, "t4": {"bad": 0.2, "good": 0.8}}
    assert np.exp(log_probabilities(one, known, "source")) == pytest.approx([0.2, 0.8])
    assert np.exp(log_probabilities(one, known, "uniform")) == pytest.approx([0.5, 0.5])
    assert np.exp(log_probabilities(one, known, "support")) == pytest.approx([0.75, 0.25])
    other = Draw("books.t9", one.labels, one.support, one.support_targets, one.query, one.query_targets)
    assert np.exp(log_probabilities(other, known, "source")) == pytest.approx([0.5, 0.5])


def test_probabilities_are_moved_from_the_old_prior_to_the_new() -> None:
    one = Draw("books.t4", ("bad", "good"), np.arange(4), np.array([0, 0, 1, 1]), np.arange(2), np.arange(2))
    checkpoint = SimpleNamespace(progress={"shares": {"": {"bad": 0.5, "good": 0.5}, "t4": {"bad": 0.2, "good": 0.8}}})
    probabilities = {"uniform": np.array([[0.6, 0.4]]), "source": np.array([[0.6 * 0.2, 0.4 * 0.8]]) / (0.12 + 0.32)}
    for own, other in (("uniform", "source"), ("source", "uniform")):
        (shift,) = shifts(checkpoint, [one], other, own)
        assert shifted(probabilities[own], shift) == pytest.approx(probabilities[other])


def test_a_class_that_the_support_lacks_has_no_chance() -> None:
    texts = ["good film", "a good one", "bad film", "so bad", "good", "bad"]
    features, targets = text_features(texts), np.array([0, 0, 2, 2])
    result = support_probabilities(features[:4], targets, features[4:], labels=4)
    assert result["support linear"].shape == result["centroid"].shape == (2, 4)
    assert result["support linear"].argmax(axis=1).tolist() == [0, 2]
    assert result["support linear"][:, [1, 3]].tolist() == [[0, 0], [0, 0]]


def test_texts_of_signs_alone_have_features() -> None:
    assert text_features(["👍👍", "!!", "👍!"]).shape[0] == 3


def test_intervals_over_few_episodes_cover_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    inside = []
    for number in range(1000):
        found = over_episodes([{"accuracy": value} for value in random.normal(0.5, 0.1, 12)], seed=number)["accuracy"]
        inside.append(found.low <= 0.5 <= found.high)
    assert 0.935 < np.mean(inside) < 0.975  # 0.91 where resampling alone makes the interval
