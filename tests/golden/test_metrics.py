"""Our weighted metrics against scikit-learn, and the intervals against what theory says of them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from lstmcli.config import Tokens
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.tasks import classify
from lstmcli.tasks.intervals import DRAWS, generator, wilson
from lstmcli.tasks.metrics import bootstrapped, calibration_error, weighted


def data(labels: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = np.r_[np.arange(labels), random.integers(0, labels, count - labels)]
    probabilities = random.dirichlet(np.ones(labels), count).round(2)  # rounded, so that scores tie
    probabilities[np.arange(count), targets] += 0.3
    return probabilities / probabilities.sum(axis=1, keepdims=True), targets


@pytest.mark.parametrize("labels", [2, 3, 7])
@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_learn_also_when_weighted(labels: int, seed: int) -> None:
    probabilities, targets = data(labels, 200, seed)
    weights = np.vstack([np.ones(200), np.random.default_rng(seed).integers(1, 4, 200)])
    actual = weighted(probabilities, targets, weights)
    predicted = probabilities.argmax(axis=1)
    for row, weight in enumerate(weights):
        options = {"sample_weight": weight}
        assert actual["accuracy"][row] == pytest.approx(reference.accuracy_score(targets, predicted, **options))
        expected = reference.balanced_accuracy_score(targets, predicted, **options)
        assert actual["balanced_accuracy"][row] == pytest.approx(expected)
        expected = reference.f1_score(targets, predicted, average="macro", **options)
        assert actual["macro_f1"][row] == pytest.approx(expected)
        if labels == 2:
            assert actual["auc"][row] == pytest.approx(reference.roc_auc_score(targets, probabilities[:, 1], **options))
    assert ("auc" in actual) == (labels == 2)


def test_calibration_error_by_hand() -> None:
    # Four answers at 0.9, three of them right: |0.75 - 0.9|. Two at 0.6, both right: |1 - 0.6|. Weighted 4 : 2.
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]] * 2)
    targets = np.array([0, 0, 0, 1, 0, 0])
    actual = weighted(probabilities, targets, np.ones((1, 6)))["ece"][0]
    assert actual == pytest.approx((4 * 0.15 + 2 * 0.4) / 6)


def test_the_interval_has_the_width_of_theory() -> None:
    random = np.random.default_rng(0)
    targets = np.zeros(2000, int)
    probabilities = np.where(random.random(2000) < 0.8, 0.9, 0.1)[:, None] * [1, -1] + [0, 1]
    accuracy = bootstrapped(probabilities, targets)["accuracy"]
    width = 2 * 1.96 * np.sqrt(accuracy.value * (1 - accuracy.value) / 2000)
    assert accuracy.high - accuracy.low == pytest.approx(width, rel=0.1)
    assert accuracy.low < accuracy.value < accuracy.high


def test_the_same_seed_gives_the_same_interval() -> None:
    probabilities, targets = data(3, 50, 0)
    assert bootstrapped(probabilities, targets) == bootstrapped(probabilities, targets, seed=0)
    assert bootstrapped(probabilities, targets) != bootstrapped(probabilities, targets, seed=1)


@given(st.floats(0.2, 5.0), st.integers(0, 10_000), st.integers(2, 5))
@settings(deadline=None, max_examples=25)
def test_calibration_finds_the_temperature_that_a_grid_finds(heat: float, seed: int, labels: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(400, labels)) * 2
    truth = scores / scores.std()
    probabilities = np.exp(truth) / np.exp(truth).sum(axis=1, keepdims=True)
    targets = np.array([random.choice(labels, p=row) for row in probabilities])
    logits = (truth * heat).astype(np.float64)

    smooth = (np.eye(labels) * len(targets) + 2 / labels) / (len(targets) + 2)  # by class

    def loss(temperature: float) -> float:
        log_probabilities = logits / temperature - np.logaddexp.reduce(logits / temperature, axis=1, keepdims=True)
        return float(-(smooth[targets] * log_probabilities).sum(axis=1).mean())

    found = classify.calibrate(logits, targets)
    grid = np.geomspace(0.05, 20, 400)
    assert loss(found) <= min(map(loss, grid)) + 1e-6


def test_probabilities_are_the_softmax_of_the_cooled_logits() -> None:
    # exp(ln 16 / 2) : exp(0) = 4 : 1
    logits = np.array([[np.log(16), 0.0]])
    np.testing.assert_allclose(classify.probabilities(logits, 2.0), [[0.8, 0.2]])
    single = logits.astype(np.float32)  # as a model has them; exponentials are of float64 all the same
    odds = np.exp(float(single[0, 0]) / 2)
    np.testing.assert_allclose(classify.probabilities(single, 2.0)[0, 0], odds / (1 + odds), rtol=1e-14)
    (answer,) = classify.describe(logits, ["a", "b"], 2.0)
    assert answer == {"label": "a", "probability": 0.8, "probabilities": {"a": 0.8, "b": 0.2}}


def test_a_few_answers_all_right_do_not_make_the_model_certain() -> None:
    # Two examples: the targets are 3/4 and 1/4, so 3 / T = ln 3.
    logits = np.array([[3.0, 0.0], [0.0, 3.0]])
    assert classify.calibrate(logits, np.array([0, 1])) == pytest.approx(3 / np.log(3))
    single = classify.calibrate(logits.astype(np.float32), np.array([0, 1]))
    assert single == pytest.approx(3 / np.log(3), rel=1e-9)
    # Two thousand, all right by far: 2001 : 1.
    many = np.repeat(logits, 1000, axis=0)
    assert classify.calibrate(many, np.repeat([0, 1], 1000)) == pytest.approx(3 / np.log(2001))


def test_many_classes_of_few_examples_are_calibrated_too() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(1000, 70)) * 3
    probabilities = np.exp(truth) / np.exp(truth).sum(axis=1, keepdims=True)
    targets = np.array([random.choice(70, p=row) for row in probabilities])
    temperature = classify.calibrate(truth * 2, targets)
    assert temperature == pytest.approx(2, rel=0.1)
    assert classify.summary(truth * 2, targets, temperature)["ece"] < 0.05


def test_calibration_of_wrong_and_of_constant_scores_stays_within_bounds() -> None:
    assert classify.calibrate(np.array([[3.0, 0.0], [0.0, 3.0]]), np.array([1, 0])) == pytest.approx(20)
    timid = np.tile([[0.01, 0.0], [0.0, 0.01]], (1000, 1))  # and right: 0.01 / T = ln 2001 at the least loss
    assert classify.calibrate(timid, np.tile([0, 1], 1000)) == pytest.approx(0.05)
    assert classify.calibrate(np.zeros((4, 2)), np.array([0, 1, 0, 1])) == 1.0


def test_the_linear_baseline_equals_the_pipeline_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = ["good film", "very good very good", "bad film", "so bad", "fine", "not fine at all"] * 3
    queries = ["good", "bad idea film", "film idea film"]  # idea is unknown: no pair reaches across it
    vocabulary = Vocabulary.build(texts, [], Tokens(min_count=1, size=100))

    def encoded(lines: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids = vocabulary.encode(lines)
        return np.concatenate(ids), np.r_[0, np.cumsum([len(text) for text in ids])]

    for targets in (np.array([1, 1, 0, 0, 1, 0] * 3), np.array([1, 1, 0, 0, 2, 2] * 3)):
        fitted = classify.fit_baselines(*encoded(texts), targets, labels=len(set(targets.tolist())))
        actual = classify.baseline_probabilities(fitted, *encoded(queries))
        expected = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+"),
            LogisticRegression(C=10, max_iter=300),
        ).fit(texts, targets)
        np.testing.assert_allclose(actual["linear"], expected.predict_proba(queries), atol=1e-4)
        np.testing.assert_allclose(actual["majority"][0], np.bincount(targets) / len(targets))


def test_counting_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from lstmcli.tasks import baselines

    random = np.random.default_rng(0)
    offsets = np.r_[0, np.cumsum(random.integers(1, 9, 50))]
    ids, targets = random.integers(1, 9, offsets[-1]), np.arange(50) % 3
    whole = classify.fit_baselines(ids, offsets, targets, labels=3)
    monkeypatch.setattr(baselines, "TEXTS", 7)
    parts = classify.fit_baselines(ids, offsets, targets, labels=3)
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5, err_msg=name)
    probabilities = classify.baseline_probabilities(parts, ids, offsets)["linear"]
    monkeypatch.undo()
    np.testing.assert_allclose(probabilities, classify.baseline_probabilities(whole, ids, offsets)["linear"], rtol=1e-5)


def test_a_text_of_unknown_words_gets_the_linear_baselines_bias() -> None:
    fitted = classify.fit_baselines(np.array([2, 3, 2]), np.array([0, 1, 3]), np.array([0, 1]), labels=2)
    probabilities = classify.baseline_probabilities(fitted, np.array([1, 1]), np.array([0, 2]))["linear"]
    assert probabilities[0, 1] == pytest.approx(1 / (1 + np.exp(-fitted["bias"][1])), rel=1e-6)


def test_where_all_answers_are_alike_the_interval_is_wilson_s() -> None:
    probabilities = np.tile([0.1, 0.9], (6, 1))
    accuracy = bootstrapped(probabilities, np.ones(6, int))["accuracy"]
    assert (accuracy.value, accuracy.high) == (1, 1)
    assert accuracy.low == pytest.approx(6 / (6 + 1.96**2))
    for share, count in ((0.5, 40), (0.9, 10), (0.0, 7)):
        for bound in wilson(share, count):  # at a bound p the share is 1.96 standard errors of p away
            assert abs(share - bound) == pytest.approx(1.96 * math.sqrt(bound * (1 - bound) / count), abs=1e-9)


def binned(confidence: np.ndarray, correct: np.ndarray) -> float:
    """The calibration error by its definition: 15 bins of equal width, each weighted by its examples."""
    total = 0.0
    for index in range(15):
        inside = (confidence >= index / 15) & ((confidence < (index + 1) / 15) | (index == 14))
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


def test_the_calibration_error_is_that_of_fifteen_bins() -> None:
    random = np.random.default_rng(0)
    confidence = np.r_[random.uniform(0.5, 1, 300), 1.0, 0.5]
    # All right in each second bin and all wrong in the others, so that no two neighbours make the gap of one.
    probabilities, targets = np.c_[confidence, 1 - confidence], np.minimum(confidence * 15, 14).astype(int) % 2
    expected = binned(confidence, targets == 0)
    assert weighted(probabilities, targets, np.ones((1, 302)))["ece"][0] == pytest.approx(expected)
    assert calibration_error(probabilities, targets) == pytest.approx(expected)
    decided = random.integers(2, size=302)  # labels at another threshold
    found = weighted(probabilities, targets, np.ones((1, 302)), decided)
    chosen = probabilities[np.arange(302), decided]
    assert found["ece"][0] == pytest.approx(binned(chosen, decided == targets))
    assert found["accuracy"][0] == pytest.approx((decided == targets).mean())


def test_the_interval_of_the_calibration_error_is_that_of_resamples_without_their_bias() -> None:
    probabilities, targets = data(2, 60, 3)
    probabilities = (probabilities + 1) / 3  # near 1/2: resampling alone makes half of the error
    found = bootstrapped(probabilities, targets, seed=5)["ece"]
    random, confidence = generator(5), probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == targets
    drawn = []
    for counts in random.multinomial(60, np.full(60, 1 / 60), size=DRAWS):
        rows = np.repeat(np.arange(60), counts)
        drawn.append(binned(confidence[rows], correct[rows]))
    assert found.value == pytest.approx(binned(confidence, correct))
    centred = np.array(drawn) - (np.mean(drawn) - found.value)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(centred.clip(0), [0.025, 0.975])))
    sure = bootstrapped(np.array([[1.0, 0.0]] * 9), np.zeros(9, int))["ece"]
    assert (sure.value, sure.low, sure.high) == (0, 0, 0)


def test_a_class_that_a_draw_lacks_does_not_count_in_it() -> None:
    probabilities, targets = data(3, 90, 1)
    predicted = probabilities.argmax(axis=1)
    weights = np.vstack([targets != 2, (targets != 2) & (predicted != 2), targets == 1]).astype(float)
    found = weighted(probabilities, targets, weights)
    for row, kept in enumerate(weights.astype(bool)):
        options = {"y_true": targets[kept], "y_pred": predicted[kept]}
        recalls = [np.mean(predicted[kept & (targets == label)] == label) for label in np.unique(targets[kept])]
        assert found["balanced_accuracy"][row] == pytest.approx(np.mean(recalls))
        assert found["macro_f1"][row] == pytest.approx(reference.f1_score(**options, average="macro"))
    two, classes = data(2, 40, 2)
    areas = weighted(two, classes, np.vstack([classes == 0, classes == 1, np.ones(40)]).astype(float))["auc"]
    assert np.isnan(areas[:2]).all()
    assert areas[2] == pytest.approx(reference.roc_auc_score(classes, two[:, 1]))
    assert "auc" not in weighted(two, np.zeros(40, int), np.ones((1, 40)))
