"""The library: what it answers is what the commands answer, and the process stays as it was."""

import json
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lstmcli
from lstmcli import Model, fit, load
from lstmcli.api.evaluate import evaluate
from lstmcli.api.predict import TextOptions, predict
from lstmcli.errors import CheckpointError, ConfigError, DataError, LstmcliError
from lstmcli.events import Evaluated, Finished, Stepped
from lstmcli.storage import checkpoint as checkpoints
from tests.conftest import BAD, GOOD, train_arguments

Run = Callable[..., int]
TEXTS = [f"{text} {number}" for number in range(5) for text in (*GOOD, *BAD)]
LABELS = (["good"] * 4 + ["bad"] * 4) * 5
SETTINGS: dict[str, Any] = {
    "model__init": None,
    "model__sentence_embedding": 0,
    "model__embedding": 8,
    "model__vectors": None,
    "model__hidden": 8,
    "model__dropout": 0.5,
    "train__encoder_lr_scale": 1,
    "tokens__min_count": 1,
    "train__batch_tokens": 64,
    "train__lr": 0.02,
    "train__epochs": 3,
    "precision": "float32",
}


@pytest.fixture
def model(trained: Path) -> Model:
    return load(trained, threads=1)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The texts as a file, in their order."""
    rows = "".join(f'"{text}",{label}\n' for text, label in zip(TEXTS, LABELS, strict=True))
    (tmp_path / "mine.csv").write_text("text,label\n" + rows)
    return tmp_path / "mine.csv"


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


@pytest.fixture
def process() -> Iterator[None]:
    """Checks that the process is as before: torch's random state, its threads, the environment, and all files."""
    torch.manual_seed(7)
    torch.rand(3)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 2)
    before = torch.get_rng_state(), torch.get_num_threads(), environment()
    yield
    assert torch.equal(before[0], torch.get_rng_state())
    assert (torch.get_num_threads(), environment()) == before[1:]
    torch.set_num_threads(threads)
    assert list(Path(os.environ["XDG_CACHE_HOME"]).glob("**/*")) == list(Path().iterdir()) == []


@pytest.mark.usefixtures("process")
def test_no_call_changes_the_process(trained: Path) -> None:
    model = load(trained, threads=1)
    few = model.adapt([*GOOD[:2], *BAD[:2]], ["good", "good", "bad", "bad"], seed=3)
    few.predict(TEXTS)
    model.evaluate(TEXTS, LABELS, seed=3)
    with pytest.raises(LstmcliError):
        load(trained, device="cuda:99").predict(TEXTS)


