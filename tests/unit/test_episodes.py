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
    drawn = list(episodes.draws(found, config, count=100, seed=(0,)))
    assert {len(one.query) for one in drawn} == {40}
    fraction = np.mean([np.mean(one.query_targets) for one in drawn])
    assert fraction == pytest.approx(95 / 390, abs=0.02)


def test_too_few_texts_are_refused_with_the_most_that_some_domain_has() -> None:
    labels = ("calm", "joy")
    with pytest.raises(DataError, match=r"no domain has 5 \+ 10 different texts of each of calm, joy") as caught:
        episodes.usable(episodes.pools([Example("one", "calm"), Example("two", "joy")]), Episodes(), labels)
    assert caught.value.fix == "give at least two different texts of each class in one domain"
    for texts, shots, queries in ((2, 1, 1), (5, 4, 1), (6, 5, 1), (14, 5, 9)):
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


def pool(domain: str = "", **sizes: int) -> list[Example]:
    return [Example(f"{label} {n}", label, domain) for label, size in sizes.items() for n in range(size)]


@pytest.mark.parametrize("query", ["balanced", "natural"])
@pytest.mark.parametrize("ways", [None, 2])
def test_the_number_of_queries_is_the_most_that_leaves_no_domain_out(ways: int | None, query: str) -> None:
    config = Episodes(ways=ways, shots=3, queries=1, query=query)  # type: ignore[arg-type]
    examples = pool("a", calm=40, joy=9) + pool("b", calm=11, joy=12) + pool("few", calm=3, joy=40)
    found = episodes.pools(examples)

    def usable(queries: int) -> int:
        return len(episodes.usable(found, config.model_copy(update={"queries": queries}), ("calm", "joy")))

    chosen = episodes.with_queries(found, config, ("calm", "joy"))
    # Of a class 3 are learned from: 6 are left of the joy of a, of which balanced queries need as many.
    most = 6 if query == "balanced" or ways else 8  # natural: 23 texts of b are 6 to learn from, and 2 x 8 queries
    assert chosen == config.model_copy(update={"queries": most})
    assert usable(most) == usable(1) == 2 > (usable(most + 1) if most < episodes.MOST else 0)
    rich = episodes.pools(pool("a", calm=100, joy=100))
    assert episodes.with_queries(rich, config, ("calm", "joy")).queries == 15
    for left in (1, 2):
        few = episodes.pools(pool("a", calm=3 + left, joy=3 + left) + pool("b", calm=9, joy=9))
        assert episodes.with_queries(few, config, ("calm", "joy")).queries == left
    with pytest.raises(DataError):
        episodes.with_queries(episodes.pools(pool("a", calm=3, joy=3)), config, ("calm", "joy"))


def test_a_natural_query_needs_enough_texts_of_a_domain_not_of_each_class() -> None:
    config = Episodes(shots=3, queries=4, query="natural")
    for sizes, enough in (
        ({"calm": 10, "joy": 4}, True), ({"calm": 9, "joy": 4}, False), ({"calm": 30, "joy": 3}, False),
    ):  # fmt: skip
        found = episodes.pools(pool(**sizes))
        if enough:
            (one,) = episodes.usable(found, config, ("calm", "joy"))
            assert {label: len(indices) for label, indices in one.indices.items()} == sizes
        else:
            with pytest.raises(DataError, match=r"no domain has 3 \+ 4"):
                episodes.usable(found, config, ("calm", "joy"))


def test_labels_of_another_model_are_named_with_the_option_that_draws_classes() -> None:
    found = episodes.pools(pool(calm=9, joy=9))
    for split, option in ((None, "--ways 2"), ("train", "--set episodes.ways=2")):
        with pytest.raises(DataError, match="the data has the labels calm, joy, the model bad, good") as caught:
            episodes.usable(found, Episodes(shots=1, queries=1), ("bad", "good"), split=split)
        assert caught.value.fix.endswith(option)


def test_all_of_a_domain_is_scored_after_its_fixed_support() -> None:
    learned, scored = pool("a", calm=4, joy=2), [*pool("b", calm=2), *pool("a", calm=1, gloom=2, joy=3)]
    support, domain = episodes.pools(learned)[0], episodes.pools(scored)[0]
    labels = ("joy", "calm", "odd")
    one = episodes.with_support(domain, support, 3, offset=len(learned), labels=labels)
    texts = learned + scored
    assert (one.domain, one.labels) == ("a", labels)
    assert [texts[index].text for index in one.support] == ["joy 0", "joy 1", "calm 0", "calm 1", "calm 2"]
    assert one.support_targets.tolist() == [0, 0, 1, 1, 1]
    assert [texts[index] for index in one.query] == pool("a", joy=3, calm=1)
    assert one.query_targets.tolist() == [0, 0, 0, 1]
    fewer = episodes.with_support(domain, support, 2, offset=len(learned), labels=labels)
    assert [episodes.shots(drawn) for drawn in ([one, fewer], [fewer, one], [fewer])] == [3, 3, 2]
    moved = episodes.behind(one, 7)
    assert (moved.support - one.support).tolist() == [7] * 5
    assert (moved.query - one.query).tolist() == [7] * 4
    assert moved.query_targets is one.query_targets


def test_texts_that_are_learned_from_are_not_scored() -> None:
    learned = pool("a", calm=3)
    episodes.check_apart(learned, pool("b", calm=3) + pool("a", joy=3), "test")  # of another domain, and others
    with pytest.raises(DataError, match="the texts to score are those that are learned from"):
        episodes.check_apart(learned, [*pool("a", joy=1), Example("calm 2", "joy", "a")], "test")


def test_priors_are_frequencies_by_kind_of_domain_and_of_all() -> None:
    examples = pool("books.t4", calm=3, joy=1) + pool("films.t4", joy=4) + pool("films.t2", calm=2) + pool("x", joy=2)
    assert episodes.class_priors(examples) == {
        "": {"calm": 5 / 12, "joy": 7 / 12},
        "t2": {"calm": 1.0},
        "t4": {"calm": 3 / 8, "joy": 5 / 8},
    }


def test_of_equal_texts_in_a_domain_the_first_counts() -> None:
    examples = [Example("one", "joy", "b"), Example("one", "calm", "b"), Example("one", "calm", "a"),
                Example("two", "calm", "b")]  # fmt: skip
    found = [(each.domain, [(label, one.tolist()) for label, one in each.indices.items()])
             for each in episodes.pools(examples)]  # fmt: skip
    assert found == [("a", [("calm", [2])]), ("b", [("calm", [3]), ("joy", [0])])]  # both sorted by name
