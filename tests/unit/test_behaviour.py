"""The bench of behaviour: its sentences, and the arithmetic of its figures on answers that are known."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lstmcli.config import Data
from lstmcli.data.readers import sentiment
from lstmcli.data.text import templates
from lstmcli.data.text.templates import Case
from lstmcli.types import Example

SOURCE = Path(__file__).parents[1] / "bench" / "behaviour.yaml"
CONTENT = templates.read(SOURCE)
COUNT = 300
CASES = templates.generate(CONTENT, COUNT)
DIGEST = """
import hashlib, sys
from pathlib import Path
from lstmcli.data.text.templates import generate, read
print(hashlib.sha256(repr(generate(read(Path(sys.argv[1])), 300)).encode()).hexdigest())
"""


def bench() -> Any:
    """Return the module, which needs torch."""
    pytest.importorskip("torch")
    from tests.bench import behaviour

    return behaviour


def test_every_process_generates_the_same_sentences() -> None:
    found = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", DIGEST, str(SOURCE)]
        done = subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1


@pytest.mark.parametrize("row", CONTENT["rows"])
def test_each_row_has_hundreds_of_different_sentences(row: str) -> None:
    texts = [case.texts[0] for case in CASES if case.row == row]
    assert len(set(texts)) == len(texts) == COUNT


def test_no_sentence_has_two_labels() -> None:
    expected: dict[str, set[str]] = {}
    for case in CASES:
        for text in case.texts:
            expected.setdefault(text, set()).add(case.expected)
    assert [text for text, labels in expected.items() if len(labels) > 1] == []


def test_sentences_are_whole() -> None:
    texts = [text for case in CASES for text in case.texts]
    assert [text for text in texts if re.search(r"[{}]|  |\b[Aa] [aeio]\w|\b[Aa]n [b-df-gj-np-tv-z]", text)] == []


def test_every_lexicon_is_used_and_has_no_word_twice() -> None:
    used = [one for groups in CONTENT["rows"].values() for group in groups for one in group["templates"]]
    source = yaml.safe_load(SOURCE.read_text("utf-8"))["lexica"]
    slots = {slot for template in used for _, slot in templates.SLOT.findall(template)}
    nested = {id(item) for words in source.values() for item in words if isinstance(item, list)}
    assert {name for name, words in source.items() if name not in slots and id(words) not in nested} == set()
    assert {name for name, words in CONTENT["lexica"].items() if len(set(words)) < len(words)} == set()


def test_models_are_judged_by_templates_that_they_have_not_learned() -> None:
    learned = templates.read(sentiment.TEMPLATES)
    frames = [
        {
            re.sub(r"\{.*?\}", "", one).lower().strip(" .!?")
            for groups in content["rows"].values()
            for group in groups
            for one in group["templates"]
        }
        for content in (learned, CONTENT)
    ]
    assert frames[0] & frames[1] <= {"", ",", "the"}  # nothing but slots, as in emoji alone
    texts = {case.texts[0] for case in templates.generate(learned, sentiment.SENTENCES)}
    assert not texts & {text for case in CASES for text in case.texts}


def test_a_template_is_filled_with_all_words_before_one_comes_again() -> None:
    rows = {"row": [{"expected": "positive", "templates": ["{a thing} and {a thing}!"]}]}
    cases = templates.generate({"lexica": {"thing": ["ape", "unicorn", "bee", "owl"]}, "rows": rows}, count=2)
    words = re.findall(r"An? \w+|an? \w+", " ".join(case.texts[0] for case in cases))
    assert sorted(word.lower() for word in words) == ["a bee", "a unicorn", "an ape", "an owl"]


def test_a_group_that_runs_out_of_sentences_ends() -> None:
    rows = {"row": [{"expected": "positive", "templates": ["{thing}.", "only this"]}]}
    cases = templates.generate({"lexica": {"thing": ["ape", "bee"]}, "rows": rows}, count=9)
    assert sorted(case.texts for case in cases) == [("Ape.",), ("Bee.",), ("only this",)]


def test_an_exchange_changes_the_exchanged_words_alone() -> None:
    exchange = {"he": ["he", "she", "they"], "his": ["his", "her", "their"]}
    group = {"expected": "same", "exchange": exchange, "templates": ["{he} likes {his} {pet}. {he} said so."]}
    [case] = templates.generate({"lexica": {"pet": ["cat"]}, "rows": {"row": [group]}}, count=1)
    assert case.exchanged == ("he", "she", "they")
    assert case.texts[1] == "She likes her cat. She said so."


def test_a_slip_keeps_the_ends_of_the_word_and_all_others() -> None:
    generator = random.Random(0)
    slips = {templates.mistyped("a lovely day", generator) for _ in range(300)}
    assert {"a lvoely day", "a lvely day", "a loovely day"} <= slips
    assert "a lovely day" not in slips
    assert {re.fullmatch(r"a l(\w+)y day", slip) is not None for slip in slips} == {True}


@pytest.mark.parametrize(
    ("expected", "positive", "failure"),
    [
        ("positive", [0.51], False),
        ("positive", [0.5], True),
        ("negative", [0.49], False),
        ("negative", [0.5], True),
        ("unsure", [0.8], False),
        ("unsure", [0.81], True),
        ("unsure", [0.19], True),
        ("not sure of negative", [0.21], False),
        ("not sure of negative", [0.19], True),
        ("not sure of negative", [0.99], False),
        ("same", [0.5, 0.45, 0.54], False),
        ("same", [0.5, 0.45, 0.56], True),
    ],
)
def test_what_counts_as_a_failure(expected: str, positive: list[float], failure: bool) -> None:
    case = Case("row", expected, tuple(map(str, range(len(positive)))))
    answers = {str(index): value for index, value in enumerate(positive)}
    assert bench().failed(case, answers) == failure


def test_rate_and_interval_of_known_answers() -> None:
    cases = [Case("a", "positive", (f"{index}",)) for index in range(10)] + [Case("b", "negative", ("0",))]
    answers = {f"{index}": 0.1 if index < 3 else 0.9 for index in range(10)}
    found = bench().rates(cases, answers)
    # Wilson's interval of 3 in 10: (0.3 + z²/20 ± z √(0.021 + z²/400)) / (1 + z²/10), z = 1.96
    assert found["a"] == pytest.approx({"sentences": 10, "rate": 0.3, "low": 0.1078, "high": 0.6032}, abs=1e-4)
    assert (found["b"]["sentences"], found["b"]["rate"], found["b"]["low"]) == (1, 0.0, 0.0)


def test_spread_of_known_answers() -> None:
    cases = [
        Case("e", "same", ("a1", "a2", "a3"), ("x", "y", "z")),
        Case("e", "same", ("b1", "b2", "b3"), ("x", "y", "z")),
    ]
    answers = {"a1": 0.2, "a2": 0.5, "a3": 0.5, "b1": 0.7, "b2": 0.8, "b3": 0.6}
    found = bench().spreads([*cases, Case("other", "positive", ("a1",))], answers)
    assert list(found) == ["e"]
    assert {key: found["e"][key] for key in ("mean", "p95", "max")} == pytest.approx(
        {"mean": 0.25, "p95": 0.295, "max": 0.3}
    )
    assert found["e"]["shifts"] == pytest.approx({"x": -0.1, "y": 0.1, "z": 0.0})


def test_calibration_error_by_length_and_set() -> None:
    short, long = "two words", " ".join(["word"] * 6)
    texts = {
        "one": [(f"{short} {index}", "positive" if index < 6 else "negative") for index in range(10)],
        "two": [(f"{long} {index}", "negative") for index in range(4)],
    }
    answers = {text: 0.9 if len(text) < 15 else 0.2 for pairs in texts.values() for text, _ in pairs}
    found = bench().calibration(texts, answers)
    assert list(found) == ["1 to 5 words", "6 to 15 words", "one", "two"]
    assert [(row["texts"], row["accuracy"]["value"]) for row in found.values()] == [(10, 0.6), (4, 1.0)] * 2
    assert [row["ece"]["value"] for row in found.values()] == pytest.approx([0.3, 0.2] * 2)


def test_bands_hold_every_length_once() -> None:
    from tests.bench.labelled import BANDS, between

    texts = [(" ".join(["word"] * length), "positive") for length in range(1, 200)]
    parts = [between(texts, low, high) for low, high in BANDS]
    assert [text for part in parts for text in part] == texts


def test_labels_of_the_data_sets() -> None:
    from tests.bench.labelled import aspects, emotions, four_stars

    assert [emotions({"labels": names}) for names in (["joy", "love"], ["anger"], ["joy", "anger"], ["neutral"])] == [
        "positive",
        "negative",
        None,
        None,
    ]
    polarities = ("neutral,positive", "negative", "negative,positive", "neutral")
    assert [aspects({"polarities": value}) for value in polarities] == ["positive", "negative", None, None]
    review = {"domain": "books", "threshold": "t4", "split": "test", "label": 0}
    assert four_stars(review) == "negative"
    assert [four_stars(review | other) for other in ({"domain": "toys"}, {"threshold": "t2"}, {"split": "dev"})] == [
        None,
        None,
        None,
    ]


def test_the_linear_baseline_is_fitted_once_where_the_checkpoint_has_none(tmp_path: Path, monkeypatch: Any) -> None:
    behaviour = bench()
    calls = []

    def split(data: Data, name: str) -> list[Example]:
        calls.append(name)
        return [Example(f"{word} thing", label) for word, label in (("good", "positive"), ("bad", "negative"))] * 20

    monkeypatch.setattr(behaviour, "FITTED", tmp_path)
    monkeypatch.setattr(behaviour.inputs, "split", split)
    texts = ["a good thing", "a bad thing", "a thing"]
    first, second = (behaviour.linear_probabilities(behaviour.checkpoints.PRETRAINED, texts) for _ in range(2))
    assert calls == ["train"]
    assert (first == second).all()
    assert first[0] > 0.9 > 0.1 > first[1]
    assert first[2] == pytest.approx(0.5, abs=0.01)


def test_without_the_data_of_a_model_its_linear_baseline_is_left_out(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    behaviour = bench()
    monkeypatch.setattr(behaviour, "FITTED", tmp_path)
    monkeypatch.setattr(behaviour, "model_probabilities", lambda path, texts: np.array([0.9 for _ in texts]))
    cases = [Case("r", "positive", ("fine",)), Case("r", "negative", ("bad",))]
    found = behaviour.scored([behaviour.checkpoints.PRETRAINED], cases, {})
    assert [(name, one["rates"]["r"]["rate"]) for name, one in found.items()] == [("english", 0.5)]
    assert "no linear baseline of" in capsys.readouterr().err
