"""Recipes: an error names what is wrong, where, and the fix."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmcli import recipes
from lstmcli.config import Ridge, RunConfig, fields, renamed
from lstmcli.errors import ConfigError, LstmcliError, did_you_mean
from lstmcli.types import Option
from lstmcli.validation import validated

BAD = [  # override                 what                        where                         fix
    ("train.lr=-1", "-1 is out of range", "--set train.lr=-1", "more than 0 and less than 100"),
    ("train.lr=-1", "-1 is out of range", "--set train.lr=-1", "--set train.lr=0.00"),
    ("train.epoch=3", "unknown key 'epoch'", "--set train.epoch=3", "did you mean 'epochs'"),
    ("trian.epochs=3", "unknown key 'trian'", "reviews.yaml: trian", "did you mean 'train'"),
    ("model.pooling=maxmean", "'maxmean' is not allowed", "--set model.pooling", "did you mean 'max-mean'"),
    ("model.hidden=many", "'many' should be a valid integer", "--set model.hidden=many", "--set model.hidden=128"),
    ("model.hidden=no", "truth value", "--set model.hidden=False", "--set model.hidden=128"),
    ("device=gpu", "'gpu' is not allowed", "--set device=gpu", "auto, cpu, cuda or cuda:N"),
    ("epochs", "not key=value", "--set epochs", "--set train.lr=0.001"),
    ("seed.x=1", "'seed' is not a section", "--set seed.x=1", "leave out"),
]


@pytest.mark.parametrize(("override", "what", "where", "fix"), BAD)
def test_a_bad_override_says_what_where_and_how_to_mend(override: str, what: str, where: str, fix: str) -> None:
    overrides = [override] if override != "seed.x=1" else ["seed=1", override]
    with pytest.raises(ConfigError) as caught:
        recipes.load("reviews", overrides=overrides)
    assert what in caught.value.what
    assert where in caught.value.where
    assert fix in caught.value.fix


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("train: {lr: fast, epochs: 0}\nmodel: {hiden: 3}\n")
    with pytest.raises(ConfigError, match="3 problems") as caught:
        recipes.load(str(path))
    for part in ("train.lr", "train.epochs", "model.hiden", "did you mean 'hidden'", str(path)):
        assert part in caught.value.where


def test_the_last_override_wins_and_numbers_may_be_text() -> None:
    config = recipes.load(
        "reviews", overrides=["train.lr=1e-3", "train.lr=2e-3", "train.clip=none", "data.domains=[films]"]
    )
    assert config.train.lr == 0.002
    assert config.train.clip is None
    assert config.data.domains == ("films",)


def test_a_recipe_survives_its_own_text() -> None:
    config = recipes.load("imdb")
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
    assert recipes.adjusted(config, [Option("seed", "--seed", 3)]) == config.model_copy(update={"seed": 3})


@pytest.mark.parametrize(
    ("content", "what"),
    [("- a\n", "a table of sections"), ("a: [\n", "not valid YAML"), (b"\xff\xfe\x00", "not valid YAML")],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, content: str | bytes, what: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=what):
        recipes.load(str(path))


def test_a_recipe_takes_over_what_it_does_not_give(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("base: banking77-maml\nlearner: {name: ridge}\nseed: 3\n")
    base, config = recipes.load("banking77-maml"), recipes.load(str(mine))
    assert config == base.model_copy(update={"learner": Ridge(), "seed": 3})
    mine.write_text("base: banking77-mmal\n")
    with pytest.raises(ConfigError) as caught:
        recipes.load(str(mine))
    assert "did you mean 'banking77-maml'" in caught.value.fix


def test_a_near_miss_of_a_recipes_name_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        recipes.load("imbd")
    assert "did you mean 'imdb'" in caught.value.fix


def test_data_finds_its_standard_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("text,label\n")
    assert recipes.load(str(tmp_path / "mine.csv")).data.path == tmp_path / "mine.csv"
    folder = tmp_path / "split"
    folder.mkdir()
    with pytest.raises(ConfigError, match="no data that a standard recipe fits"):
        recipes.load(str(folder))
    (folder / "train.jsonl").write_text("{}")
    assert recipes.load(str(folder)).data.name == "table"
    (tmp_path / "aclImdb" / "train" / "pos").mkdir(parents=True)
    assert recipes.load(str(tmp_path / "aclImdb")).data.name == "imdb"


@given(st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_override_brings_a_traceback(text: str) -> None:
    for override in (text, f"train.lr={text}", f"data.{text}=1", f"{text}=1"):
        with suppress(LstmcliError):
            recipes.load("reviews", overrides=[override])


def test_options_are_taken_as_they_were_typed() -> None:
    config = recipes.load(
        "table", options=[Option("data.path", "--data", "my #1.csv"), Option("data.text_column", "--text-column", "no")]
    )
    assert config.data.path is not None
    assert config.data.path.is_absolute()
    assert config.data.path.name == "my #1.csv"
    assert config.data.text_column == "no"
    with pytest.raises(ConfigError) as caught:
        recipes.load("table", options=[Option("device", "--device", "gpu")])
    assert caught.value.where == "--device gpu"


def test_a_name_longer_than_a_file_may_have_is_told() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        recipes.load("x" * 300)


def test_did_you_mean_names_all_when_nothing_is_near() -> None:
    assert did_you_mean("zzz", ["a", "b"]) == "known: a, b"
    many = [f"name{number}" for number in range(30)]
    assert did_you_mean("nam7", many) == "did you mean 'name7'?"
    assert did_you_mean("zzz", many) == f"known: {', '.join(many)}"


# ---- names of earlier versions


def kind_of(key: str) -> dict[str, str]:
    """The name of the first kind of the key's section that has the key; empty for sections of one kind."""
    section, _, name = key.partition(".")
    kind = next(row.kind for row in fields.rows(section) if row.key == name)
    return {"name": kind} if kind else {}


