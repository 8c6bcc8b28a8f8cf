"""Unlabelled texts learned from a teacher, as a user meets them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lstmcli import load, recipes
from lstmcli.data.batches.batching import collate
from lstmcli.data.batches.encoded import Store, encode, text_hashes
from lstmcli.inference.predict import Predictions
from lstmcli.machine import runtime
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.storage import run_folder
from lstmcli.storage.text_io import Question
from lstmcli.tasks import classify
from lstmcli.training import distillation, setup
from lstmcli.training.supervised import SupervisedObjective
from lstmcli.training.train import run as train
from lstmcli.types import ClassScores, Example
from tests.conftest import BAD, GOOD, SMALL, write_table
from tests.stopping import ends_with_the_same_bytes

pytestmark = pytest.mark.slow  # whole commands, one after the other

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]


def begun(recipe: Path, out: Path, *overrides: str) -> Path:
    small = [one for one in SMALL if recipe != "lm" or "sentence_embedding" not in one]
    config = recipes.load(str(recipe), overrides=[*small, *overrides])
    train(config, inputs.read(config), out)
    return out / run_folder.MODEL


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """Texts without labels whose last word the labelled ones do not have."""
    lines = [f"{text} splendid {n}" for n in range(5) for text in GOOD]
    lines += [f"{text} ghastly {n}" for n in range(5) for text in BAD]
    (tmp_path / "more.txt").write_text("\n".join([*lines, lines[0], "a warm and quiet film 0"]) + "\n", "utf-8")
    return tmp_path / "more.txt"


@pytest.fixture
def taught(trained: Path, more: Path) -> list[str]:
    return [f"train.teacher={trained}", f"data.unlabelled={more}"]


def test_soft_labels_are_the_mean_log_probabilities_of_model_and_linear_baseline(trained: Path) -> None:
    checkpoint = checkpoints.load(trained)
    texts = ["a warm film", "dull and cold", "film"]
    examples = [Example(text) for text in texts]
    where = runtime.prepare(checkpoint.config)
    soft_labels = distillation.probabilities(trained, examples, ("bad", "good"), where, cache=None)
    model = np.array([[one.answer["probabilities"][label] for label in ("bad", "good")]
                      for one in Predictions(checkpoint).of([[Question(1, text) for text in texts]])])  # fmt: skip
    store = encode(checkpoint.vocabulary, examples, cache=None, labelled=False)
    fitted = {name: value.numpy() for name, value in checkpoint.group("baseline").items()}
    linear = classify.baseline_probabilities(fitted, store.ids, store.offsets)["linear"]
    together = np.sqrt(model * linear)
    np.testing.assert_allclose(soft_labels, together / together.sum(axis=1, keepdims=True), atol=1e-4)
    turned = distillation.probabilities(trained, examples, ("good", "bad"), where, cache=None)
    np.testing.assert_array_equal(turned, soft_labels[:, ::-1])


def test_the_linear_baseline_can_be_the_teacher(table: Path, more: Path, tmp_path: Path) -> None:
    """Fitted on the labelled texts before the first step, and kept as the run's baseline."""
    sets = [*SMALL, "train.teacher=linear", f"data.unlabelled={more}"]
    config = recipes.load(str(table), overrides=sets)
    read = inputs.read(config)
    begun_with = setup.prepare(config, read, None)
    encoded = begun_with.texts
    train = encoded["train"]
    expected = classify.fit_baselines(train.ids, train.offsets, train.known_targets, labels=2)
    assert begun_with.baseline.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(begun_with.baseline[name], value)
    unlabelled = encoded[inputs.UNLABELLED]
    linear = classify.baseline_probabilities(expected, unlabelled.ids, unlabelled.offsets)["linear"]
    np.testing.assert_array_equal(unlabelled.known_targets, linear.astype(np.float32))
    kept = checkpoints.load(begun(table, tmp_path / "student", *sets[len(SMALL) :], "train.epochs=1")).group("baseline")
    np.testing.assert_array_equal(kept["weight"].numpy(), expected["weight"])


def test_without_a_known_word_the_linear_baseline_predicts_the_majority(table: Path, more: Path) -> None:
    sets = [*SMALL, "train.teacher=linear", f"data.unlabelled={more}", "tokens.min_count=100"]
    config = recipes.load(str(table), overrides=sets)
    found = setup.prepare(config, inputs.read(config), None)
    targets = found.texts[inputs.UNLABELLED].known_targets
    np.testing.assert_allclose(targets, np.tile(found.baseline["prior"], (len(targets), 1)), rtol=1e-6)


