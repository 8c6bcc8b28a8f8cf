"""Vectors in context: a tagger and a classifier beside a language model that reads along, as a user meets them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lstmcli import recipes
from lstmcli.data.batches.encoded import encode
from lstmcli.data.text.vocabulary import UNKNOWN
from lstmcli.events import Event, Noted
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.storage import run_folder
from lstmcli.storage.compact import compacted
from lstmcli.training.train import run as train
from lstmcli.types import Example
from tests.conftest import SMALL as SMALL_CLASSIFIER
from tests.conftest import write_table
from tests.e2e.test_entities import SMALL as SMALL_TAGGER
from tests.e2e.test_entities import write
from tests.stopping import ends_with_the_same_bytes

pytestmark = pytest.mark.slow  # whole commands, one after the other

Run = Callable[..., int]
LANGUAGE = ["model.embedding=6", "model.hidden=8", "model.bidirectional=true", "train.batch_tokens=64",
            "train.bptt=8", "train.epochs=2", "precision=float32"]  # fmt: skip
TEXTS = "Ada Byron saw Turin .\nGrace Byron left Oslo .\nsaw Lima .\na warm film\na cold film\n" * 4


def begun(recipe: str, out: Path, *overrides: str) -> list[Event]:
    config = recipes.load(recipe, overrides=overrides)
    events: list[Event] = []
    train(config, inputs.read(config), out, listener=events.append)
    return events


@pytest.fixture
def language_model(tmp_path: Path) -> Path:
    (tmp_path / "texts.txt").write_text(TEXTS, "utf-8")
    begun("lm", tmp_path / "lm", f"data.path={tmp_path / 'texts.txt'}", "tokens.kind=whitespace", *LANGUAGE)
    return tmp_path / "lm" / run_folder.MODEL


@pytest.fixture
def noisy(language_model: Path, tmp_path: Path) -> list[str]:
    """The recipe of a tagger that reads with the language model."""
    return [*SMALL_TAGGER, "model.vectors=none", f"data.path={write(tmp_path / 'mine')}", "data.limit=20",
            f"model.context={language_model}", "train.epochs=2", "precision=float32", "train.save_every=0",
            "train.adversarial_epsilon=0.1", "train.ema_decay=0.8"]  # fmt: skip


def test_a_tagger_needs_the_language_model_s_file_no_more(
    noisy: list[str], language_model: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = begun("conll2003", tmp_path / "run", *noisy)
    assert any("are words of the language model" in event.text for event in events if isinstance(event, Noted))
    path, origin = tmp_path / "run" / run_folder.MODEL, checkpoints.load(language_model).group("model")
    found = checkpoints.load(path).group("model")
    inside = {name.removeprefix("context.model."): value for name, value in found.items() if "context.model" in name}
    assert set(inside) == {name for name in origin if name.startswith(("embedding", "readers"))}
    assert all(torch.equal(value, origin[name]) for name, value in inside.items())  # it has not learned
    assert float(found["context.mix"].abs().max()) > 0
    reports = []
    for _ in range(2):
        assert run("predict", "-c", path, "--json", "-q", "Ada Byron saw Lima .") == 0
        reports.append(capsys.readouterr().out)
        language_model.unlink(missing_ok=True)
    assert reports[0] == reports[1]
    assert run("evaluate", "-c", path, "--json", "-q") == 0
    assert run("adapt", "-c", path, "--shots", "2", "--data", tmp_path / "mine", "--out", tmp_path / "a.pt", "-q") == 0
    assert run("predict", "-c", tmp_path / "a.pt", "-q", "Ada") == 0
    small = compacted(checkpoints.load(path), words=6)
    checkpoints.save(small, tmp_path / "small.pt")
    assert run("predict", "-c", tmp_path / "small.pt", "-q", "Ada") == 0
    begun("conll2003", tmp_path / "again", *noisy, f"model.init={path}", "train.epochs=1")
    again = checkpoints.load(tmp_path / "again" / run_folder.MODEL).group("model")
    assert all(torch.equal(again[f"context.model.{name}"], value) for name, value in inside.items())


def test_a_run_stopped_anywhere_ends_with_the_same_bytes_without_the_file(
    noisy: list[str], language_model: Path, tmp_path: Path
) -> None:
    config = recipes.load("conll2003", overrides=noisy)
    ends_with_the_same_bytes(config, inputs.read(config), tmp_path, before_resuming=language_model.unlink)


def test_words_that_the_language_model_does_not_have_are_its_unknown(noisy: list[str], tmp_path: Path) -> None:
    begun("conll2003", tmp_path / "run", *noisy, "train.epochs=1")
    loaded = checkpoints.load(tmp_path / "run" / run_folder.MODEL)
    beside = loaded.vocabulary.context
    assert beside is not None
    examples = [Example(("ADA", "film", "Alan", "nobody"))]  # Alan is a word of the tagger's alone, film of the other's
    store = encode(loaded.vocabulary, examples, cache=None, labelled=False)
    known = [beside.words.index("ada"), beside.words.index("film"), UNKNOWN, UNKNOWN]
    assert store.forms.context[store.form_ids].tolist() == known
    assert [token == UNKNOWN for token in store.ids] == [False, True, False, True]


def test_a_classifier_reads_the_language_model_s_words(
    language_model: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_table(tmp_path / "mine.csv")
    sets = [*SMALL_CLASSIFIER, f"model.context={language_model}", "model.bag_of_words=5", "train.epochs=2"]
    begun(str(table), tmp_path / "run", *sets)
    path = tmp_path / "run" / run_folder.MODEL
    origin, found = checkpoints.load(language_model), checkpoints.load(path)
    assert found.vocabulary.words == origin.vocabulary.words
    assert found.vocabulary.labels == ("bad", "good")
    language_model.unlink()
    checkpoints.save(compacted(found, words=9), tmp_path / "small.pt")
    for each in (path, tmp_path / "small.pt"):
        assert run("predict", "-c", each, "--json", "-q", "a warm film") == 0
        assert json.loads(capsys.readouterr().out)["label"] in ("bad", "good")
    assert run("adapt", "-c", path, "--shots", "2", "--data", table, "--out", tmp_path / "a.pt", "-q") == 0


def test_new_labels_of_a_classifier_that_a_language_model_reads_with(
    language_model: Path, run: Run, tmp_path: Path
) -> None:
    sets = [*SMALL_CLASSIFIER, f"model.context={language_model}", "train.epochs=1"]
    begun(str(write_table(tmp_path / "mine.csv")), tmp_path / "run", *sets)
    other = tmp_path / "other.csv"
    other.write_text("text,label\n" + "".join(f"zwieback {n},calm\nknäckebrot {n},joy\n" for n in range(9)))
    model, out = tmp_path / "run" / run_folder.MODEL, tmp_path / "a.pt"
    assert run("adapt", "-c", model, "--shots", "2", "--data", other, "--out", out, "-q") == 0
    assert checkpoints.load(out).vocabulary.words == checkpoints.load(model).vocabulary.words
    assert run("predict", "-c", out, "-q", "zwieback") == 0
    assert run("evaluate", "-c", model, "--shots", "2", "--ways", "2", "--episodes", "2", "--data", other, "-q") == 0


def test_mistakes_with_context_are_reported(
    language_model: Path, trained: Path, run: Run, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = tmp_path / "pieces"
    begun(
        "lm",
        pieces,
        f"data.path={tmp_path / 'texts.txt'}",
        "tokens.kind=bpe",
        "model.softmax=full",
        *LANGUAGE,
        "train.epochs=1",
    )
    corpus = ["train", write(tmp_path / "mine"), "--set", "model.vectors=none"]
    for arguments, message in (
        ([*corpus, "--set", f"model.context={tmp_path / 'none.pt'}"], "there is no such checkpoint"),
        ([*corpus, "--set", f"model.context={trained}"], "not a language model"),
        ([*corpus, "--set", f"model.context={pieces / run_folder.MODEL}"], "the language model reads pieces of words"),
        (["train", table, "--set", f"model.context={language_model}", "--set", f"model.init={language_model}"],
         "not both"),
        (["train", table, "--set", f"model.context={language_model}", "--set", f"model.init={trained}", "--set",
          "model.embedding=8", "--set", "model.hidden=8"], "the initial model has context None"),
    ):  # fmt: skip
        assert run(*arguments, "--out", tmp_path / "x") == 2
        assert message in " ".join(capsys.readouterr().err.split()), arguments
