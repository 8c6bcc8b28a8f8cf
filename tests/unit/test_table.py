"""The table of learners: what it puts side by side, and how it adds up. Making it takes an hour: ``make table``."""

import pytest

from lstmcli import recipes
from lstmcli.config import RunConfig
from lstmcli.config.fields import kinds
from tests.bench.table import BASELINES, GOES_ON, LEARNERS, PARTS, learner_sets, markdown, summary


@pytest.mark.parametrize("data", PARTS)
@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_goes_on_from_the_encoder_of_every_data_set(name: str, data: str) -> None:
    part = PARTS[data]
    encoder = recipes.load(part.encoder)
    sets = [f"model={encoder.model.model_dump_json()}", *part.sets, *GOES_ON, *learner_sets(name, part)]
    config = recipes.load(part.recipe, overrides=sets)
    assert config.learner.model_dump().items() >= LEARNERS[name].items()
    assert config.model == encoder.model
    assert config.data == encoder.data
    assert config.tokens.kind == encoder.tokens.kind


def test_every_learner_is_in_the_table() -> None:
    found = {settings["name"] for settings in LEARNERS.values()}
    sections = kinds(RunConfig.model_fields["learner"].annotation)
    meta_trained = {name for name, section in sections.items() if section.meta_trained}
    assert found == meta_trained, "LEARNERS of tests/bench/table.py has one line per registered learner"


def figures(*values: float) -> list[dict[str, float]]:
    return [{"accuracy": value} for value in values]


def test_figures_are_means_over_seeds_of_each_task_and_gains_are_paired() -> None:
    centroid = BASELINES["centroid"]
    found = {
        "0": {"ours": figures(0.5, 0.7), centroid: figures(0.4, 0.6)},
        "1": {"ours": figures(0.7, 0.9), centroid: figures(0.4, 0.6)},
    }
    rows = summary(found, "accuracy")
    assert rows["ours"]["value"] == pytest.approx({"value": 0.7, "low": 0.0, "high": 1.0})  # two tasks tell nothing
    assert rows["ours"]["over centroid"] == pytest.approx({"value": 0.2, "low": 0.2, "high": 0.2})
    assert rows[centroid]["over centroid"]["value"] == 0


def test_the_best_of_a_column_is_marked() -> None:
    one, two = ({"value": {"value": value, "low": value - 0.01, "high": value + 0.01}} for value in (0.9, 0.8))
    lines = markdown({"arsc": {"ridge": one, "ANIL": two}, "clinc150": {"ridge": two, "matching": one}}).splitlines()
    assert "| ridge | **90.0** ± 1.0 | 80.0 ± 1.0 |" in lines
    assert "| ANIL | 80.0 ± 1.0 |  |" in lines
    assert "| matching |  | **90.0** ± 1.0 |" in lines
