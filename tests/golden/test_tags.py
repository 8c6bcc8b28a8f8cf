"""Schemes of tags, entities and their figures: by hand, by round trip, and against seqeval."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.metrics.sequence_labeling import get_entities

from lstmcli import tags
from lstmcli.tasks.entities import compared, resampled

TYPES = ("LOC", "ORG", "PER")
LABELS = tags.layout(TYPES)
Entity = tuple[int, int, str]


@st.composite
def sentences(draw: st.DrawFn) -> tuple[int, list[Entity]]:
    """A length, and entities that stand apart or side by side."""
    entities: list[Entity] = []
    position = 0
    for _ in range(draw(st.integers(0, 4))):
        begin = position + draw(st.integers(0, 2))
        end = begin + draw(st.integers(1, 3))
        entities.append((begin, end, draw(st.sampled_from(TYPES))))
        position = end
    return max(1, position + draw(st.integers(0, 2))), entities


def written(length: int, entities: list[Entity], scheme: str) -> list[str]:
    """The tags as the scheme has them, word by word."""
    found = ["O"] * length
    for begin, end, kind in entities:
        for position in range(begin, end):
            first, last = position == begin, position == end - 1
            side_by_side = begin > 0 and found[begin - 1].endswith(kind)
            letter = {
                "iob1": "B" if first and side_by_side else "I",
                "iob2": "B" if first else "I",
                "iobes": "S" if first and last else "B" if first else "E" if last else "I",
                "bilou": "U" if first and last else "B" if first else "L" if last else "I",
            }[scheme]
            found[position] = f"{letter}-{kind}"
    return found


@pytest.mark.parametrize("scheme", ["iob1", "iob2", "iobes", "bilou"])
@given(sentences())
@settings(max_examples=200, deadline=None)
def test_every_scheme_becomes_the_same_tags_and_the_same_entities(
    scheme: str, sentence: tuple[int, list[Entity]]
) -> None:
    length, entities = sentence
    found = tags.iobes(written(length, entities, scheme))
    assert list(found) == written(length, entities, "iobes")
    numbers = np.array([LABELS.index(tag) for tag in found])
    rows = tags.spans(numbers, np.array([length]))
    assert [(begin, end, TYPES[kind]) for begin, end, kind in rows.tolist()] == entities
    between, first, last = tags.allowed(len(LABELS))
    assert first[numbers[0]]
    assert last[numbers[-1]]
    assert between[numbers[:-1], numbers[1:]].all()


@given(st.lists(st.integers(0, len(LABELS) - 1), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_what_is_allowed_is_what_survives_a_round_trip(numbers: list[int]) -> None:
    between, first, last = tags.allowed(len(LABELS))
    fits = first[numbers[0]] and last[numbers[-1]] and all(between[numbers[:-1], numbers[1:]])
    given_tags = tuple(LABELS[number] for number in numbers)
    assert bool(fits) == (tags.iobes(given_tags) == given_tags)
    rows = tags.spans(np.array(numbers), np.array([len(numbers)]))
    again = tags.spans(np.array([LABELS.index(tag) for tag in tags.iobes(given_tags)]), np.array([len(numbers)]))
    assert rows.tolist() == again.tolist()


@given(st.lists(sentences(), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_texts_end_to_end_are_read_each_by_itself(many: list[tuple[int, list[Entity]]]) -> None:
    numbers = [[LABELS.index(tag) for tag in tags.iobes(written(*one, "iob2"))] for one in many]
    lengths = np.array([len(row) for row in numbers])
    starts = np.cumsum(lengths) - lengths
    alone = [
        [begin + start, end + start, kind]
        for row, start in zip(numbers, starts, strict=True)
        for begin, end, kind in tags.spans(np.array(row), np.array([len(row)])).tolist()
    ]
    assert tags.spans(np.concatenate(numbers), lengths).tolist() == alone


@pytest.mark.parametrize("tag", ["", "B", "B-", "X-PER", "PER", "-PER", "o"])
def test_an_invalid_tag_is_reported(tag: str) -> None:
    with pytest.raises(ValueError, match="is not a tag"):
        tags.iobes(["O", tag])


def numbered(rows: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    flat = [LABELS.index(tag) for row in rows for tag in tags.iobes(row)]
    return np.array(flat), np.array([len(row) for row in rows])


def test_a_table_scored_by_hand() -> None:
    true = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "I-ORG", "I-ORG", "O", "B-PER"], ["O", "B-LOC", "I-LOC"]]
    predicted = [["B-PER", "I-PER", "O", "B-ORG"], ["B-ORG", "I-ORG", "O", "B-LOC", "O"], ["O", "B-LOC", "I-LOC"]]
    found = compared(numbered(predicted)[0], *numbered(true))
    figures = {name: measure.value for name, measure in resampled(found.counts.sum(axis=1)).items()}
    assert figures == pytest.approx({"precision": 2 / 5, "recall": 2 / 5, "f1": 2 / 5})
    details = found.details(TYPES)
    assert details["types"]["PER"]["recall"]["value"] == 1 / 2
    assert details["types"]["LOC"]["precision"]["value"] == 1 / 2
    assert {kind: own["entities"] for kind, own in details["types"].items()} == {"LOC": 2, "ORG": 1, "PER": 2}
    assert details["confusions"] == {
        "wrong_type": {"LOC as ORG": 1},
        "wrong_boundary": {"ORG": 1},
        "missed": {"PER": 1},
        "invented": {"LOC": 1},
    }


def test_intervals_by_type_are_drawn_by_the_seed() -> None:
    random = np.random.default_rng(0)
    right = random.random(1000) < 0.6
    true, predicted = [["B-PER"]] * 1000, [["B-PER" if one else "O"] for one in right.tolist()]
    found = compared(numbered(predicted)[0], *numbered(true))
    whole = [{name: asdict(one) for name, one in resampled(found.counts.sum(axis=1), seed=seed).items()}
             for seed in (0, 3)]  # fmt: skip
    assert whole[0] != whole[1]
    for seed, expected in zip((0, 3), whole, strict=True):
        assert found.details(TYPES, seed=seed)["types"]["PER"] == expected | {"entities": 1000}


def test_an_interval_equals_resampling_one_draw_after_another() -> None:
    random = np.random.default_rng(0)
    counts = random.integers(0, 3, size=(60, 3))
    counts[:, 0] = counts.min(axis=1)
    f1 = resampled(counts, seed=1)["f1"]
    drawn = []
    for _ in range(4000):
        right, found, true = counts[random.integers(0, 60, 60)].sum(axis=0)
        drawn.append(2 * right / (found + true))
    assert f1.value == pytest.approx(2 * counts[:, 0].sum() / counts[:, 1:].sum())
    assert (f1.low, f1.high) == pytest.approx(tuple(np.percentile(drawn, (2.5, 97.5))), abs=0.02)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@given(st.lists(st.tuples(sentences(), sentences()), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_figures_equal_seqeval(pairs: list[tuple[tuple[int, list[Entity]], tuple[int, list[Entity]]]]) -> None:
    true, predicted = [], []
    for (one, true_entities), (other, predicted_entities) in pairs:
        length = max(one, other)
        true.append(written(length, true_entities, "iob2"))
        predicted.append(written(length, predicted_entities, "iob2"))
    found = compared(numbered(predicted)[0], *numbered(true))
    assert len(found.true) == len(get_entities(true))
    scored = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    reference = {name: score(true, predicted, zero_division=0) for name, score in scored.items()}
    figures = {name: measure.value for name, measure in resampled(found.counts.sum(axis=1)).items()}
    assert figures == pytest.approx(reference)
