"""The shipped recipes, how they are listed and merged, and the list of their keys."""

import hashlib
import json
import shlex
from pathlib import Path

import pytest
import yaml

from lstmcli import recipes, registry
from lstmcli.config import Classifier, Finetune, LstmOptimizer, MetaLstm, Ridge, RunConfig, Tagger, fields
from lstmcli.config.base import Section
from lstmcli.errors import ConfigError
from lstmcli.storage import run_folder

# Of the settings that differ from the defaults: a recipe that is written in another way still trains the same model.
DIGESTS = {
    "arsc": "a677b034",
    "arsc-lm": "0bdafa39",
    "arsc-maml": "ff9f81df",
    "arsc-pretrained": "0991d133",
    "arsc-pretrained-maml": "bbdb8eb2",
    "banking77-maml": "35454e11",
    "classifiers-lstm-optimizer": "75324449",
    "clinc150-maml": "0d1e11fc",
    "conll2003": "77bc4f4b",
    "english": "382d9c35",
    "entities": "bae1b62f",
    "hwu64-maml": "38780246",
    "imdb": "6783daad",
    "imdb-lm": "18447034",
    "imdb-pretrained": "f386989e",
    "imdb-small": "9f1f741c",
    "imdb-taught": "8fce6e0f",
    "lm": "79dd188c",
    "opinions": "0fbe449b",
    "ptb": "647549b3",
    "ptb-large": "0c89c250",
    "quadratics-lstm-optimizer": "615f3971",
    "reviews": "bbeb3107",
    "table": "7abd0299",
}


def digest(config: RunConfig) -> str:
    plain = config.model_dump(mode="json", exclude_defaults=True)
    names = [config.data.name, config.model.name, config.learner.name, config.tokens.kind]
    return hashlib.blake2b(json.dumps([plain, names], sort_keys=True).encode(), digest_size=4).hexdigest()


def test_every_recipe_trains_what_it_always_did() -> None:
    assert {name: digest(recipes.load(name)) for name in recipes.listed()} == DIGESTS
    assert len(DIGESTS) <= 24


def test_no_recipe_repeats_what_its_base_says() -> None:
    for path in recipes.CONFIGS.glob("*.yaml"):
        given = yaml.safe_load(path.read_text("utf-8"))
        if "base" not in given:
            continue
        base, own = (recipes.load(name).model_dump(mode="json") for name in (given.pop("base"), path.stem))
        for section, values in given.items():
            before = base[section] or {}
            if before.get("name") == own[section].get("name"):
                assert [key for key, value in values.items() if before.get(key) == value] == [], path.name


def test_the_groups_hold_every_recipe_once() -> None:
    groups = recipes.groups()
    assert sorted(one.name for group in groups.values() for one in group) == sorted(recipes.listed())
    assert [one.name for one in groups["your own data"]] == ["lm", "table"]
    assert [one.name for one in groups["entities"]] == ["conll2003", "entities"]
    assert {one.name: one.time for one in groups["language models"]}["imdb-lm"] == "85 min"
    assert all(groups.values())


# ---- base


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("train: {epochs: 9}", {"train.epochs": 9, "train.lr": 0.004, "model.hidden": 64, "learner": Finetune()}),
        ("model: {hidden: 9}", {"model.hidden": 9, "model.embedding": 64, "model.dropout": 0.3}),
        ("model: {name: classifier, hidden: 9}", {"model.hidden": 9, "model.embedding": 64}),
        ("model: {name: tagger, hidden: 9}", {"model": Tagger(hidden=9), "tokens.kind": "pretokenized"}),
        ("data: {limit: 50}", {"data.name": "reviews", "data.limit": 50, "data.validation": 0.1}),
        ("data: {name: table}", {"data.name": "table", "data.domains": ()}),
        ("data: {domains: [films]}", {"data.domains": ("films",)}),
        ("episodes: {shots: 2}", {"episodes.shots": 2, "episodes.queries": 10}),
        ("seed: 3", {"seed": 3, "model.hidden": 64}),
    ],
)
def test_a_recipe_is_merged_with_its_base_key_by_key(content: str, expected: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"base: reviews\n{content}\n")
    config = recipes.load(str(path))
    for key, value in expected.items():
        found: object = config
        for part in key.split("."):
            found = getattr(found, part)
        assert found == value, key


def test_a_base_that_is_a_data_set_and_a_learner_no_more_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: clinc150-ridge\n")
    with pytest.raises(ConfigError, match="no recipe 'clinc150-ridge'") as caught:
        recipes.load(str(path))
    assert caught.value.fix == "now: base: clinc150-maml, and learner: {name: ridge}"


# ---- learners


