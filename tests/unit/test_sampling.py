"""Seeded draws, and what is held out."""

from collections import Counter
from pathlib import Path

import numpy as np

from lstmcli import recipes
from lstmcli.data.batches import sampling
from lstmcli.storage import examples as inputs
from lstmcli.types import Example


def examples(**counts: int) -> list[Example]:
    return [Example(f"{label} {number}", label) for label, count in counts.items() for number in range(count)]


def test_a_stratified_part_keeps_the_shares() -> None:
    chosen, rest = sampling.stratified(examples(a=70, b=25, c=5), 20, seed=0)
    counted = [sum(example.target == label for example in chosen) for label in "abc"]
    assert counted == [14, 5, 1]
    assert len(rest) == 80
    assert sampling.stratified(examples(a=70, b=25, c=5), 20, seed=0)[0] == chosen
    assert sampling.stratified(examples(a=70, b=25, c=5), 20, seed=1)[0] != chosen


def test_neighbours_are_held_out_together_as_far_through_each_class() -> None:
    starts = set()
    for seed in range(20):
        chosen, rest = sampling.consecutive(examples(a=200, b=100), 30, seed=seed)
        numbers = {label: [int(str(example.text).split()[1]) for example in chosen if example.target == label]
                   for label in "ab"}  # fmt: skip
        assert {label: len(own) for label, own in numbers.items()} == {"a": 20, "b": 10}
        for own in numbers.values():
            assert own == list(range(own[0], own[0] + len(own)))
        assert abs(numbers["a"][0] - 2 * numbers["b"][0]) <= 2
        assert len(rest) == 270
        starts.add(numbers["a"][0])
    assert len(starts) > 10


def test_reviews_of_other_films_validate_imdb(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for short in ("pos", "neg"):
            (tmp_path / part / short).mkdir(parents=True)
    order = [*range(100, 110), *range(1000, 1040)]  # sorted as text, 101_8.txt stands amid the thousands
    for number in order:
        for short, stars in (("pos", 8), ("neg", 2)):
            (tmp_path / "train" / short / f"{number}_{stars}.txt").write_text(f"{short} {number}", "utf-8")
    (tmp_path / "test" / "pos" / "0_9.txt").write_text("fine", "utf-8")
    config = recipes.load("imdb", overrides=[f"data.path={tmp_path}", "data.validation=0.2"])
    read = inputs.read(config)
    held = [str(example.text).split() for example in read.validation]
    assert [number for short, number in held if short == "pos"] == [number for short, number in held if short == "neg"]
    numbers = [int(number) for short, number in held if short == "pos"]
    begin = order.index(numbers[0])
    assert numbers == order[begin : begin + 10]
    assert len(read.train) == 80


def test_the_only_example_of_a_class_is_never_held_out() -> None:
    data = [*examples(a=100), *[Example(f"odd {number}", f"odd{number}") for number in range(10)]]
    for seed in range(5):
        held_out, train = sampling.stratified(data, 11, seed=seed)
        assert {example.target for example in held_out} <= {example.target for example in train}
        assert len(held_out) == 11


def test_a_small_limit_keeps_every_class() -> None:
    data = [Example(f"{label} {number}", f"c{label}") for label in range(30) for number in range(5)]
    _, kept = sampling.stratified(data, len(data) - 20, seed=0)
    assert len({example.target for example in kept}) == 30


def test_a_rare_class_is_on_both_sides() -> None:
    chosen, rest = sampling.stratified(examples(a=98, b=2), 10, seed=0)
    assert {example.target for example in chosen} == {example.target for example in rest} == {"a", "b"}


def test_shots_are_drawn_a_class_and_no_text_is_on_both_sides() -> None:
    data = [*examples(a=9, b=3), Example("a 0", "a"), Example("b 1", "b")]
    support, rest = sampling.per_class(data, 4, seed=0)
    assert [sum(example.target == label for example in support) for label in "ab"] == [4, 3]
    assert not {example.text for example in support} & {example.text for example in rest}


def test_sentences_are_drawn_by_the_types_of_their_entities() -> None:
    kinds = [("S-A",), ("S-B", "O"), ("O", "O", "S-A"), ("O",)]
    tails = [(*tags, *("O",) * number) for number, tags in enumerate(kinds * 10)]  # no two texts have the same tags
    data = [Example(tuple("w" for _ in tags), tags) for tags in tails]
    held, rest = sampling.stratified(data, 8, seed=0)
    counts = Counter(" ".join(sorted(set(sampling.labels(example)))) for example in held)
    assert counts == {"A": 4, "B": 2, "": 2}
    assert len(rest) == 32
    support, others = sampling.per_class([Example((str(n),), tags) for n, tags in enumerate(kinds * 3)], 2, seed=0)
    assert Counter(label for example in support for label in sampling.labels(example)) == {"A": 2, "B": 2}
    assert len(support) + len(others) == 12


def test_some_are_drawn_last_and_the_shares_stay() -> None:
    data = examples(a=60, b=30)
    last = np.array([number % 3 > 0 for number in range(90)])  # two thirds: 20 others of a, 10 of b
    for draw in (sampling.stratified, sampling.consecutive):
        for count in (1, 6, 15, 30):
            for seed in range(5):
                chosen, rest = draw(data, count, seed=seed, last=last)
                assert not {str(one.text) for one in chosen} & {str(data[i].text) for i in np.flatnonzero(last)}
                assert sum(one.target == "a" for one in chosen) == round(count * 2 / 3)
                assert sorted(map(str, (*chosen, *rest))) == sorted(map(str, data))
        chosen, _ = draw(data, 36, seed=0, last=last)  # 24 of a: all 20, and 4 more
        drawn = Counter((str(one.target), bool(last[data.index(one)])) for one in chosen)
        assert drawn == {("a", False): 20, ("a", True): 4, ("b", False): 10, ("b", True): 2}
        assert draw(data, 15, seed=3, last=np.zeros(90, bool)) == draw(data, 15, seed=3)


def test_neighbours_among_the_others_are_held_out_together() -> None:
    data = examples(a=100)
    last = np.array([20 <= number < 60 for number in range(100)])
    others = np.flatnonzero(~last).tolist()
    starts = set()
    for seed in range(20):
        chosen, _ = sampling.consecutive(data, 10, seed=seed, last=last)
        positions = [others.index(data.index(one)) for one in chosen]
        assert positions == list(range(positions[0], positions[0] + 10))
        starts.add(positions[0])
    assert len(starts) > 10
