"""One .pt of plain things: whole or not at all, and never run."""

import errno
import json
import os
import pickle
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmcli.config import Classifier, Data, LanguageModel, RunConfig
from lstmcli.contracts import TaskHooks, hooks
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.errors import CheckpointError, ConfigError, RuntimeSetupError
from lstmcli.storage import atomic, run_folder, weights
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage.checkpoint import Checkpoint

CONFIG = RunConfig(model=Classifier(embedding=3, hidden=2))
WEIGHT = torch.arange(15.0).reshape(5, 3)  # of the words <pad>, <unk>, a, b, c


def small() -> Checkpoint:
    vocabulary = Vocabulary.build(["a b c"], ["x", "y"], CONFIG.tokens.model_copy(update={"min_count": 1}))
    made = weights.build(CONFIG, vocabulary, None)
    for parameter in made.parameters():
        torch.nn.init.ones_(parameter)
    tensors = checkpoints.grouped("model", made.state_dict() | {"embedding.weight": WEIGHT})
    return Checkpoint(CONFIG, vocabulary, tensors, temperature=1.5, progress={"step": 3})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    checkpoints.save(small(), path)
    loaded = checkpoints.load(path)
    assert loaded.config == CONFIG
    assert loaded.vocabulary.to_json() == small().vocabulary.to_json()
    assert (loaded.temperature, loaded.progress) == (1.5, {"step": 3})
    torch.testing.assert_close(loaded.group("model")["embedding.weight"], WEIGHT)
    assert os.listdir(tmp_path) == ["model.pt"]


def test_equal_states_make_equal_bytes(tmp_path: Path) -> None:
    checkpoints.save(small(), tmp_path / "one.pt")
    checkpoints.save(checkpoints.load(tmp_path / "one.pt"), tmp_path / "a-longer-name.pt")
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "a-longer-name.pt").read_bytes()


def test_a_file_cut_short_anywhere_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    checkpoints.save(small(), path)
    whole = path.read_bytes()
    for position in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:position])
        with pytest.raises(CheckpointError, match="not a checkpoint that can be read, or a damaged one"):
            checkpoints.load(path)


def test_a_flipped_bit_never_brings_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    checkpoints.save(small(), path)
    whole = path.read_bytes()
    probability = random.Random(0)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[probability.randrange(len(whole))] ^= 1 << probability.randrange(8)
        path.write_bytes(damaged)
        try:
            checkpoints.load(path)
        except CheckpointError as error:
            assert error.fix  # noqa: PT017


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=40)
def test_any_other_file_is_told(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "model.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        checkpoints.load(path)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'run'}",)

    for name, write in (("a.pt", lambda path: torch.save(Evil(), path)),
                        ("b.pt", lambda path: path.write_bytes(pickle.dumps(Evil())))):  # fmt: skip
        write(tmp_path / name)
        with pytest.raises(CheckpointError):
            checkpoints.load(tmp_path / name)
    assert not (tmp_path / "run").exists()


def test_foreign_and_newer_files_are_told_apart(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="not a checkpoint of lstmcli"):
        checkpoints.load(tmp_path / "other.pt")
    torch.save({"format": "lstmcli", "version": 99, "header": "{}", "tensors": {}}, tmp_path / "newer.pt")
    with pytest.raises(CheckpointError, match="newer version"):
        checkpoints.load(tmp_path / "newer.pt")
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        checkpoints.load(tmp_path / "missing.pt")


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pt"
    checkpoints.save(small(), path)
    before = path.read_bytes()
    for call in ("fsync", "replace"):
        with monkeypatch.context() as patched:

            def full(*_: object) -> None:
                raise OSError(28, "No space left on device")

            patched.setattr(os if call == "fsync" else Path, call, full)
            with pytest.raises(RuntimeSetupError, match="No space left") as caught:
                checkpoints.save(small(), path)
        assert "MB free" in caught.value.where
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["model.pt"]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "model.pt").symlink_to("/dev/full")
    with pytest.raises(RuntimeSetupError, match="No space left"):
        checkpoints.save(small(), tmp_path / "model.pt")


def test_nothing_is_written_through_a_link_under_the_name_of_a_partial_file(tmp_path: Path) -> None:
    mine, out = tmp_path / "mine.txt", tmp_path / "run"
    mine.write_text("precious")
    out.mkdir()
    (out / f".model.pt.{os.getpid()}").symlink_to(mine)
    checkpoints.save(small(), out / "model.pt")
    assert checkpoints.load(out / "model.pt")
    assert mine.read_text() == "precious"
    assert os.listdir(out) == ["model.pt"]


def claim(out: Path, *, resume: bool = False, force: bool = False) -> None:
    with run_folder.claimed(out, Data(path=out.parent / "other.csv"), resume=resume, force=force):
        pass


