"""The task of tagging against pencil and paper: loss, probabilities of entities, calibration, baselines."""

import itertools

import numpy as np
import pytest
import torch

from lstmcli import tags
from lstmcli.tasks import tag, tag_baselines
from lstmcli.tasks.entities import resampled
from lstmcli.tasks.intervals import wilson
from lstmcli.types import CASINGS, Batch, TagScores

LABELS = tags.layout(["LOC", "PER"])
LENGTHS = torch.tensor([3, 2])
TARGETS = np.array([0, 5, 7, 4, 0])  # O B-PER E-PER, S-LOC O


def scores(seed: int = 0) -> TagScores:
    random = torch.Generator().manual_seed(seed)
    parts = [torch.randn(9, 9, generator=random), torch.randn(9, generator=random), torch.randn(9, generator=random)]
    masks = [torch.where(torch.from_numpy(may), 0.0, -1e4) for may in tags.allowed(9)]
    chain = [part + mask for part, mask in zip(parts, masks, strict=True)]
    return TagScores(2 * torch.randn(2, 3, 9, generator=random), *chain, torch.zeros(2, 3, 1), LENGTHS)


def probabilities_of(found: TagScores, text: int) -> dict[tuple[int, ...], float]:
    """The probability of every path, by enumeration."""
    length = int(found.lengths[text])
    logs = {}
    for path in itertools.product(range(9), repeat=length):
        total = found.start[path[0]].double() + found.end[path[-1]]
        total += sum(found.emissions[text, step, tag] for step, tag in enumerate(path))
        total += sum(found.transitions[one, two] for one, two in itertools.pairwise(path))
        logs[path] = float(total)
    values = torch.tensor(list(logs.values()), dtype=torch.float64).softmax(0)
    return dict(zip(logs, values.tolist(), strict=True))


def test_the_loss_is_the_surprise_at_the_true_path_a_word() -> None:
    found = scores()
    targets = torch.tensor([[0, 5, 7], [4, 0, 0]])
    mean = tag.loss(found, Batch(torch.ones(2, 3, dtype=torch.int64), LENGTHS, targets))
    expected = -np.log(probabilities_of(found, 0)[0, 5, 7]) - np.log(probabilities_of(found, 1)[4, 0])
    assert mean.count == 5
    assert float(mean.value) == pytest.approx(expected / 5, rel=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_an_entitys_chance_is_that_of_all_paths_in_which_it_stands(seed: int) -> None:
    found = scores(seed)
    for text, one in enumerate(tag.outputs(found)):
        probabilities = probabilities_of(found, text)
        assert probabilities[tuple(one.tags.tolist())] == pytest.approx(max(probabilities.values()))
        for index, (begin, end, kind) in enumerate(one.entities.tolist()):
            standing = sum(
                probability
                for path, probability in probabilities.items()
                if [begin, end, kind] in tags.spans(np.array(path), np.array([len(path)])).tolist()
                and probability > 1e-300
            )
            assert one.probabilities[index] == pytest.approx(standing, rel=1e-6)


def tagged_with(*probabilities: float) -> np.ndarray:
    """Texts of one word, each called S-LOC with that probability."""
    texts = np.empty(len(probabilities), object)
    for index, probability in enumerate(probabilities):
        texts[index] = tag.Tagged(np.array([4]), np.zeros((1, 9)), np.array([[0, 1, 0]]), np.array([probability]))
    return texts


def test_calibration_brings_probabilities_to_how_often_they_are_right() -> None:
    tagged, targets = tagged_with(*[0.99] * 1000), np.array([4] * 700 + [0] * 300)
    temperature = tag.calibrate(tagged, targets)
    assert tag.probabilities(tagged, temperature)[0].probabilities == pytest.approx([0.7], abs=0.005)
    before, after = (tag.summary(tagged, targets, value)["ece"] for value in (1.0, temperature))
    assert before == pytest.approx(0.29, abs=1e-6)
    assert after < 0.005
    (described, *_) = tag.describe(tagged, LABELS, temperature)
    assert described["entities"][0] | {"probability": 0} == {"label": "LOC", "start": 0, "end": 1, "probability": 0}


def test_the_figures_of_training_by_hand() -> None:
    found = scores()
    tagged = tag.outputs(found)
    summary = tag.summary(tagged, TARGETS)
    surprise = 0.0
    for text, path in ((0, (0, 5, 7)), (1, (4, 0))):
        probabilities = probabilities_of(found, text)
        for step, true in enumerate(path):
            surprise -= np.log(sum(probability for other, probability in probabilities.items() if other[step] == true))
    assert summary["loss"] == pytest.approx(surprise / 5, rel=1e-5)
    right, predicted, true = tag.compared(tag._tags(tagged), TARGETS, np.array([3, 2])).counts.sum(axis=(0, 1))
    assert summary["score"] == summary["f1"] == pytest.approx(2 * right / (predicted + true))


def test_baselines_by_hand() -> None:
    word = np.array([10, 11, 10, 12, 10, 11]) * CASINGS
    word[1] += 1  # the word 11 with a capital
    offsets, targets = np.array([0, 3, 6]), np.array([0, 4, 0, 8, 4, 0])
    fitted = tag_baselines.fit_baselines(word, offsets, targets, labels=9)
    found = tag_baselines.baseline_tags(fitted, np.array([10, 11, 99]) * CASINGS + [0, 1, 0], np.array([0, 3]))
    assert found["majority"].tolist() == [0, 4, 0]
    assert tag_baselines.baseline_tags(fitted, word, offsets)["linear"].tolist() == targets.tolist()


def test_the_linear_baseline_sees_neighbours_within_the_text_alone() -> None:
    random = np.random.default_rng(0)
    word = random.integers(10, 12, 4000)
    offsets = np.arange(0, 4001, 4)
    before = np.roll(word, 1)
    before[offsets[:-1]] = 0
    targets = np.where(before == 10, 4, 0)  # what stands before decides; at a text's start nothing does
    fitted = tag_baselines.fit_baselines(word * CASINGS, offsets, targets, labels=9)
    assert (tag_baselines.baseline_tags(fitted, word * CASINGS, offsets)["linear"] == targets).all()


def test_where_all_entities_are_right_the_interval_is_that_of_a_share() -> None:
    right = resampled(np.array([[2, 2, 2], [3, 3, 3], [0, 0, 0]]))
    for measure in right.values():
        assert (measure.value, measure.high) == (1, 1)
        assert measure.low == pytest.approx(wilson(1.0, 5)[0])
    missed = resampled(np.array([[0, 0, 4]]))
    assert (missed["precision"].low, missed["precision"].high) == (0, 1)  # nothing was found: nothing is known
    assert missed["recall"].high == pytest.approx(wilson(0.0, 4)[1])