@pytest.mark.usefixtures("process")
def test_fitting_changes_nothing_either(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fit(TEXTS, LABELS, seed=3, **SETTINGS)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError):  # wherever it ends
        fit(TEXTS, LABELS, listener=lambda event: 1 / 0 if isinstance(event, Stepped) else None, **SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_predictions_are_those_of_the_command(
    run: Run, trained: Path, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [*GOOD, *BAD]
    assert run("predict", *texts, "-c", trained, "--json", "--threads", "1") == 0
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = model.predict_proba(texts)
    assert found.dtype == np.float64
    assert list(model.classes_) == list(expected[0]["probabilities"]) == ["bad", "good"]
    assert [list(row.round(6)) for row in found] == [list(row["probabilities"].values()) for row in expected]
    assert list(model.predict(texts)) == [row["label"] for row in expected]
    assert model.predict([]).shape == (0,)
    assert model.predict_proba([]).shape == (0, 2)


def test_an_evaluation_is_that_of_the_command(
    run: Run, trained: Path, model: Model, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", "-c", trained, "--data", table, "--json", "--threads", "1", "--seed", "2") == 0
    expected = json.loads(capsys.readouterr().out)
    report = model.evaluate(TEXTS, LABELS, seed=2)
    found = report.plain()
    assert expected["baselines"].keys() == {"majority", "linear"}
    for key in ("task", "examples", "metrics", "baselines", "checkpoint"):
        assert found[key] == expected[key], key
    assert model.score(TEXTS, LABELS) == expected["metrics"]["accuracy"]["value"]
    assert [one["label"] for one in report.predictions()] == list(model.predict(TEXTS))


def test_on_files_it_does_what_the_commands_do(
    run: Run, model: Model, trained: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("evaluate", "-c", trained, "--data", table, "--json") == 0
    assert run("predict", "-c", trained, "-i", table, "--json") == 0
    scored, *answered = map(json.loads, capsys.readouterr().out.splitlines())
    torch.manual_seed(7)
    before = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(before[1] + 2)
    report = evaluate(trained, table).plain()
    assert report | {"seconds": 0} == scored | {"seconds": 0}
    rows: list[Any] = []
    assert not predict((), TextOptions(table), model=trained, output=tmp_path / "out.jsonl").run(
        lambda prediction: rows.append(prediction.answer)
    )
    assert rows == answered == [*map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())]
    assert [row["label"] for row in rows] == model.predict(TEXTS).tolist()
    assert torch.equal(before[0], torch.get_rng_state())
    assert torch.get_num_threads() == before[1] + 2
    torch.set_num_threads(before[1])


def test_training_is_that_of_the_command(run: Run, table: Path, tmp_path: Path) -> None:
    assert run(*train_arguments(table, tmp_path / "run"), "--threads", "1", "--seed", "4", "--quiet") == 0
    events: list[Any] = []
    model = fit(TEXTS, LABELS, seed=4, threads=1, listener=events.append, **SETTINGS)
    model.save(tmp_path / "mine.pt")
    ours, commands = (checkpoints.load(tmp_path / name) for name in ("mine.pt", "run/model.pt"))
    assert ours.tensors.keys() == commands.tensors.keys()
    for name, value in commands.tensors.items():
        assert torch.equal(ours.tensors[name], value), name
    assert ours.temperature == commands.temperature
    assert sum(isinstance(event, Evaluated) for event in events) == 3
    assert isinstance(events[-1], Finished)
    assert any(isinstance(event, Stepped) for event in events)


def test_adapting_is_that_of_the_command_and_leaves_the_model_as_it_was(
    run: Run, trained: Path, model: Model, tmp_path: Path
) -> None:
    texts, labels = ["rain and wind", "wind", "snow and rain", "sun", "sun and heat", "heat"], ["wet"] * 3 + ["dry"] * 3
    rows = "".join(f"{text},{label}\n" for text, label in zip(texts, labels, strict=True))
    (tmp_path / "few.csv").write_text("text,label\n" + rows)
    few = ["adapt", "--data", tmp_path / "few.csv", "--shots", "3", "-c", trained, "--threads", "1", "--quiet"]
    before = model.predict_proba(TEXTS)
    for options, arguments in (
        ([], {}),
        (["--learner", "finetune", "--steps", "4"], {"learner": "finetune", "steps": 4}),
    ):
        assert run(*few, *options, "--out", tmp_path / "adapted.pt") == 0
        adapted = model.adapt(texts, labels, **arguments)
        assert list(adapted.classes_) == ["dry", "wet"]
        assert np.array_equal(
            adapted.predict_proba(texts), load(tmp_path / "adapted.pt", threads=1).predict_proba(texts)
        )
    assert np.array_equal(model.predict_proba(TEXTS), before)
    assert list(model.classes_) == ["bad", "good"]


def test_a_saved_model_answers_as_before(model: Model, trained: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "other" / "model.pt")
    expected = model.predict_proba(TEXTS)
    assert np.array_equal(load(tmp_path / "other" / "model.pt").predict_proba(TEXTS), expected)
    assert np.array_equal(load(str(trained.parent)).predict_proba(TEXTS), expected)  # the folder of a run


def test_the_shipped_model_is_loaded_where_none_is_named() -> None:
    assert list(load().predict(["A warm, sharp film.", "Two dull hours that I want back."])) == ["positive", "negative"]


@pytest.mark.parametrize("dumps", [pickle.dumps, ForkingPickler.dumps], ids=["pickle", "multiprocessing"])
def test_a_pickled_model_answers_as_before(dumps: Callable[[object], bytes], model: Model) -> None:
    expected = model.predict_proba(TEXTS)
    other = pickle.loads(dumps(model))
    assert np.array_equal(other.predict_proba(TEXTS), expected)
    assert other.evaluate(TEXTS, LABELS).checkpoint == model.evaluate(TEXTS, LABELS).checkpoint


def test_threads_get_the_answers_of_one(trained: Path) -> None:
    expected = load(trained).predict_proba(TEXTS)
    model = load(trained)
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: model.predict_proba(TEXTS), range(8)))
        adapted = pool.submit(model.adapt, GOOD[:2] + BAD[:2], ["good", "good", "bad", "bad"])
        found += list(pool.map(lambda _: model.predict_proba(TEXTS), range(8)))
        assert all(np.array_equal(one, expected) for one in found)
        assert pool.submit(torch.get_num_threads).result() == threads
        assert np.isfinite(adapted.result().predict_proba(TEXTS)).all()


@pytest.mark.parametrize(
    ("good", "bad", "kind"), [(10, 9, np.integer), (np.int64(1), np.int64(-1), np.integer), (True, False, np.bool_)]
)
def test_labels_come_back_as_they_were_given(good: Any, bad: Any, kind: type, tmp_path: Path) -> None:
    labels = [good if label == "good" else bad for label in LABELS]
    model = fit(TEXTS, np.array(labels), **SETTINGS | {"train__epochs": 1})
    model.save(tmp_path / "model.pt")
    for one in model, load(tmp_path / "model.pt"), model.adapt([*GOOD[:2], *BAD[:2]], [good, good, bad, bad], steps=1):
        assert list(one.classes_) == [bad, good]
        assert np.issubdtype(one.classes_.dtype, kind)
        columns = one.predict_proba(TEXTS)
        assert list(one.predict(TEXTS)) == [one.classes_[column] for column in columns.argmax(axis=1)]
    assert model.score(TEXTS, labels) == np.mean(model.predict(TEXTS) == labels)
    assert model.adapt(["rain", "sun"], ["wet", "dry"]).classes_.tolist() == ["dry", "wet"]
    assert model.adapt(["rain", GOOD[0]], ["wet", str(good)], steps=1).classes_.dtype.kind == "U"  # two types: strings


def test_validation_may_be_given() -> None:
    seen: list[Any] = []
    fit(TEXTS, LABELS, validation=(GOOD + BAD, LABELS[:8]), listener=seen.append, **SETTINGS | {"train__epochs": 1})
    splits = next(event.splits for event in seen if hasattr(event, "splits"))
    assert {name: split.examples for name, split in splits.items()} == {"train": 40, "validation": 8}


WORDS = [["Ada", "met", "Bo", "."], ["Rain", "in", "Oslo", "."]] * 10
TAGS = [["B-PER", "O", "B-PER", "O"], ["O", "O", "B-LOC", "O"]] * 10


def test_a_tagger_answers_with_entities() -> None:
    settings = {key: value for key, value in SETTINGS.items() if key != "model__sentence_embedding"}
    settings |= {"train__epochs": 15, "train__lr": 0.05}
    model = fit(WORDS, TAGS, recipe="conll2003", **settings)
    assert list(model.classes_) == ["LOC", "PER"]
    assert model.score(WORDS, TAGS) == model.evaluate(WORDS, TAGS).metrics["f1"]["value"] == 1
    (entities,) = model.predict(["Ada met Bo."])
    assert [(one["text"], one["label"], one["start"], one["end"]) for one in entities] == [
        ("Ada", "PER", 0, 3), ("Bo", "PER", 8, 10)]  # fmt: skip
    assert model.predict([WORDS[1]])[0][0]["text"] == "Oslo"
    with pytest.raises(ConfigError, match="no probabilities of whole texts"):
        model.predict_proba(["Ada"])
    with pytest.raises(DataError, match="4 words and 1 tag"):
        model.evaluate(WORDS[:1], [["O"]])
    with pytest.raises(DataError, match="'X' is not a tag"):
        model.adapt([["Ada"]], [["X"]])


WRONG: list[tuple[Callable[[Model], object], type[LstmcliError], str, str]] = [
    (lambda model: model.predict("one text"), DataError, "one string, not a list", "put it into a list"),
    (lambda model: model.predict(["fine", " "]), DataError, "is empty\ntexts[1]", "leave it out"),
    (lambda model: model.predict([None]), DataError, "is a NoneType, not a string\ntexts[0]", "give strings"),
    (lambda model: model.predict(["\udc80"]), DataError, "not valid Unicode\ntexts[0]", "decode"),
    (lambda model: model.predict([["a", "b"]]), DataError, "is a list, not a string", "give strings"),
    (lambda model: model.score(GOOD, ["good"]), DataError, "4 texts and 1 label", "one label per text"),
    (lambda model: model.score([], []), DataError, "no texts", "at least one"),
    (lambda model: model.evaluate(["a"], ["god"]), DataError, "does not know 'god'\nlabels[0]", "did you mean 'good'"),
    (lambda model: model.evaluate(["a"], [float("nan")]), DataError, "the label is a float\nlabels[0]", "leave out"),
    (lambda model: model.evaluate(["a", "b"], ["good", 1]), DataError, "labels of different types", "one type"),
    (lambda model: model.evaluate(["a"], [""]), DataError, "the label is empty\nlabels[0]", "leave it out"),
    (lambda model: model.adapt(["a", "b"], ["good", "good"]), DataError, "only one class", "at least two labels"),
    (
        lambda model: model.adapt(GOOD, LABELS[2:6], learner="mamal"),
        ConfigError,
        "not a learner",
        "did you mean 'maml'",
    ),
    (
        lambda model: model.adapt(GOOD, LABELS[2:6], learner="ridge", steps=1),
        ConfigError,
        "no gradient steps\nsteps=1",
        "leave steps out",
    ),
    (lambda _: load("nothing.pt"), CheckpointError, "no such model\nnothing.pt", "load()"),
    (lambda _: load(device="tpu"), ConfigError, "'tpu' is not allowed\ndevice=tpu", "cuda:N"),
    (lambda _: load(device="cuda:99").predict(["a"]), LstmcliError, "CUDA devices\ndevice='cuda:99'", "device='cpu'"),
    (lambda _: fit(TEXTS, LABELS, recipe="tabel"), ConfigError, "no recipe 'tabel'", "did you mean 'table'"),
    (lambda _: fit(TEXTS, LABELS, recipe="lm"), ConfigError, "not for texts with labels", "lstmcli train lm"),
    (lambda _: fit(TEXTS, LABELS, train__epoch=1), ConfigError, "unknown key 'epoch'\ntrain__epoch=1", "'epochs'"),
    (lambda _: fit(TEXTS, LABELS, train__epochs=0), ConfigError, "out of range\ntrain__epochs=0", "train__epochs=5"),
    (lambda _: fit(TEXTS, LABELS, data__path="a"), ConfigError, "texts are given", "data__validation"),
    (lambda _: fit(GOOD, ["a"] * 4), DataError, "too few", "data__validation=0.5"),
    (lambda _: fit(TEXTS, TEXTS), DataError, "looks like an id", "labels that several texts share"),
    (lambda _: fit(TEXTS, LABELS, validation=(["a"], ["odd"])), DataError, "'odd'\nvalidation labels[0]", "known: bad"),
    (lambda _: fit(TEXTS, LABELS, recipe="conll2003"), DataError, "not a list of words", "text.split()"),
]


@pytest.mark.parametrize(("call", "kind", "what", "fix"), WRONG)
def test_a_mistake_is_named_with_a_remedy_in_python(
    call: Callable[[Model], object], kind: type[LstmcliError], what: str, fix: str, model: Model
) -> None:
    with pytest.raises(kind) as caught:
        call(model)
    assert what in str(caught.value)
    assert fix in caught.value.fix
    assert "--" not in str(caught.value)


def test_a_language_model_says_what_it_has_not(run: Run, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("rain and wind and rain and sun\n" * 40)
    sets = ("model.embedding=4", "model.hidden=4", "tokens.min_count=1", "precision=float32")
    overrides = [part for one in sets for part in ("--set", one)]
    arguments = ["train", "lm", "--data", tmp_path / "texts.txt", *overrides, "--epochs", "1", "--out", tmp_path / "lm"]
    assert run(*arguments, "--quiet") == 0
    model = load(tmp_path / "lm")
    for call in (lambda: model.predict(["rain"]), lambda: model.adapt(["rain"], ["wet"]), lambda: model.score([], [])):
        with pytest.raises(ConfigError, match="a language model has no labels") as caught:
            call()
        assert "lstmcli predict" in caught.value.fix


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    assert lstmcli.load is load
    with pytest.raises(AttributeError, match="has no attribute 'lode'"):
        lstmcli.lode  # noqa: B018


@pytest.mark.parametrize("threads", [None, 3])
def test_a_model_runs_where_it_is_loaded_and_not_where_it_was_trained(threads: int | None) -> None:
    """The models that ship were trained on one and two processors."""
    config = load("imdb", threads=threads)._checkpoint.config
    assert (config.threads, config.device) == (threads, "auto")
