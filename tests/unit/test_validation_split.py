"""What is held out for validation, and what to do where nothing can be."""

import re
from collections import Counter
from collections.abc import Callable

import pytest

from lstmcli import recipes
from lstmcli.config import RunConfig
from lstmcli.data.batches import sampling
from lstmcli.errors import DataError
from lstmcli.storage.validation_split import FEWEST_WORDS, Parts, check_classes, hold_out
from lstmcli.types import Example

OPTION = re.compile(r"--set (data\.validation=\S+)")
PATTERNS: dict[str, Callable[[int, int], str]] = {  # the label of an example, by its number and how many there are
    "alternating": lambda number, count: "ab"[number % 2],
    "one": lambda number, count: "a",
    "one apart": lambda number, count: "ab"[number == count - 1],
    "pairs": lambda number, count: f"{number // 2}",
    "half once": lambda number, count: "a" if number < count / 2 else f"{number}",
    "all but two once": lambda number, count: f"{max(number, 1)}",
    "once": lambda number, count: f"{number}",
}


def divided(recipe: str, examples: list[Example], *sets: str) -> Parts:
    config: RunConfig = recipes.load(recipe, overrides=list(sets))
    return hold_out(config, list(examples), "mine.csv")


def outcome(data: list[Example], share: float) -> Parts | DataError:
    try:
        return divided("table", data, "model.init=none", f"data.validation={share}")
    except DataError as error:
        return error


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_what_is_proposed_where_too_few_can_be_held_out_holds_some_out(pattern: str, share: float) -> None:
    for count in range(2, 31):
        data = [Example(f"text {number}", PATTERNS[pattern](number, count)) for number in range(count)]
        found = outcome(data, share)
        once = Counter(Counter(example.target for example in data).values())[1]
        if isinstance(found, DataError) and once >= 0.9 * count and (count >= 4 or round(share * count) >= 2):
            labels = len({example.target for example in data})
            assert (
                found.what == f"{labels} labels for {count} examples: 'label' looks like a number to predict or an id"
            )
            assert found.fix == "name another column: --label-column NAME"
            continue
        if isinstance(found, DataError):
            assert "are too few to hold" in found.what
            option = OPTION.search(found.fix)
            if option is None:
                assert (count < 4, found.fix) == (True, "give at least 4 examples")
                continue
            found = divided("table", data, "model.init=none", option[1])
        train, held = found
        assert held
        assert {example.target for example in held} <= {example.target for example in train}
        assert sorted(map(str, train + held)) == sorted(map(str, data))


def test_labels_that_occur_once_are_classes_where_validation_has_them_too() -> None:
    config = recipes.load("table")
    train = [Example(f"text {number}", f"intent {number}") for number in range(30)]
    check_classes(config, train, [Example("other", "intent 3")], "mine.csv")
    with pytest.raises(DataError, match="30 labels for 30 examples: 'label' looks like an id or a text"):
        check_classes(config, train, [Example("other", "intent 99")], "mine.csv")


def test_sentences_of_rare_mixtures_are_held_out_so_long_as_each_type_is_left() -> None:
    kinds = "ABCDE"
    mixtures = [(first, second) for first in kinds for second in kinds if first < second]  # 10, each in one sentence
    data = [Example(("x", "y"), (f"S-{first}", f"S-{second}")) for first, second in mixtures]
    for seed in range(5):
        held, rest = sampling.stratified(data, 3, seed=seed)
        assert (len(held), len(rest)) == (3, 7)
        assert {kind for example in rest for kind in sampling.labels(example)} == set(kinds)
        held, rest = sampling.stratified(data, 10, seed=seed)  # as many as can be
        left = Counter(kind for example in rest for kind in sampling.labels(example))
        assert set(left) == set(kinds)
        assert all(any(left[kind] == 1 for kind in sampling.labels(example)) for example in rest)
    alone = [Example(("x",), (f"S-{kind}",)) for kind in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    with pytest.raises(DataError, match="each type of entity is in one sentence alone"):
        divided("entities", alone)


@pytest.mark.parametrize(
    ("lines", "share"),
    [(lines, share) for lines in (1, 2, 3, 7, 14) for share in (0.01, 0.1, 0.5) if round(share * lines) < 2],
)
def test_the_end_of_running_text_is_held_out_where_no_text_can_be(lines: int, share: float) -> None:
    words = [f"word{number:03}" for number in range(1000)]
    size = -(-len(words) // lines)
    texts = [" ".join(words[begin : begin + size]) for begin in range(0, len(words), size)]
    train, held = divided("lm", [Example(text) for text in texts], f"data.validation={share}")
    found = [str(example.text).split() for example in (*train, *held)]
    assert [word for text in found for word in text] == words
    assert sum(len(str(example.text).split()) for example in held) == pytest.approx(share * len(words), abs=3)


def test_running_text_without_spaces_is_cut_between_characters() -> None:
    text = "".join(chr(0x4E00 + number) for number in range(1000))
    train, held = divided("lm", [Example(text)])
    assert ([example.text for example in train], [example.text for example in held]) == ([text[:900]], [text[900:]])


@pytest.mark.parametrize("count", [1, 5, 99, 100])
def test_hardly_any_words_are_refused_with_how_many_are_needed(count: int) -> None:
    text = ", ".join(["word"] * count) + "."
    if count >= FEWEST_WORDS:
        assert all(divided("lm", [Example(text)]))
        return
    with pytest.raises(DataError) as caught:
        divided("lm", [Example(text)])
    assert (caught.value.what, caught.value.fix) == (
        f"{'1 word is' if count == 1 else f'{count} words are'} too few for a language model",
        "give at least 100 words",
    )
