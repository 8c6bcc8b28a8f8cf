"""Episodes: what must hold of every draw from any examples."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lstmcli.config import Episodes
from lstmcli.data.batches import episodes
from lstmcli.data.batches.encoded import Store
from lstmcli.data.text.vocabulary import UNKNOWN
from lstmcli.errors import DataError
from lstmcli.types import Example

LABELS = ("calm", "gloom", "joy")
examples_of = st.lists(
    st.builds(Example, st.integers(0, 60).map("text {}".format), st.sampled_from(LABELS), st.sampled_from("ab")),
    min_size=20, max_size=90,
)  # fmt: skip
shapes = st.builds(
    Episodes, ways=st.sampled_from([None, 2, 3]), shots=st.integers(1, 3), queries=st.integers(1, 4),
    query=st.sampled_from(["balanced", "natural"]),
)  # fmt: skip


def all_draws(examples: list[Example], config: Episodes, seed: int = 0) -> list[episodes.Draw]:
    try:
        found = episodes.usable(episodes.pools(examples), config, LABELS)
    except DataError:
        return []
    return list(episodes.draws(found, config, count=5, seed=(seed,)))


@given(examples_of, shapes, st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_any_episode_is_what_it_says(examples: list[Example], config: Episodes, seed: int) -> None:
    drawn = all_draws(examples, config, seed)
    assume(drawn)
    for one in drawn:
        ways = config.ways or len(LABELS)
        assert len(one.labels) == len(set(one.labels)) == ways
        assert config.ways is not None or one.labels == LABELS
        support, query = ([examples[index] for index in indices] for indices in (one.support, one.query))
        for part, targets in ((support, one.support_targets), (query, one.query_targets)):
            assert all(example.domain == one.domain for example in part)
            assert [example.target for example in part] == [one.labels[target] for target in targets]
        texts = [example.text for example in support + query]
        assert len(texts) == len(set(texts))
        assert Counter(one.support_targets.tolist()) == dict.fromkeys(range(ways), config.shots)
        assert len(query) == ways * config.queries
        if config.query == "balanced":
            assert Counter(one.query_targets.tolist()) == dict.fromkeys(range(ways), config.queries)


@given(examples_of, shapes, st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_the_same_seed_draws_the_same_episodes(examples: list[Example], config: Episodes, seed: int) -> None:
    one, other = (all_draws(examples, config, seed) for _ in range(2))
    assert [a.support.tolist() + a.query.tolist() for a in one] == [
        b.support.tolist() + b.query.tolist() for b in other
    ]


def many() -> list[Example]:
    return [Example(f"{label} {n} {d}", label, d) for label in LABELS for n in range(30) for d in "ab"]


def test_seeds_domains_and_classes_all_come_up() -> None:
    config = Episodes(ways=2, shots=2, queries=3)
    found = episodes.usable(episodes.pools(many()), config, LABELS)
    drawn = list(episodes.draws(found, config, count=200, seed=(0,)))
    assert {one.domain for one in drawn} == {"a", "b"}
    assert len({one.labels for one in drawn}) == 6  # every pair, in both orders
    assert {index for one in drawn for index in one.support} == set(range(len(many())))
    other = next(episodes.draws(found, config, count=1, seed=(1,)))
    assert drawn[0].support.tolist() != other.support.tolist()


def test_a_natural_query_has_the_frequencies_of_its_domain() -> None:
    uneven = [Example(f"{label} {n}", label) for label, count in (("calm", 300), ("joy", 100)) for n in range(count)]
    config = Episodes(shots=5, queries=20, query="natural")
    found = episodes.usable(episodes.pools(uneven), config, ("calm", "joy"))
    drawn = episodes.draws(found, config, count=100, seed=(0,))
    fraction = np.mean([np.mean(one.query_targets) for one in drawn])
    assert fraction == pytest.approx(95 / 390, abs=0.02)


def test_too_few_texts_are_refused_with_the_most_that_some_domain_has() -> None:
    labels = ("calm", "joy")
    with pytest.raises(DataError, match=r"no domain has 5 \+ 10 different texts of each of calm, joy") as caught:
        episodes.usable(episodes.pools([Example("one", "calm"), Example("two", "joy")]), Episodes(), labels)
    assert caught.value.fix == "give at least two different texts of each class in one domain"
    for texts, shots, queries in ((2, 1, 1), (6, 5, 1), (14, 5, 9)):
        pools = episodes.pools([Example(f"{label} {n}", label) for label in labels for n in range(texts)])
        for split, options in (
            (None, f"--shots {shots}"),
            ("train", f"--set episodes.shots={shots} --set episodes.queries={queries}"),
        ):
            with pytest.raises(DataError) as caught:
                episodes.usable(pools, Episodes(), labels, split=split)
            assert caught.value.fix == f"give more texts, or learn from fewer: {options}"


def test_collated_texts_and_targets_are_those_drawn() -> None:
    examples = many()
    lengths = np.arange(len(examples)) % 5 + 1
    offsets = np.r_[0, lengths.cumsum()]
    store = Store(np.arange(2, offsets[-1] + 2, dtype=np.int32), offsets)
    config = Episodes(ways=3, shots=2, queries=3)
    drawn = list(episodes.draws(episodes.pools(examples), config, count=4, seed=(0,)))
    episode = episodes.collate(store, drawn)
    assert episode.labels == drawn[0].labels
    for part, indices, targets in (
        (episode.support, [one.support for one in drawn], [one.support_targets for one in drawn]),
        (episode.query, [one.query for one in drawn], [one.query_targets for one in drawn]),
    ):
        for task in range(4):
            assert part.targets[task].tolist() == targets[task].tolist()
            for row, index in enumerate(indices[task]):
                ids = store.ids[offsets[index] : offsets[index + 1]].tolist()
                padding = [0] * (part.tokens.shape[-1] - len(ids))
                assert part.tokens[task, row].tolist() == ids + padding
                assert part.lengths[task, row] == len(ids)


@given(st.integers(0, 1000), st.integers(2, 12))
@settings(deadline=None)
def test_words_of_other_tasks_supports_are_unknown_in_a_query(seed: int, known: int) -> None:
    random = np.random.default_rng(seed)
    texts = [random.integers(1, 14, random.integers(1, 6)) for _ in range(12)]
    offsets = np.concatenate(([0], np.cumsum([len(text) for text in texts])))
    store = Store(np.concatenate(texts), offsets, np.arange(12) % 2)
    places, targets = random.permutation(12).reshape(2, 2, 3), np.zeros(3, int)
    drawn = [episodes.Draw("", ("a", "b"), support, targets, query, targets) for support, query in places]
    whole, masked = episodes.collate(store, drawn), episodes.collate(store, drawn, known=known)
    assert masked.support.tokens.equal(whole.support.tokens)
    for one, before, after in zip(drawn, whole.query.tokens.tolist(), masked.query.tokens.tolist(), strict=True):
        learned = {int(word) for place in one.support for word in texts[place]}
        expected = [[word if word < known or word in learned else UNKNOWN for word in text] for text in before]
        assert after == expected


def test_a_part_of_a_store_has_its_texts_in_their_order() -> None:
    lengths = np.array([3, 1, 4])
    offsets = np.r_[0, lengths.cumsum()]
    store = Store(np.arange(8, dtype=np.int32), offsets, np.array([0, 1, 2]))
    part = store.part(np.array([2, 0, 2]))
    rows = [part.ids[start:end].tolist() for start, end in zip(part.offsets[:-1], part.offsets[1:], strict=True)]
    assert rows == [[4, 5, 6, 7], [0, 1, 2], [4, 5, 6, 7]]
    assert part.known_targets.tolist() == [2, 0, 2]


def test_domains_that_ask_alike_share_their_classes_shares() -> None:
    kinds = [episodes.kind(name) for name in ("books.t4", "films.t4", "books.t2", "films", "shop.com", "")]
    assert kinds == ["t4", "t4", "t2", "", "", ""]