def test_a_run_is_never_written_over_unasked(tmp_path: Path) -> None:
    out = tmp_path / "run"
    claim(out)
    assert not out.exists()
    run_folder.begin(out)
    with pytest.raises(ConfigError, match="no run to resume"):
        claim(out, resume=True)
    (out / run_folder.LAST).write_text("x")
    with pytest.raises(ConfigError, match="already exist") as caught:
        claim(out)
    assert "--resume" in caught.value.fix
    claim(out, resume=True)
    (out / run_folder.RECIPE).write_text("data: {path: mine.csv}")
    with pytest.raises(ConfigError) as caught:
        claim(out)
    assert "--resume" not in caught.value.fix
    assert caught.value.where == f"{out}, a run on mine.csv, not on {tmp_path / 'other.csv'}"
    claim(out, force=True)
    assert len(os.listdir(out)) == 2  # until the new run begins
    run_folder.begin(out)
    assert os.listdir(out) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "file" / "run", Path("/proc/run"), tmp_path / "loop", tmp_path / ("x" * 300)):
        with pytest.raises(RuntimeSetupError, match="cannot be written"):
            claim(path)
    with pytest.raises(RuntimeSetupError, match="cannot be written"):
        atomic.claim_file(tmp_path)


def test_the_newest_model_is_found_else_the_one_that_ships(tmp_path: Path) -> None:
    assert checkpoints.find(None) == checkpoints.PRETRAINED
    for age, name in enumerate(("old", "new")):
        path = run_folder.RUNS / name / run_folder.MODEL
        path.parent.mkdir(parents=True)
        path.write_text("x")
        path.with_name(run_folder.RECIPE).write_text("x")
        os.utime(path, (age, age))
    unfinished = run_folder.RUNS / "unfinished" / run_folder.MODEL
    unfinished.parent.mkdir()
    unfinished.write_text("x")
    assert checkpoints.find(None) == run_folder.RUNS / "new" / run_folder.MODEL
    assert checkpoints.find(tmp_path) == tmp_path / run_folder.MODEL
    assert checkpoints.find(tmp_path / "a.pt") == tmp_path / "a.pt"


def test_a_flipped_bit_in_a_weight_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    checkpoints.save(small(), path)
    whole = path.read_bytes()
    position = whole.index(WEIGHT.numpy().tobytes())
    path.write_bytes(whole[:position] + b"\1" + whole[position + 1 :])
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoints.load(path)


def test_the_language_model_inside_an_old_checkpoint_is_read_by_its_old_keys() -> None:
    values = {"name": "language-model", "activation": 2.0, "slowness": 1.0}
    checkpoint = checkpoints._described(json.loads(checkpoints.header_of(small())) | {"context": values}, "a.pt")
    assert checkpoint.context == LanguageModel(ar_weight=2.0, tar_weight=1.0)


def test_tensors_with_a_row_per_word_are_also_those_of_a_language_model_with_the_same_vocabulary() -> None:
    one = small()
    of_model = {"embedding.weight", "projection", "salience", "word_weight"}
    assert one.by_word == of_model
    inner = {"context.model.embedding.weight", "context.model.softmax.bias"}
    assert replace(one, context=LanguageModel()).by_word == of_model | inner
    apart = one.vocabulary.with_context(one.vocabulary)
    assert replace(one, context=LanguageModel(), vocabulary=apart).by_word == of_model


def test_a_head_that_was_not_trained_is_named_with_what_makes_one() -> None:
    small().check_head()
    replace(small(), progress={"headed": True}).check_head()
    with pytest.raises(ConfigError, match="no trained head") as caught:
        replace(small(), progress={"headed": False}).check_head()
    assert "lstmcli adapt" in caught.value.fix


def test_tensors_are_copied_into_a_checkpoint() -> None:
    weight = torch.ones(2, requires_grad=True)
    kept = checkpoints.grouped("model", {"head.bias": weight})["model/head.bias"]
    with torch.no_grad():
        weight.zero_()
    assert kept.tolist() == [1, 1]
    assert not kept.requires_grad


@pytest.mark.parametrize(
    ("number", "name", "kind", "what"),
    [
        (errno.EIO, "model.pt", RuntimeSetupError, "cannot be read: Input/output error"),
        (errno.EACCES, "model.pt", RuntimeSetupError, "cannot be read: Permission denied"),
        (errno.EINVAL, None, CheckpointError, "not a checkpoint that can be read"),  # of a seek in a damaged zip
    ],
)
def test_a_disk_that_refuses_is_not_a_damaged_file(
    number: int, name: str | None, kind: type[Exception], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: object) -> int:
        raise OSError(number, os.strerror(number), name)

    checkpoints.save(small(), tmp_path / "model.pt")
    monkeypatch.setattr(checkpoints.archive, "read", refuses)
    with pytest.raises(kind, match=what):
        checkpoints.load(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("setting", "primary", "label"),
    [(None, "accuracy", 0), ("balanced", "balanced_accuracy", 1), ("adjusted", "macro_f1", 1)],
)
def test_a_checkpoint_decides_and_is_reported_by_the_class_weights_it_was_trained_with(
    setting: str | None, primary: str, label: int
) -> None:
    config = CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"class_weights": setting})})
    progress = {} if setting is None else {"class_weights": {"x": 1.0, "y": 3.0}}
    task = replace(small(), config=config, progress=progress).deciding_task
    assert primary == task.PRIMARY
    decide = hooks(TaskHooks, task).decide
    assert decide is not None
    assert decide(np.array([[0.6, 0.4]]), {}).tolist() == [label]  # 0.6 : 3 * 0.4