def test_where_no_text_is_without_a_label_the_labels_alone_are_learned(table: Path, run: Run, tmp_path: Path,
                                                                       capsys: Captured) -> None:  # fmt: skip
    sets = [f"--set={one}" for one in (*SMALL, "train.teacher=linear")]
    assert run("train", table, "--out", tmp_path / "run", *sets) == 0
    assert "the labels alone are learned" in " ".join(capsys.readouterr().err.split())
    assert "taught" not in checkpoints.load(tmp_path / "run" / run_folder.LAST).group("state")


def test_a_label_that_only_the_model_to_begin_with_has_is_not_taught(
    table: Path, trained: Path, more: Path, tmp_path: Path
) -> None:
    other = write_table(tmp_path / "other.csv")
    other.write_text(other.read_text("utf-8").replace(",bad", ",poor"), "utf-8")
    sets = [f"model.init={trained}", "train.epochs=1"]
    taught = [*sets, "train.teacher=linear", f"data.unlabelled={more}"]
    config = recipes.load(str(other), overrides=[*SMALL, *taught])
    found = setup.prepare(config, inputs.read(config), None)
    assert found.parts.vocabulary.labels == ("bad", "good", "poor")
    soft_labels = found.texts[inputs.UNLABELLED].known_targets
    assert not soft_labels[:, 0].any()
    texts = [str(example.text) for example in inputs.read(config).unlabelled]
    assert all((soft_labels[index].argmax() == 1) == ("splendid" in text) for index, text in enumerate(texts))
    alone = checkpoints.load(begun(other, tmp_path / "alone", *sets))
    assert [figures["linear"]["accuracy"]["value"] for figures in alone.metrics.values()] == [1.0]


def test_the_loss_on_probabilities_is_the_cross_entropy_with_them() -> None:
    labelled = Store(np.array([2, 3, 4], np.int32), np.array([0, 1, 3]), np.array([1, 0]))
    soft_labels = Store(
        np.array([5, 6, 7], np.int32), np.array([0, 2, 3]), np.array([[0.3, 0.7], [0.9, 0.1]], np.float32)
    )
    both = labelled.with_soft_labels(soft_labels)
    assert [both.ids[begin:end].tolist() for begin, end in zip(both.offsets, both.offsets[1:], strict=False)] == [
        [2], [3, 4], [5, 6], [7]]  # fmt: skip
    batch = collate(both, np.array([3, 0]))
    logits = torch.tensor([[1.0, -1.0], [0.5, 2.0]])
    logs = logits.log_softmax(dim=1)
    expected = -(0.9 * logs[0, 0] + 0.1 * logs[0, 1] + logs[1, 1]) / 2
    torch.testing.assert_close(classify.loss(ClassScores(logits, logits), batch).value, expected)


def test_a_student_learns_words_that_no_labelled_text_has(table: Path, taught: list[str], tmp_path: Path) -> None:
    """On average: one such small model may learn them wrong."""
    good = []
    for seed in range(4):
        path = begun(table, tmp_path / f"student{seed}", *taught, "train.epochs=15", f"seed={seed}")
        assert {"splendid", "ghastly"} <= set(checkpoints.load(path).vocabulary.words)
        good.append(load(path).predict_proba(["splendid", "ghastly"])[:, 1])
    splendid, ghastly = np.mean(good, axis=0)
    assert splendid > 0.5 > ghastly, good


def test_doubt_costs_on_labelled_and_unlabelled_texts_alike(table: Path, more: Path) -> None:
    sets = [*SMALL, f"data.unlabelled={more}", "model.dropout=0", "model.word_dropout=0", "train.entropy_weight=0.5"]
    config = recipes.load(str(table), overrides=[*sets, "precision=float32"])
    found = setup.prepare(config, inputs.read(config), None)
    stores = {name: store.truncated(config.tokens) for name, store in found.texts.items()}
    free = config.model_copy(update={"train": config.train.model_copy(update={"entropy_weight": None})})
    costly, plain = (
        SupervisedObjective(replace(found.parts, config=one), found.texts, stores) for one in (config, free)
    )
    unlabelled = 0
    for item in costly.items(0):
        batch = collate(stores["train"].with_soft_labels(stores[inputs.UNLABELLED]), item.indices)
        doubt = classify.entropy(found.parts.model(batch))
        torch.testing.assert_close(costly.loss(item)[0].value, plain.loss(item)[0].value + 0.5 * doubt)
        assert batch.targets is not None
        unlabelled += int((batch.targets.sum(dim=1) == 0).sum())
    assert unlabelled == 40


def test_texts_that_have_a_label_are_not_taught(table: Path, taught: list[str]) -> None:
    read = inputs.read(recipes.load(str(table), overrides=taught))
    assert len(read.unlabelled) == 40  # one more repeats another, and one is in the table
    assert all(example.target is None for example in read.unlabelled)


