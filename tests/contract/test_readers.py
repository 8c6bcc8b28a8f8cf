"""What every reader in the registry must do, and every shipped recipe."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmcli import recipes, registry
from lstmcli.config import Data
from lstmcli.data.readers import reviews
from lstmcli.errors import LstmcliError
from tests.conftest import TIMES

NAMES = sorted(registry.DATASETS)
UNLABELLED = ("ptb", "texts")
RECIPES = sorted(recipes.CONFIGS.glob("*.yaml"))


def specimen(name: str, folder: Path) -> Path:
    for file, content in registry.find(registry.DATASETS, name).SPECIMEN.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_reads_its_specimen(name: str, tmp_path: Path) -> None:
    reader = registry.find(registry.DATASETS, name)
    root = specimen(name, tmp_path)
    assert "train" in reader.splits(root)
    places: list[str] = []
    for split in reader.splits(root):
        found = reader.read(root, split, Data(name=name))
        assert found.bad == []
        for example in found.examples:
            assert example.text
            assert example.target or name in UNLABELLED
            assert Path(example.where.rsplit(":", 1)[0]).is_file() or Path(example.where).is_file()
        places += [example.where for example in found.examples]
        assert found == reader.read(root, split, Data(name=name))
    assert len(places) == len(set(places)), "corrections and messages find a row by its place"


@pytest.mark.parametrize("name", NAMES)
def test_a_split_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    reader = registry.find(registry.DATASETS, name)
    with pytest.raises(LstmcliError, match="no split"):
        reader.read(specimen(name, tmp_path), "nonsense", Data(name=name))


@pytest.mark.parametrize("name", NAMES)
@given(noise=st.binary(max_size=80), place=st.integers(0, 200))
@settings(max_examples=40 * TIMES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_in_a_file_never_brings_a_traceback(name: str, noise: bytes, place: int, tmp_path: Path) -> None:
    root = specimen(name, tmp_path)  # written again each time
    for path in root.rglob("*.*"):
        content = path.read_bytes()
        path.write_bytes(content[:place] + noise + content[place:])
    reader = registry.find(registry.DATASETS, name)
    for split in reader.splits(root):
        try:
            found = reader.read(root, split, Data(name=name))
        except LstmcliError:
            continue
        for example in found.examples:
            str(example.text).encode()  # what is let through is text


def test_there_are_recipes() -> None:
    assert {path.stem for path in RECIPES} >= {"imdb", "reviews", "table"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_loads_and_says_what_it_is_for(path: Path) -> None:
    config = recipes.load(path.stem)
    assert config.data.name in {*registry.DATASETS, *registry.PROBLEMS}
    first, second = path.read_text("utf-8").splitlines()[:2]
    assert first.startswith("# ")
    assert second.startswith("# lstmcli train ")


def bundled() -> list[dict[str, str]]:
    rows = []
    for split in reviews.splits(reviews.BUNDLED):
        for line in (reviews.BUNDLED / f"{split}.jsonl").read_text("utf-8").splitlines():
            rows.append(json.loads(line) | {"split": split})
    return rows


def test_the_bundled_reviews_are_balanced_by_domain_split_and_label() -> None:
    counts = Counter((row["domain"], row["split"], row["label"]) for row in bundled())
    assert {domain for domain, _, _ in counts} == set(reviews.DOMAINS)
    per_split = {"train": 26, "validation": 6, "test": 8}
    assert counts == {
        (domain, split, label): count
        for domain in reviews.DOMAINS
        for split, count in per_split.items()
        for label in ("negative", "positive")
    }


def test_the_bundled_reviews_are_of_25_to_120_words() -> None:
    lengths = [len(row["text"].split()) for row in bundled()]
    assert min(lengths) >= 25
    assert max(lengths) <= 120


def test_no_two_bundled_reviews_are_near_duplicates() -> None:
    def shingles(text: str, size: int) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return {tuple(words[place : place + size]) for place in range(len(words) - size + 1)}

    texts = [row["text"] for row in bundled()]
    eight = Counter(shingle for text in texts for shingle in shingles(text, 8))
    assert max(eight.values()) == 1, "eight words in a row stand in one review only"
    pairs = [shingles(text, 2) for text in texts]
    for place, one in enumerate(pairs):
        for other in pairs[:place]:
            assert len(one & other) / min(len(one), len(other)) < 0.25
    openings = Counter(tuple(text.lower().split()[:3]) for text in texts)
    assert max(openings.values()) <= len(texts) / 100
