"""Labels of a user's data under the names that a model has for them."""

import pytest

from lstmcli import recipes
from lstmcli.config import Data, RunConfig
from lstmcli.data import labels
from lstmcli.storage import examples as inputs
from lstmcli.storage.data_option import as_known, remembered
from lstmcli.types import Example
from tests.conftest import write_table


def test_types_of_entities_are_renamed_in_their_tags() -> None:
    example = Example(("Ada", "of", "New", "York"), ("B-person", "O", "B-LOC", "I-LOC"))
    (renamed,) = labels.renamed([example], {"person": "PER", "O": "never"})
    assert renamed.target == ("B-PER", "O", "B-LOC", "I-LOC")
    assert labels.renamed([Example("a text")], {"x": "y"}) == [Example("a text")]


def test_a_name_is_folded_only_where_one_alone_is_meant() -> None:
    known = ["positive", "US", "us"]
    assert labels.folded(["Positive", "POSITIVE", "positive", "Us", "other"], known) == {
        "Positive": "positive",
        "POSITIVE": "positive",
    }


@pytest.mark.parametrize(
    ("unknown", "known", "option"),
    [
        (["0", "1"], ["negative", "positive"], "--map 0=negative,1=positive"),
        (["1"], ["negative", "positive"], "--map 1=positive"),
        (["-1", "1"], ["negative", "positive"], "--map -1=negative,1=positive"),
        (["1", "2", "3", "4", "5"], ["negative", "positive"],
         "--map 1=negative,2=negative,3=negative,4=positive,5=positive"),
        (["neg", "pos"], ["negative", "positive"], "--map neg=negative,pos=positive"),
        (["goood"], ["bad", "good"], "--map goood=good"),
        (["neg", "unsure"], ["negative", "positive"], "--map neg=negative"),
        (["neutral"], ["negative", "positive"], ""),
        (["login", "refund"], ["bad", "good"], ""),
        (["so so"], ["bad", "so-so"], "--map 'so so=so-so'"),
        (["a, b"], ["a,b", "c"], """--set 'data.label_map={"a, b": "a,b"}'"""),
    ],
)  # fmt: skip
def test_the_mapping_that_is_proposed(unknown: list[str], known: list[str], option: str) -> None:
    assert labels.proposal(unknown, known) == option


def test_one_mapping_serves_files_of_different_labels() -> None:
    mapping = {"Positive": "positive", "Negative": "negative", "1": "positive", "0": "negative"}
    for present in (["0", "1"], ["Negative", "Positive"], ["negative", "positive"]):
        labels.check_used(mapping, present)


def test_a_label_that_is_a_number_in_yaml_is_a_word_in_the_mapping() -> None:
    assert recipes.reading(["data.label_map={1: good, b: 0}"], ["label_map"], ()) == {
        "label_map": {"1": "good", "b": "0"}
    }


@pytest.mark.parametrize("sign", ["|", ";", "~", "#", "\t", " ", "'"])
def test_a_delimiter_is_the_character_that_was_typed(sign: str) -> None:
    assert recipes.reading([f"data.delimiter={sign}"], ["delimiter"], ()) == {"delimiter": sign}


def test_training_reads_labels_by_their_new_names(tmp_path) -> None:  # type: ignore[no-untyped-def]
    table = write_table(tmp_path / "mine.csv")
    config = RunConfig(data=Data(path=table, label_map={"good": "fine"}))
    parts = inputs.read(config).parts.values()
    assert {label for part in parts for label in labels.found(part)} == {"bad", "fine"}


def test_the_mapping_of_training_counts_for_other_files_too() -> None:
    own = Data(label_map={"1": "good", "2": "gone"})
    examples = [Example("a", "1"), Example("b", "bad"), Example("c", "2")]
    assert [example.target for example in as_known(examples, ["bad", "good"], own)] == ["good", "bad", "2"]


@pytest.mark.parametrize(
    ("own", "names", "found"),
    [
        ("review", ["review", "text"], True),
        ("review", ["body", "text"], False),
        ("title,body", ["body", "title"], True),
        ("title,body", ["body", "text"], False),
        ("2", ["a", "b"], True),
        ("2", ["a", "text"], False),
        ("3", ["a", "b"], False),
    ],
)
def test_a_column_of_training_is_taken_where_the_table_has_it(own: str, names: list[str], *, found: bool) -> None:
    data = Data(text_column=own, label_column="mood")
    assert remembered(data, names) == ({"text_column": own} if found else {})