@pytest.mark.parametrize("data", ["arsc", "banking77", "clinc150"])
@pytest.mark.parametrize("learner", ["lstm-optimizer", "matching", "meta-lstm", "prototypical", "ridge"])
def test_the_name_of_a_data_set_and_a_learner_is_answered_with_the_command(data: str, learner: str) -> None:
    with pytest.raises(ConfigError, match=f"'{data}-{learner}' is now another") as caught:
        recipes.load(f"{data}-{learner}")
    opening = f"now: lstmcli train {data}-maml --learner {learner}"
    assert caught.value.fix.startswith(opening)
    words = shlex.split(caught.value.fix.removeprefix(opening))
    assert set(words[::2]) <= {"--set"}
    found = recipes.load(f"{data}-maml", overrides=words[1::2], learner=learner)
    settings = {"steps": 3, "lr": 0.01, "head_init": "prototypes"} if data[-1].isdigit() else {"steps": 5, "lr": 0.05}
    kinds = {"lstm-optimizer": LstmOptimizer, "meta-lstm": MetaLstm}
    own: Section = kinds[learner](**settings) if learner in kinds else type(found.learner)()
    assert found == recipes.load(f"{data}-maml").model_copy(update={"learner": own})
    assert found.learner.name == learner


def test_a_learner_has_its_own_defaults_which_set_then_changes() -> None:
    base = recipes.load("banking77-maml")
    assert recipes.load("banking77-maml", learner="maml") == base
    changed = recipes.load("banking77-maml", learner="ridge", overrides=["learner.l2=2", "seed=3"])
    assert changed == base.model_copy(update={"learner": Ridge(l2=2), "seed": 3})


def test_a_recipe_without_episodes_gets_them_where_the_learner_needs_them() -> None:
    config = recipes.load("reviews", learner="ridge", overrides=["episodes.queries=1"])
    assert (config.learner, config.model) == (Ridge(), recipes.load("reviews").model)
    assert config.episodes is not None
    assert (config.episodes.shots, config.episodes.queries) == (5, 1)
    assert recipes.load("reviews", learner="finetune") == recipes.load("reviews")
    for recipe in ("entities", "lm"):
        with pytest.raises(ConfigError, match="whole texts with labels") as caught:
            recipes.load(recipe, learner="ridge")
        assert caught.value.where == "--learner ridge"


def test_an_unknown_learner_is_reported_where_it_was_given() -> None:
    with pytest.raises(ConfigError, match="'ridg' is not a learner") as caught:
        recipes.load("reviews", learner="ridg")
    assert caught.value.where == "--learner ridg"
    assert "did you mean 'ridge'" in caught.value.fix


def test_a_run_with_another_learner_is_written_beside_that_of_the_recipe() -> None:
    assert run_folder.default("banking77-maml", "ridge") == Path("runs/banking77-ridge")
    assert run_folder.default("banking77-maml", "maml") == Path("runs/banking77-maml")
    assert run_folder.default("arsc-pretrained-maml", "meta-lstm") == Path("runs/arsc-pretrained-meta-lstm")
    assert run_folder.default("mine.csv", "ridge") == Path("runs/mine-ridge")
    assert run_folder.default("banking77-maml") == Path("runs/banking77-maml")


# ---- keys


def test_the_list_of_keys_is_that_of_the_sections() -> None:
    found = {(row.section, row.kind, row.key): row for row in fields.rows()}
    assert len(found) == len(fields.rows())
    assert all(row.meaning and row.type and row.default for row in found.values())
    assert {kind for section, kind, _ in found if section == "learner"} == set(registry.LEARNERS)
    assert {kind for section, kind, _ in found if section == "model"} == set(registry.MODELS)
    assert {key for section, kind, key in found if kind == "classifier"} == set(Classifier.model_fields)
    assert {key for section, _, key in found if section == "recipe"} == {"seed", "device", "precision", "threads"}
    assert found["learner", "maml", "name"].meaning.startswith("Model-agnostic meta-learning")
    lr = found["train", "", "lr"]
    assert (lr.type, lr.default, lr.limits, lr.meaning) == ("float", "0.002", "> 0, < 100", "Peak learning rate.")
    assert found["train", "", "teacher"].type == "linear | path | none"
    assert found["data", "", "domains"].type == "list"
    assert found["data", "", "header"].type == "true | false | none"
    assert found["model", "classifier", "pooling"].type == "last | mean | max | max-mean | attention"
    assert found["recipe", "", "threads"].limits == ">= 1, <= 4_096"


@pytest.mark.parametrize(("section", "count"), [("tokens", 7), ("matching", 5), ("prototypical", 1), ("recipe", 4)])
def test_the_keys_of_one_section_or_kind(section: str, count: int) -> None:
    assert len(fields.rows(section)) == count


def test_an_unknown_section_of_keys_is_reported() -> None:
    with pytest.raises(ConfigError, match="no section 'trian'") as caught:
        fields.rows("trian")
    assert "did you mean 'train'" in caught.value.fix
