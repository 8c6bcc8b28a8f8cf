"""Repeated texts, outliers and the learning curve against brute force and closed forms."""

import re
from typing import cast

import numpy as np
import pytest

from lstmcli.contracts import TextTask
from lstmcli.data.batches.encoded import Store
from lstmcli.quality import copies, curve, out_of_fold, outliers, similar
from lstmcli.types import Example

WORDS = [f"word{number}" for number in range(300)]


def variants(seed: int) -> list[str]:
    """Texts, and after each some copies with a few words replaced."""
    random = np.random.default_rng(seed)
    texts = []
    for _ in range(25):
        words = random.choice(WORDS, random.integers(4, 60)).tolist()
        texts.append(" ".join(words))
        for changes in (1, 2, 6):
            copy = list(words)
            for position in random.integers(len(words), size=changes):
                copy[position] = str(random.choice(WORDS))
            texts.append(" ".join(copy))
    return [texts[index] for index in random.permutation(len(texts))]


def jaccard(one: str, other: str) -> float:
    a, b = ({tuple(words[i : i + 3]) for i in range(len(words) - 2)} for words in (one.split(), other.split()))
    return len(a & b) / len(a | b) if a | b else 0.0


@pytest.mark.parametrize("seed", range(3))
def test_near_duplicates_are_those_of_brute_force(seed: int) -> None:
    texts = variants(seed)
    found = similar.repeats(texts)
    expected = {
        later: max(jaccard(texts[later], texts[earlier]) for earlier in range(later))
        for later in range(1, len(texts))
        if texts[later] not in texts[:later]
    }
    near = {index: value for index, value in expected.items() if value >= similar.NEAR}
    assert len(near) > 10
    assert found.near.keys() == near.keys()
    for index, (earlier, value) in found.near.items():
        assert value == pytest.approx(jaccard(texts[index], texts[earlier]))
        assert found.groups[index] == found.groups[earlier]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("A fine film.", "a  fine film", True), ("Turn on the lights", "turn off the lights", False),
     (":)", ":(", False), ("", "", True), ("?", "!", False), ("don't", "dont", False)],
)  # fmt: skip
def test_texts_are_the_same_but_for_capitals_spaces_and_marks_at_the_ends(one: str, other: str, same: bool) -> None:
    found = similar.repeats([one, other])
    assert bool(found.same[1] == 0) is same
    assert not found.near


def test_many_copies_of_one_text_make_one_group() -> None:
    text = " ".join(WORDS[:40])
    texts = [f"{text} {re.sub('word', 'tail', word)}" for word in WORDS]
    found = similar.repeats([text, *texts])
    assert len(found.near) == len(texts)
    assert set(found.groups.tolist()) == {0}


def test_texts_of_one_group_share_a_fold() -> None:
    random = np.random.default_rng(0)
    targets, groups = random.integers(3, size=600), np.arange(600)
    groups[300:] = groups[:300]
    targets[300:] = targets[:300]
    folds = out_of_fold.folds(targets, groups, seed=0)
    assert (folds[:300] == folds[300:]).all()
    counts = np.array([np.bincount(targets[folds == fold], minlength=3) for fold in range(out_of_fold.FOLDS)])
    assert np.ptp(counts, axis=0).max() <= 2  # of each label as many, but for one text and its copy


def test_the_distance_of_a_text_is_the_mean_to_its_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outliers, "BLOCK", 25)
    features = np.random.default_rng(0).normal(size=(60, 5))
    expected = [
        np.sort([np.linalg.norm(features[i] - features[j]) for j in range(60) if i != j])[: outliers.NEIGHBOURS].mean()
        for i in range(60)
    ]
    np.testing.assert_allclose(outliers.distances(features, seed=0), expected)


def test_a_text_far_from_the_others_or_of_unknown_words_is_found() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(500, 8)) + 3 * np.eye(8)[random.integers(4, size=500)]
    features[7] = -20
    assert outliers.far(outliers.distances(features, seed=0)).tolist() == [7]
    features[10:] = features[10]  # texts of unknown words alone have one vector
    assert outliers.far(outliers.distances(features, seed=0)).tolist() == []
    assert outliers.foreign(np.array([1.0, 0.9, 0.4, 1.0, 0.6])).tolist() == [2]
    assert outliers.foreign(np.array([0.2, 0.3, 0.2, 0.25])).tolist() == []  # another language throughout


def test_the_gain_of_twice_the_texts_is_that_of_the_power_law() -> None:
    sizes = np.array([100, 200, 400, 800])
    for a, b in ((2.0, 0.5), (0.3, 0.05), (0.1, -0.1)):
        errors = a * sizes[:, None] ** -b
        expected = a * 1000.0**-b - a * 2000.0**-b
        assert curve.gain_of(errors, sizes, 1000) == pytest.approx(expected)


