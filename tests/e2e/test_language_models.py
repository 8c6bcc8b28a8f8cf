"""Language models from a file of texts to a classifier that begins with one, as a user meets them."""

import csv
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lstmcli import recipes
from lstmcli.config import Data
from lstmcli.data.batches.encoded import encode
from lstmcli.errors import ConfigError
from lstmcli.inference import assemble, stream
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.storage.compact import compacted
from lstmcli.training.train import run as train
from lstmcli.types import Example, Option
from tests.conftest import SMALL as SMALL_CLASSIFIER
from tests.pages import check_figures, checked
from tests.stopping import ends_with_the_same_bytes

Run = Callable[..., int]
SMALL = ["model.embedding=16", "model.hidden=24", "train.batch_tokens=64", "train.bptt=8", "precision=float32"]
WHO, WHAT, HOW = ("the cat", "a dog", "the old hen"), ("sat", "slept", "sang"), ("well .", "on a mat .", "")


def write(path: Path) -> Path:
    """Sentences of few words in one order, twice each."""
    lines = [" ".join(words) for words in itertools.product(WHO, WHAT, HOW)]
    path.write_text("\n\n".join(lines + lines[::-1]) + "\n", "utf-8")
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lstmcli.cli.app import main

    root = tmp_path_factory.mktemp("language")
    sets = [part for override in [*SMALL, "model.bidirectional=true"] for part in ("--set", override)]
    texts = write(root / "mine.txt")
    with pytest.raises(SystemExit) as end:
        main(
            [
                "train",
                "lm",
                "--data",
                str(texts),
                *sets,
                "--set",
                "train.lr=0.02",
                "--epochs",
                "20",
                "--out",
                str(root / "run"),
                "-q",
            ]
        )
    assert not end.value.code
    return root / "run" / "model.pt"


def test_it_learns_the_language_of_a_file(model: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "-c", model, "--json", "-q") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["task"], report["split"]) == ("model_language", "validation")
    assert report["metrics"]["perplexity"]["value"] < 2.5  # nine sentences in three, half of them known
    for name in ("unigram", "bigram"):
        assert report["metrics"]["perplexity"]["value"] < report["baselines"][name]["perplexity"]["value"]