def test_what_a_teacher_and_its_student_have_seen_is_known_again(table: Path, taught: list[str], trained: Path,
                                                               more: Path, tmp_path: Path) -> None:  # fmt: skip
    other = tmp_path / "other.csv"
    other.write_text(table.read_text("utf-8").replace("film", "play"), "utf-8")
    learned = checkpoints.load(begun(other, tmp_path / "student", *taught, "train.epochs=1")).group("learned")["texts"]
    seen = [text_hashes(inputs.read(recipes.load(str(other), overrides=taught)).unlabelled)]
    seen.append(checkpoints.load(trained).group("learned")["texts"].numpy())
    for part in seen:
        assert len(part) > 20
        assert np.isin(part, learned.numpy()).all()


@pytest.mark.parametrize("by", ["a model", "linear", "nobody"])
def test_a_run_stopped_anywhere_ends_with_the_same_bytes_without_the_teacher(
    by: str, table: Path, more: Path, trained: Path, tmp_path: Path
) -> None:
    teacher = tmp_path / "teacher.pt"
    teacher.write_bytes(trained.read_bytes())
    how = {"a model": [f"train.teacher={teacher}"], "linear": ["train.teacher=linear"],
           "nobody": ["train.vat_epsilon=0.3", "train.entropy_weight=0.2"]}[by]  # fmt: skip
    noisy = [
        "train.crop=4",
        "train.adversarial_epsilon=0.1",
        "train.save_every=0",
        "train.epochs=2",
        "train.batch_tokens=160",
    ]
    config = recipes.load(str(table), overrides=[*SMALL, *noisy, *how, f"data.unlabelled={more}"])
    ends_with_the_same_bytes(config, inputs.read(config), tmp_path / "runs", before_resuming=teacher.unlink)


def test_a_student_is_scored_where_the_unlabelled_texts_are_no_more(
    table: Path, more: Path, trained: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = begun(table, tmp_path / "student", f"train.teacher={trained}", "data.unlabelled=more.txt", "train.epochs=1")
    assert checkpoints.load(path).config.data.unlabelled == more
    more.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("evaluate", "-c", path, "-q") == 0


def test_a_rehearsal_leaves_nothing_in_the_cache(table: Path, taught: list[str], run: Run) -> None:
    sets = [f"--set={one}" for one in (*SMALL, *taught)]
    before = {path for path in inputs.cache_folder().rglob("*") if path.is_file()}
    assert run("train", table, "--dry-run", "--no-cache", "-q", *sets) == 0
    assert {path for path in inputs.cache_folder().rglob("*") if path.is_file()} == before


def test_mistakes_with_teachers_are_reported(
    table: Path, more: Path, trained: Path, run: Run, tmp_path: Path, capsys: Captured
) -> None:
    other = write_table(tmp_path / "other.csv")
    other.write_text(other.read_text("utf-8").replace(",bad", ",poor"), "utf-8")
    language = begun_language(more, tmp_path / "lm")
    cases = {
        ("train.teacher=missing.pt", f"data.unlabelled={more}"): "no such checkpoint",
        (f"train.teacher={trained}",): "no unlabelled texts",
        (f"train.teacher={trained}", f"data.unlabelled={tmp_path / 'none.txt'}"): "none.txt",
        (f"data.unlabelled={more}",): "train.teacher=linear",
        (f"train.teacher={begun(other, tmp_path / 'other')}", f"data.unlabelled={more}"): "good, poor",
        (f"train.teacher={language}", f"data.unlabelled={more}"): "does not label",
    }
    (tmp_path / "blank.txt").write_text("\n\n", "utf-8")
    (tmp_path / "known.txt").write_text("a warm and quiet film 0\n", "utf-8")
    cases |= {(f"train.teacher={trained}", f"data.unlabelled={tmp_path / name}.txt"): words
             for name, words in (("blank", "none found"), ("known", "all 1 found have a label too"))}  # fmt: skip
    for sets, words in cases.items():
        assert run("train", table, "--out", tmp_path / "run", "-q", *(f"--set={one}" for one in sets)) == 2
        error = " ".join(capsys.readouterr().err.split())
        assert words.replace("good, poor", "bad, good") in error, (sets, error)
        assert "Traceback" not in error
    sets = [f"--set=train.teacher={trained.parent}", f"--set=data.unlabelled={more}"]  # the folder of its run
    assert run("train", table, "--out", trained.parent, "--force", "-q", *sets) == 2
    assert "a model that it needs" in capsys.readouterr().err
    assert run("train", table, "--dry-run", "-q", *sets) == 0
    capsys.readouterr()
    assert run("train", "hwu64-maml", "--out", tmp_path / "run", "-q", *sets) == 2
    assert "no effect on episodes" in capsys.readouterr().err


def begun_language(texts: Path, out: Path) -> Path:
    return begun("lm", out, f"data.path={texts}", "train.epochs=1", "train.bptt=8")  # type: ignore[arg-type]