def value_for(key: str) -> object:
    """A value that the key may have and that is not its default."""
    known = {"learner.adapted_parameters": "biases+head", "learner.head_init": "prototypes"}
    whole = next(row.type for row in fields.rows(key.partition(".")[0]) if row.key == key.partition(".")[2]) == "int"
    return known.get(key, 7 if whole else 0.25)


def at(config: RunConfig, key: str) -> object:
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)


@pytest.mark.parametrize(("old", "new"), renamed.KEYS.items())
def test_an_old_key_is_answered_with_the_new_one_and_read_in_old_checkpoints(
    old: str, new: str, tmp_path: Path
) -> None:
    (section, name), value, kind = old.split("."), value_for(new), kind_of(new)
    begin = [f"{section}={json.dumps(kind)}"] if kind else []
    with pytest.raises(ConfigError) as caught:
        recipes.load("reviews", overrides=[*begin, f"{old}={value}"])
    assert caught.value.what == f"{old} is now called {new}"
    assert caught.value.where == f"--set {old}={value}"
    assert caught.value.fix == f"--set {new}={value}"
    config = recipes.load("reviews", overrides=[*begin, caught.value.fix.removeprefix("--set ")])
    assert at(config, new) == value

    (tmp_path / "mine.yaml").write_text(json.dumps({section: {**kind, name: value}}))
    with pytest.raises(ConfigError) as caught:
        recipes.load(str(tmp_path / "mine.yaml"))
    assert caught.value.what == f"{old} is now called {new}"
    assert caught.value.fix == f"write {new.partition('.')[2]}: {value}"

    saved = config.model_dump(mode="json")
    saved[section][name] = saved[section].pop(new.partition(".")[2])
    assert validated(renamed.translated(saved), where="old.pt") == config


@pytest.mark.parametrize(
    ("key", "old", "new"), [(key, old, new) for key, values in renamed.VALUES.items() for old, new in values.items()]
)
def test_an_old_value_is_answered_with_the_new_one_and_read_in_old_checkpoints(key: str, old: str, new: str) -> None:
    recipe = {"pretokenized": "entities", "whitespace": "ptb"}.get(new, "banking77-maml")
    with pytest.raises(ConfigError) as caught:
        recipes.load(recipe, overrides=[f"{key}={old}"])
    assert caught.value.what == f"{key}={old} is now called {new}"
    assert caught.value.fix == f"--set {key}={new}"
    config = recipes.load(recipe, overrides=[caught.value.fix.removeprefix("--set ")])
    assert at(config, key) == new
    section, _, name = key.partition(".")
    saved = config.model_dump(mode="json")
    saved[section][name] = old
    assert validated(renamed.translated(saved), where="old.pt") == config


def test_an_old_key_with_an_old_value_is_answered_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        recipes.load("banking77-maml", overrides=["learner.start=own"])
    assert caught.value.fix == "--set learner.head_init=model"


def test_an_old_key_of_another_kind_is_an_unknown_key() -> None:
    with pytest.raises(ConfigError) as caught:
        recipes.load("banking77-maml", overrides=["learner.reads=2"])  # which maml never had
    assert caught.value.what == "unknown key 'reads'"


@pytest.mark.parametrize(
    ("task", "model"), [("tag", "tagger"), ("model_language", "language-model"), ("classify", "classifier")]
)
def test_the_model_decides_the_task(task: str, model: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"task: {task}\nmodel: {{name: {model}}}\n")
    with pytest.raises(ConfigError, match="the model decides it") as caught:
        recipes.load(str(tmp_path / "mine.yaml"))
    assert f"--set model.name={model}" in caught.value.fix
    (tmp_path / "mine.yaml").write_text(f"model: {{name: {model}}}\n")
    config = recipes.load(str(tmp_path / "mine.yaml"))
    assert (config.task, config.tokens.kind) == (task, "pretokenized" if task == "tag" else "words")
    saved = {"task": task, **config.model_dump(mode="json")}
    assert validated(renamed.translated(saved), where="old.pt") == config


@pytest.mark.parametrize(
    "content", ["task: [tag]", "task: {a: 1}", "learner: 3", "model: [1]", "train: {virtual: [1]}"]
)
def test_no_recipe_brings_a_traceback(content: str, tmp_path: Path) -> None:
    for start in ("", "base: reviews\n"):
        (tmp_path / "mine.yaml").write_text(f"{start}{content}\n")
        with pytest.raises(ConfigError):
            recipes.load(str(tmp_path / "mine.yaml"))
        with suppress(ConfigError):  # of another learner the recipe's own section is not read
            recipes.load(str(tmp_path / "mine.yaml"), learner="ridge")