def test_an_interval_that_holds_zero_promises_nothing() -> None:
    random = np.random.default_rng(0)
    sizes = np.array([100.0, 200.0, 400.0, 800.0])
    flat = curve.extrapolated(random.random((4, 400)) < 0.8, sizes, 1000, seed=0)
    assert flat.gain.low <= 0
    assert "no gain is certain" in flat.sentence()
    falling = random.random((4, 4000)) < (1 - 4 * sizes**-0.5)[:, None]
    found = curve.extrapolated(falling, sizes, 1000, seed=0)
    assert found.gain.low < 4 * (1000**-0.5 - 2000**-0.5) < found.gain.high
    assert "would bring about" in found.sentence()


def test_each_beginning_has_the_labels_in_the_same_proportions() -> None:
    targets = np.repeat([0, 1, 2], [60, 30, 10])
    order = curve._spread(np.arange(100), targets, 0)
    assert sorted(order.tolist()) == list(range(100))
    for size in (10, 20, 50):
        counts = np.bincount(targets[order[:size]], minlength=3)
        assert np.abs(counts - size * np.array([0.6, 0.3, 0.1])).max() <= 1


def test_the_curve_scores_each_text_once_per_size_by_models_that_did_not_learn_it() -> None:
    random = np.random.default_rng(0)
    count, targets = 300, random.integers(2, size=300)
    folds = out_of_fold.folds(targets, np.arange(count), seed=0)
    luck, calls = random.random(count), []
    sizes = np.array([0.125, 0.25, 0.5, 1.0]) * count * (out_of_fold.FOLDS - 1) / out_of_fold.FOLDS

    def error(size: float) -> float:
        return float(2 * size**-0.5)

    def score(learned: np.ndarray, scored: np.ndarray) -> np.ndarray:
        assert not set(folds[learned]) & set(folds[scored])
        calls.append((len(learned), scored))
        right = luck[scored] >= error(len(learned))
        return np.eye(2)[np.where(right, targets[scored], 1 - targets[scored])]

    found = curve.measured(targets, folds, luck >= error(sizes[-1]), score, seed=0)
    assert found is not None
    assert found.sizes == sizes.round().tolist()
    assert found.accuracies == pytest.approx([np.mean(luck >= error(size)) for size in sizes], abs=0.01)
    assert sorted(np.concatenate([scored for _, scored in calls]).tolist()) == sorted(np.repeat(range(count), 3))
    assert found.gain.low < error(count) - error(2 * count) < found.gain.high
    assert curve.measured(targets[:199], folds[:199], luck[:199] > 0, score, seed=0) is None


def test_of_many_texts_the_curve_scores_as_many_folds_as_hold_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "SCORED", 90)
    targets, scored = np.arange(300) % 2, set()

    def score(_: np.ndarray, left: np.ndarray) -> np.ndarray:
        scored.update(left.tolist())
        return np.eye(2)[targets[left]]

    folds = out_of_fold.folds(targets, np.arange(300), seed=0)
    curve.measured(targets, folds, targets >= 0, score, seed=0)
    assert scored == set(np.flatnonzero(folds < -(-90 * out_of_fold.FOLDS // 300)).tolist())


def test_near_duplicates_across_splits_are_leaks_and_name_the_other_label() -> None:
    examples = [Example(f"text {index}", label, where=f"mine.csv:{index + 2}") for index, label in enumerate("aabb")]
    repeats = similar.Repeats(np.arange(4), {1: (0, 0.9), 2: (0, 0.8), 3: (1, 0.85)}, np.zeros(4, int))
    found = copies.found(examples, ["train", "test", "train", "validation"], repeats)
    assert [(one.kind, one.split, one.row, one.confidence, one.reason) for one in found] == [
        ("leak", "test", 3, 0.9, "shares 90% of the word triples with row 2 of train"),
        ("near duplicate", "train", 4, 0.8, "shares 80% of the word triples with row 2 of train, whose label is 'a'"),
        ("near duplicate", "validation", 5, 0.85,
         "shares 85% of the word triples with row 3 of test, whose label is 'a'"),
    ]  # fmt: skip


def test_a_label_alone_in_what_is_learned_is_predicted() -> None:
    targets = np.array([1, 1, 1, 0])
    texts = out_of_fold.Texts(np.zeros((4, 2)), cast(Store, None), targets, ["a", "b"])
    for fit in out_of_fold.models(texts, cast(TextTask, None), seed=0).values():
        found = fit(np.array([0, 1, 2]), np.array([3, 2]))
        assert found.argmax(axis=1).tolist() == [1, 1]
        assert np.exp(found).sum(axis=1) == pytest.approx([1, 1], abs=1e-4)
