"""The bundled data: its splits share nothing, its attribution is beside it, and it equals its source."""

from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from lstmcli import recipes
from lstmcli.config import Data, RunConfig
from lstmcli.data.readers import goemotions, hwu64, mams, opinions, snips
from lstmcli.errors import DataError
from lstmcli.storage import examples as inputs
from lstmcli.types import Example

BUNDLED = Path(opinions.BUNDLED).parent


def read(reader: ModuleType, root: Path | None = None, **options: object) -> dict[str, list[Example]]:
    """The examples of every split."""
    root = root or reader.BUNDLED
    name = reader.__name__.rpartition(".")[2]
    return {split: reader.read(root, split, Data(name=name, **options)).examples for split in reader.splits(root)}


def distinct(parts: dict[str, list[Example]], kind: str) -> list[int]:
    """How many different values each split has, and all splits together."""
    sets = [{getattr(example, kind) for example in part} for part in parts.values()]
    return [*map(len, sets), len(set.union(*sets))]


def test_no_product_and_no_text_of_the_opinions_is_in_two_splits() -> None:
    parts = read(opinions)
    assert {split: len(part) for split, part in parts.items()} == {"train": 2995, "test": 739}
    assert distinct(parts, "domain") == [10, 4, 14]
    assert distinct(parts, "text") == [2993, 737, 3730]
    assert {example.domain for example in parts["test"]} == set(opinions.HELD_OUT)
    assert {example.domain for part in parts.values() for example in part} == set(opinions.DOMAINS)
    assert Counter(example.target for part in parts.values() for example in part) == {
        "positive": 2379,
        "negative": 1355,
    }


def test_no_intent_and_no_text_of_hwu64_is_in_two_splits() -> None:
    parts = read(hwu64)
    assert distinct(parts, "target") == [*hwu64.CLASSES.values(), 64]
    assert distinct(parts, "text") == [6449, 1749, 2796, 6449 + 1749 + 2796]
    assert distinct(parts, "domain") == [1, 1, 1, 1]  # a task draws its classes from all scenarios


def test_the_scenarios_of_hwu64_are_those_of_its_intents() -> None:
    intents = {str(example.target) for part in read(hwu64).values() for example in part}
    assert set(hwu64.DOMAINS) == {intent.partition("_")[0] for intent in intents}
    chosen = read(hwu64, domains=("transport",))
    assert {split: {str(one.target) for one in part} for split, part in chosen.items()} == {
        "train": {"transport_query", "transport_taxi", "transport_traffic"},
        "validation": {"transport_ticket"},
        "test": set(),
    }


@pytest.mark.parametrize("name", ["opinions", "hwu64"])
def test_source_licence_and_changes_stand_beside_the_data(name: str) -> None:
    text = (BUNDLED / name / "ATTRIBUTION.md").read_text("utf-8")
    for part in ("**Source:**", "creativecommons.org/licenses/by/4.0/", "**Changes:**"):
        assert part in text
    assert sum(path.stat().st_size for path in (BUNDLED / name).iterdir()) < 200_000


def test_what_is_bundled_equals_its_source(real_data: Path) -> None:
    def plain(parts: dict[str, list[Example]]) -> dict[str, list[tuple[object, ...]]]:
        return {split: [(one.text, one.target, one.domain) for one in part] for split, part in parts.items()}

    assert plain(read(opinions)) == plain(read(opinions, real_data / "opinions"))
    whole = plain(read(hwu64, real_data / "fewshot_intents" / "hwu64"))
    left = {split: set(whole[split]) - set(part) for split, part in plain(read(hwu64)).items()}
    assert {split: len(part) for split, part in left.items()} == {"train": 39, "validation": 0, "test": 0}
    assert all("@" in str(text) for text, _, _ in left["train"])


# ---- domains that a split lacks


def test_a_product_is_read_in_the_split_that_has_it() -> None:
    for product, expected, count in (("norton", "test", 200), ("zen-xtra", "train", 706)):
        data = Data(name="opinions", domains=(product,))
        split, examples = inputs.to_score(data, None, RunConfig())
        assert (split, len(examples)) == (expected, count)
        assert inputs.everything(data) == examples


def test_a_model_of_some_products_is_scored_on_what_was_held_out_of_them() -> None:
    config = recipes.load("opinions", overrides=["data.domains=[zen-xtra, canon-g3]"])
    parts = inputs.read(config)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (848, 94, 0)
    assert inputs.to_score(config.data, None, config) == ("validation", parts.validation)


def test_a_split_without_the_chosen_products_names_those_that_it_has() -> None:
    with pytest.raises(DataError, match="no examples of zen-xtra") as caught:
        inputs.split(Data(name="opinions", domains=("zen-xtra",)), "test")
    assert caught.value.fix == "choose among the domains of this split: canon-s100, diaper-champ, ipod, norton"


# ---- data sets of whose texts only those with one label are read


def test_texts_without_one_label_and_those_of_later_splits_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(
        'text,polarities\ngood,"neutral,positive"\nso so,"negative,positive"\nbad,negative\n'
    )
    (tmp_path / "val.csv").write_text("text,polarities\nbad,negative\nplain,neutral\n")
    rows = mams.read(tmp_path, "train", Data())
    assert [(one.text, one.target) for one in rows.examples] == [("good", "positive")]
    assert rows.notes == (
        "train: 1 text left out that have no single label",
        "train: 1 text left out that stand in validation too",
    )
    with pytest.raises(DataError, match="has no domains"):
        mams.read(tmp_path, "train", Data(domains=("books",)))


@pytest.mark.parametrize(
    ("reader", "counts", "classes"),
    [(snips, [13621, 697], 7), (goemotions, [36094, 4535, 4584], 28), (mams, [3591, 412, 428], 2)],
)
def test_no_text_is_in_two_splits(reader: ModuleType, counts: list[int], classes: int, real_data: Path) -> None:
    folder = {snips: "fewshot_intents/snips"}.get(reader, reader.__name__.rpartition(".")[2])
    parts = read(reader, real_data / folder)
    assert distinct(parts, "text") == [*counts, sum(counts)]
    assert distinct(parts, "target")[-1] == classes
