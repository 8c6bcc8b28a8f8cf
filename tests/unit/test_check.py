"""Remarks on labels: few examples, names that may be one, numbers to predict."""

import shlex
from collections import Counter

import numpy as np
import pytest

from lstmcli import recipes
from lstmcli.cli.options import label_map
from lstmcli.data import labels
from lstmcli.data.batches import check, label_names
from lstmcli.types import Example

ALIKE = [  # labels with their counts, how they differ, the option that makes them one
    ({"POS": 2, "Pos": 3, "pos": 9}, "'POS' (2), 'Pos' (3), 'pos' (9) differ in capitals alone",
     "--map POS=pos,Pos=pos"),
    ({"0": 2, "0.0": 3}, "'0' (2), '0.0' (3) are the same number", "--map 0=0.0"),
    ({"very good": 4, "very  good": 1}, "'very  good' (1), 'very good' (4) differ in spaces alone",
     "--map 'very  good=very good'"),
    ({"a ": 1, "a": 4}, "'a' (4), 'a ' (1) differ in spaces alone", """--set 'data.label_map={"a ": "a"}'"""),
    ({"1": 5, "1.0": 4, "01": 2}, "'01' (2), '1' (5), '1.0' (4) are the same number", "--map 01=1,1.0=1"),
    ({"ﬁne": 1, "fine": 2}, "'fine' (2), 'ﬁne' (1) differ in Unicode form or invisible characters alone",
     "--map 'ﬁne=fine'"),
    ({"ok\u200b": 1, "ok": 2}, "'ok' (2), 'ok\\u200b' (1) differ in Unicode form or invisible characters alone", ""),
    ({"Not spam": 1, "not-spam": 7, "not_spam!": 2},
     "'Not spam' (1), 'not-spam' (7), 'not_spam!' (2) differ in capitals, spaces or punctuation alone",
     "--map 'Not spam=not-spam,not_spam!=not-spam'"),
]  # fmt: skip


@pytest.mark.parametrize(("counts", "difference", "option"), ALIKE)
def test_labels_that_may_be_one_are_named_with_an_option_that_makes_them_one(
    counts: dict[str, int], difference: str, option: str
) -> None:
    fix = f"to make them one: {option}" if option else "to make them one, give them one name"
    assert label_names.remarks(counts) == [f"labels {difference}, and are classes of their own; {fix}"]
    assert label_names.remarks(counts, mapped=False)[0].endswith("; to make them one, give them one name")
    if option:
        flag, value = shlex.split(option)
        config = recipes.load("table", overrides=[value]) if flag == "--set" else None
        mapping = config.data.label_map if config else label_map([value])
        assert labels.found(labels.renamed([Example("x", label) for label in counts], mapping or {})) == [
            max(counts, key=counts.__getitem__)
        ]


@pytest.mark.parametrize(
    "names",
    [("-1", "0", "1"), ("A", "A-", "A+", "B"), ("C", "C#", "C++"), ("1-5", "15", "1.5"), ("+", "-", "!"),
     ("café", "cafe"), ("male", "female"), ("good", "bad"), ("1.5", "1.25")],
)  # fmt: skip
def test_labels_of_their_own_are_not_remarked_on(names: tuple[str, ...]) -> None:
    assert label_names.remarks(dict.fromkeys(names, 20)) == []


@pytest.mark.parametrize("typed", ["positve", "posiitve", "positivve", "positibe", "positiv"])
def test_a_rare_label_one_edit_from_a_frequent_one_may_be_a_typing_error(typed: str) -> None:
    (remark,) = label_names.remarks({"positive": 30, "negative": 30, typed: 3})
    assert remark == (
        f"label '{typed}' (3) may be a typing error for 'positive' (30); to make them one: --map {typed}=positive"
    )
    assert label_names.remarks({"positive": 30, typed: 4}) == []  # too frequent for one
    assert label_names.remarks({"class1": 100, "class2": 1, "positive": 100, "posture": 1}) == []


def test_many_pairs_of_labels_do_not_fill_the_screen() -> None:
    pairs = {name: 20 for number in range(100) for name in (f"label {number}", f"Label {number}")}
    found = label_names.remarks(pairs)
    assert len(found) == label_names.SHOWN + 1
    assert found[-1] == "95 more remarks of this kind on labels"


def test_many_numbers_with_decimals_look_like_a_number_to_predict() -> None:
    scores = {f"{number / 4}": 20 for number in range(20)}
    (remark,) = label_names.remarks(scores)
    assert remark.startswith("15 of 20 labels have decimals: the label looks like a number to predict (regression)")
    assert remark.endswith("--label-column NAME")
    stars = {f"{number / 2}": 20 for number in range(1, 11)}
    assert label_names.remarks(stars) == []
    assert label_names.remarks(scores | {"none": 20}) == []


def checked(counts: dict[str, int]) -> list[str]:
    data = [Example(f"{label} {number}", label) for label, count in counts.items() for number in range(count)]
    return check.remarks(check.check({"train": data}, {"train": (np.ones(len(data), int),) * 2}))


def test_small_classes_are_named_or_counted_where_they_are_many() -> None:
    assert checked({"a": 20, "b": 9, "c": 8}) == [
        "class 'b' has only 9 training examples",
        "class 'c' has only 8 training examples",
    ]
    counts = {f"intent {number}": 3 + number % 8 for number in range(500)} | {"x": 2}
    small = Counter(count < 10 for count in counts.values())[True]
    (remark,) = checked(counts)
    assert remark == f"{small} of 501 classes have fewer than 10 training examples, the smallest 'x' with 2"


def test_types_of_entities_that_may_be_one_are_named() -> None:
    data = [Example(("Ada",), (f"S-{kind}",)) for kind in ("PER", "Per") for _ in range(10)]
    found = check.remarks(check.check({"train": data}, {"train": (np.ones(20, int),) * 2}))
    assert found[0].startswith("labels 'PER' (10), 'Per' (10) differ in capitals alone")


def test_a_long_list_of_names_is_cut() -> None:
    assert check.listed(["a", "b"]) == "a, b"
    assert check.listed([str(number) for number in range(500)]).endswith("10, 11 and 488 more")