def test_texts_in_the_wrong_order_are_less_likely(model: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", "the cat sat on a mat .", "mat a on sat cat the .", "-c", model, "--json", "-q") == 0
    right, wrong = map(json.loads, capsys.readouterr().out.splitlines())
    assert right["words"] == wrong["words"] == 8
    assert right["perplexity"] * 5 < wrong["perplexity"]


def test_the_likeliest_next_words_are_in_the_answer(
    model: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", "the cat sat on a", "the old", "unheard", "-c", model) == 0
    message = capsys.readouterr()
    words = [json.loads(line)["next"] for line in message.out.splitlines()]
    assert [next(iter(source)) for source in words[:2]] == ["mat", "hen"]
    for source in words:
        assert list(source.values()) == sorted(source.values(), reverse=True)
        assert sum(source.values()) <= 1.00001
        assert not {"<pad>", "<unk>"} & set(source)
    assert "1 of 3 texts holds no word that the model knows" in message.err
    (tmp_path / "in.txt").write_text("\nthe old\n", "utf-8")
    for kind in ("csv", "parquet"):
        assert run("predict", "-i", tmp_path / "in.txt", "-c", model, "-q", "-o", tmp_path / f"out.{kind}") == 0
    blank, row = csv.DictReader((tmp_path / "out.csv").read_text("utf-8").splitlines())
    assert json.loads(row["next"]) == words[1]
    assert [blank[name] for name in ("row", "perplexity", "words", "problem")] == ["1", "", "", "a blank line"]


def test_learning_on_as_it_reads_leaves_the_model_and_lowers_perplexity(
    model: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model.read_bytes()
    other = tmp_path / "other.txt"
    other.write_text("the cat sang on a dog well .\n" * 40, "utf-8")
    monkeypatch.setattr(stream, "RATE", 1e-2)
    assert run("evaluate", "-c", model, "--data", other, "--split", "train", "--dynamic", "--json", "-q") == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["dynamic_perplexity"]["value"] * 2 < metrics["perplexity"]["value"]
    assert model.read_bytes() == before
    loaded = checkpoints.load(model)
    parts = assemble.restored(loaded, runtime.prepare(loaded.config))
    kept = {name: value.clone() for name, value in parts.model.state_dict().items()}
    examples = inputs.split(Data(name="texts", path=other), "train")
    store = stream_store(parts, examples)
    stream.outputs(parts, store, dynamic=True)
    assert all(torch.equal(value, kept[name]) for name, value in parts.model.state_dict().items())


def stream_store(parts: assemble.Parts, examples: list) -> object:

    return encode(parts.vocabulary, examples, cache=None)


def test_a_stream_is_scored_with_what_came_before(model: Path, tmp_path: Path) -> None:
    loaded = checkpoints.load(model)
    parts = assemble.restored(loaded, runtime.Runtime("cpu", torch.float32))
    examples = inputs.split(Data(name="texts", path=write(tmp_path / "mine.txt")), "train")
    store = stream_store(parts, examples)
    found = stream.outputs(parts, store)
    from lstmcli.data.batches import bptt as windows

    whole = windows.windows(store, columns=1, window=len(store.ids)).batch(0)
    with torch.inference_mode():
        forward = -parts.model(whole).log_probs[0, 0].double().numpy()
    np.testing.assert_allclose(found[:, 0], np.add.reduceat(forward, store.offsets[:-1]), rtol=1e-4)
    apart = assemble.outputs(parts, store)
    assert not np.allclose(found[1:, 0], apart[1:, 0], rtol=1e-3)
    np.testing.assert_array_equal(found[:, -1], store.lengths)


@pytest.mark.slow
def test_a_run_stopped_anywhere_ends_with_the_same_bytes(tmp_path: Path) -> None:
    noisy = ["weight_drop=0.2", "embedding_dropout=0.1", "ar_weight=1", "tar_weight=1"]
    sets = ["train.epochs=2", "train.save_every=0", "precision=float32", "train.accumulate=2"]
    sets += [*SMALL, *(f"model.{noise}" for noise in noisy)]
    config = recipes.load("lm", overrides=[*sets, f"data.path={write(tmp_path / 'mine.txt')}"])
    ends_with_the_same_bytes(config, inputs.read(config), tmp_path)


def test_a_classifier_begins_with_a_language_model(model: Path, table: Path, tmp_path: Path) -> None:
    sets = [
        *SMALL_CLASSIFIER,
        f"model.init={model}",
        "model.embedding=16",
        "model.hidden=24",
        "train.encoder_lr_scale=0.1",
    ]
    config = recipes.load(str(table), overrides=[*sets, "train.epochs=1", "train.lr=1e-9"])
    data = inputs.read(config)
    train(config, data, tmp_path / "run")
    origin, started = checkpoints.load(model), checkpoints.load(tmp_path / "run" / "model.pt")
    assert started.vocabulary.words == origin.vocabulary.words
    assert started.vocabulary.labels == ("bad", "good")
    read, learned = (source.group("learned")["texts"].tolist() for source in (origin, started))
    assert set(read) < set(learned)
    source, actual = origin.group("model"), started.group("model")
    torch.testing.assert_close(actual["embedding.weight"], source["embedding.weight"])
    for direction, suffix in enumerate(("", "_reverse")):
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            torch.testing.assert_close(actual[f"lstm.{kind}_l0{suffix}"], source[f"readers.{direction}.0.{kind}_l0"])


def test_the_body_learns_at_its_share_of_the_rate(model: Path, table: Path, tmp_path: Path) -> None:
    moved = {}
    for share in (1.0, 0.01):
        sets = [*SMALL_CLASSIFIER, f"model.init={model}", "model.embedding=16", "model.hidden=24",
                f"train.encoder_lr_scale={share}", "train.epochs=1", "train.weight_decay=0"]  # fmt: skip
        config = recipes.load(str(table), overrides=sets)
        train(config, inputs.read(config), tmp_path / str(share))
        started = checkpoints.load(tmp_path / str(share) / "model.pt").group("model")
        origin = checkpoints.load(model).group("model")
        moved[share] = float((started["embedding.weight"] - origin["embedding.weight"]).abs().max())
    assert moved[1.0] > 20 * moved[0.01] > 0


def test_mistakes_with_language_models_are_reported(
    model: Path, run: Run, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (("adapt", "-c", model, "--data", "reviews"), "a language model has no labels to adapt to"),
        (("evaluate", "-c", model, "--shots", "5", "--data", "reviews"), "a language model has no labels"),
        (("evaluate", "--dynamic", "--data", "reviews"), "--dynamic"),
        (("train", table, "--set", f"model.init={model}", "--out", tmp_path / "x"), "the initial model has"),
        (("train", "lm", "--data", tmp_path / "none.txt"), "there is no such file or folder"),
        (("train", table, "--set", "model.init=none.pt", "--out", tmp_path / "z"), "model.init: none.pt"),
        (("train", table, "--set", "model.context=none.pt", "--out", tmp_path / "z"), "model.context: none.pt"),
        (("train", "lm", "--data", write(tmp_path / "m.txt"), "--out", tmp_path / "y",
          "--set", "tokens.kind=pretokenized"), "does not fit the task"),
    ):  # fmt: skip
        assert run(*arguments) == 2
        assert message in " ".join(capsys.readouterr().err.split()), arguments


def test_unlabelled_reviews_are_read_once_and_none_that_is_scored(tmp_path: Path) -> None:
    for name, text in {
        "train/pos/0_9.txt": "good", "train/neg/0_1.txt": "bad", "train/unsup/0_0.txt": "good",
        "train/unsup/1_0.txt": "new", "train/unsup/2_0.txt": "tested", "test/pos/0_9.txt": "tested",
        "test/neg/0_1.txt": "other",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    config = recipes.load("imdb-lm", overrides=[f"data.path={tmp_path}", "data.validation=0.5"])
    found = inputs.read(config)
    texts = sorted(example.text for example in (*found.train, *found.validation))
    assert texts == ["bad", "good", "new"]
    assert {example.target for example in found.train} == {None}
    assert sorted(example.text for example in found.test) == ["other", "tested"]


def begun(texts: Path, out: Path, *sets: str) -> Path:
    config = recipes.load("lm", overrides=[*SMALL, "train.epochs=1", f"data.path={texts}", *sets])
    train(config, inputs.read(config), out)
    return out / "model.pt"


def test_an_adaptive_softmax_learns_on_though_no_word_of_a_group_comes(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = begun(write(tmp_path / "mine.txt"), tmp_path / "run", "model.softmax=adaptive")
    (tmp_path / "frequent.txt").write_text(".\n\n. .\n", "utf-8")  # the most frequent words alone, of no group
    assert run("evaluate", "-c", path, "--data", tmp_path / "frequent.txt", "--dynamic", "--json", "-q") == 0
    assert "dynamic_perplexity" in json.loads(capsys.readouterr().out)["metrics"]


def test_a_language_model_goes_on_from_one_of_its_kind(
    model: Path, trained: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = write(tmp_path / "mine.txt")
    begun(texts, tmp_path / "on", f"model.init={model}", "model.bidirectional=true", "model.softmax=sampled",
          "model.samples=5")  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        begun(texts, tmp_path / "no", f"model.init={model}", "model.embedding=9", "model.layers=2")
    shapes = ["model.embedding=16", "model.layers=1", "model.bidirectional=True"]
    assert caught.value.fix.partition("; or")[0] == " ".join(f"--set {shape}" for shape in shapes)
    for init, more, message in (
        (model, ["model.bidirectional=true", "model.softmax=adaptive"], "has softmax sampled (the recipe: adaptive)"),
        (trained, [], "a language-model cannot begin with a classifier"),
    ):
        sets = [f"--set={one}" for one in (*SMALL, *more, f"model.init={init}")]
        assert run("train", "lm", "--data", texts, "--out", tmp_path / "no", "-q", *sets) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_how_long_training_s_windows_are_does_not_move_the_score(model: Path) -> None:
    loaded = checkpoints.load(model)
    store = encode(loaded.vocabulary, [Example("the cat sat on a mat .")] * 20, cache=None)
    found = []
    for window in (4, 60):
        config = recipes.adjusted(loaded.config, [Option("train.bptt", "--set", window)])
        parts = assemble.restored(replace(loaded, config=config), runtime.prepare(config))
        found.append(stream.outputs(parts, store))
    np.testing.assert_array_equal(*found)


def test_bits_a_character_are_the_same_probabilities_over_characters(
    model: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.txt").write_text("the cat sat\n\na dog slept well .\n", "utf-8")
    assert run("evaluate", "-c", model, "--data", tmp_path / "other.txt", "--json", "-q") == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    words, characters = 4 + 6, len("the cat sat.a dog slept well ..")
    bits = math.log2(metrics["perplexity"]["value"]) * words / characters
    assert metrics["bits_per_character"]["value"] == pytest.approx(bits)
    own = metrics["bits_per_character"]
    assert own["low"] <= own["value"] <= own["high"]


def test_unknown_words_are_counted_and_spelled(
    model: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.txt").write_text("the okapi sat\n\na gnu\n\nwell .\n", "utf-8")
    assert run("evaluate", "-c", model, "--data", tmp_path / "other.txt", "--json", "-q") == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["unknown_words"]["value"] == pytest.approx(2 / 7)
    words = checkpoints.load(model).vocabulary.words[3:]
    letters = Counter("".join(words))
    assert {"o", "a"} < set(letters)
    assert not {"k", "i", "u"} & set(letters)
    total = letters.total() + len(words) + len(letters) + 2  # ends, one more of each, of an end, and of what is left
    rest = 1 / total / (0x110000 - len(letters))
    spelled = sum(math.log2((letters[letter] + 1) / total if letter in letters else rest) for letter in "okapignu")
    spelled += 2 * math.log2((len(words) + 1) / total)
    bits = math.log2(metrics["perplexity"]["value"]) * (7 + 3) - spelled
    assert metrics["bits_per_character"]["value"] == pytest.approx(bits / len("the okapi sat.a gnu.well .."))
    assert run("evaluate", "-c", model, "--data", tmp_path / "other.txt") == 0
    shown = capsys.readouterr()
    assert re.search(r"unknown words +28\.6% +0\.0% to 50\.0%", shown.out)
    assert "28.6% of the tokens are unknown words" in shown.err


def test_texts_to_validate_on_are_not_learned(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for name, lines in (("train", "one\ntwo\n"), ("validation", "three\nfour\n"), ("more", "two\nthree\nfive\n")):
        ((tmp_path if name == "more" else texts) / f"{name}.txt").write_text(lines, "utf-8")
    config = recipes.load("lm", overrides=[f"data.path={texts}", f"data.unlabelled={tmp_path / 'more.txt'}"])
    assert [example.text for example in inputs.read(config).train] == ["one", "two", "five"]


def test_pieces_of_words_have_no_ranks(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    sets = ["--set=tokens.kind=bpe", "--set=model.softmax=sampled"]
    assert run("train", "lm", "--data", write(tmp_path / "mine.txt"), "-q", *sets) == 2
    assert "model.softmax=full" in capsys.readouterr().err


def test_a_long_text_is_read_whole_and_learning_on_twice_is_refused(
    model: Path, trained: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("predict", "-c", model, "the cat sat . " * 300, "--json") == 0
    message = capsys.readouterr()
    assert json.loads(message.out)["words"] == 1201
    assert "longer than" not in message.err
    assert run("evaluate", "-c", trained, "--dynamic") == 2
    assert run("evaluate", "-c", trained, "--dynamic", "--shots", "2") == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_language_model_can_be_made_small(model: Path, run: Run, tmp_path: Path) -> None:
    checkpoints.save(compacted(checkpoints.load(model), words=9), tmp_path / "small.pt")
    assert run("predict", "-c", tmp_path / "small.pt", "the cat", "-q") == 0


def test_the_page_of_a_language_model_has_its_figures(model: Path, run: Run, tmp_path: Path) -> None:
    assert run("evaluate", "-c", model, "--report", tmp_path / "report", "-q") == 0
    check_figures(checked(tmp_path / "report"), json.loads((tmp_path / "report" / "report.json").read_text()))
