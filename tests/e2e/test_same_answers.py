"""The same answer, however a text is scored, and the same bytes after a run was stopped, with newer features too."""

import multiprocessing
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import lstmcli
from lstmcli import recipes
from lstmcli.api.model import Model
from lstmcli.data import spool
from lstmcli.inference import engines
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples
from lstmcli.training.train import run
from tests.conftest import BAD, GOOD, SMALL
from tests.stopping import ends_with_the_same_bytes

WITHIN = 1e-5  # of a probability, in float32
TEXTS = [*GOOD, *BAD, "a", "a fine film " * 150, "nothing of this is known", "film " * 900, "quiet and loud"]
SETS = [[], ["warm"], ["warm", "kind"], ["kind"]]
SETTINGS = {"model__init": None, "model__embedding": 8, "model__hidden": 8, "model__sentence_embedding": 0,
            "tokens__min_count": 1, "train__min_steps": None, "train__epochs": 4, "train__batch_tokens": 64,
            "precision": "float32", "seed": 1}  # fmt: skip


def several() -> tuple[list[str], list[list[str]]]:
    random = Random(0)
    texts = [f"{random.choice(GOOD)} {random.choice(BAD)} {number}" for number in range(60)]
    return texts, [SETS[("warm" in text) + 2 * ("kind" in text)] for text in texts]


@pytest.fixture(scope="module")
def models(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of models: one label per text, the same exported, and several labels."""
    folder = tmp_path_factory.mktemp("models")
    found = {"one label": trained, "exported": folder / "a.onnx", "several": folder / "c.pt"}
    lstmcli.export(trained, found["exported"])
    lstmcli.fit(*several(), **SETTINGS).save(found["several"])
    return found


def scored(model: Model, texts: list[str]) -> np.ndarray[Any, Any]:
    return np.asarray(model.predict_proba(texts))


@pytest.mark.parametrize("kind", ["one label", "exported", "several"])
def test_threads_neighbours_order_and_padding_change_no_probability(kind: str, models: dict[str, Path]) -> None:
    path = models[kind]
    assert isinstance(engines.chosen(checkpoints.opened(path), print), engines.Onnx)
    expected = scored(lstmcli.load(path, threads=1), TEXTS)
    assert expected.std(axis=0).max() > 1e-3  # they do differ by text
    for threads in (1, 2, 3):
        model = lstmcli.load(path, threads=threads)
        alone = np.concatenate([scored(model, [text]) for text in TEXTS])
        many = scored(model, [*TEXTS, *("x y z " * number for number in range(1, 300))])[: len(TEXTS)]
        order = np.random.default_rng(threads).permutation(len(TEXTS))
        shuffled = scored(model, [TEXTS[index] for index in order])
        for found, wanted in ((alone, expected), (many, expected), (shuffled, expected[order])):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=WITHIN)
            assert (found.argmax(axis=1) == wanted.argmax(axis=1)).all()


@pytest.mark.parametrize("kind", ["one label", "several"])
def test_onnx_runtime_and_torch_agree(kind: str, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    fast = lstmcli.load(models[kind])
    expected, labels = scored(fast, TEXTS), [list(one) for one in fast.predict(TEXTS)]
    monkeypatch.setattr(engines, "installed", lambda: False)
    slow = lstmcli.load(models[kind])
    np.testing.assert_allclose(scored(slow, TEXTS), expected, rtol=0, atol=WITHIN)
    assert [list(one) for one in slow.predict(TEXTS)] == labels


NEWER = {
    "class weights": ["train.class_weights=adjusted"],
    "several labels": ["data.label_separator=;", "model.name=multilabel"],
    "on disk": [],
}


@pytest.mark.parametrize("what", NEWER)
def test_a_run_with_newer_features_ends_with_the_same_bytes(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.csv"
    rows = [f"{text} {number},{'good' if label else 'bad;odd' if what == 'several labels' else 'bad'}"
            for number in range(4) for label, texts in ((1, GOOD), (0, BAD[: 4 if what == 'on disk' else 2]))
            for text in texts]  # fmt: skip
    path.write_text("text,label\n" + "\n".join(rows) + "\n")
    if what == "on disk":
        monkeypatch.setattr(spool, "IN_MEMORY", 0)
    noisy = ["model.dropout=0.3", "train.epochs=2", "train.save_every=0", "train.ema_decay=0.8", "data.validation=0.3"]
    config = recipes.load(str(path), overrides=[*SMALL, *noisy, *NEWER[what]])
    ends_with_the_same_bytes(config, examples.read(config), tmp_path)


def apart(folder: str, name: str, together: Any) -> None:
    """Train with data on disk and several labels, at the same time as another process."""
    spool.IN_MEMORY = 0
    config = recipes.load(f"{folder}/mine.csv", overrides=[*SMALL, "train.epochs=1", *NEWER["several labels"]])
    together.wait(120)
    run(config, examples.read(config), Path(folder, name))


@pytest.mark.skipif(sys.platform == "win32", reason="no forkserver")
def test_two_processes_share_the_cache(tmp_path: Path) -> None:
    labelled = [*((text, "a;b") for text in GOOD), *((text, "b") for text in BAD)]
    rows = "".join(f"{text} {number},{label}\n" for number in range(4) for text, label in labelled)
    (tmp_path / "mine.csv").write_text("text,label\n" + rows)
    method = multiprocessing.get_context("spawn")
    together = method.Barrier(2)
    both = [method.Process(target=apart, args=(str(tmp_path), name, together)) for name in ("one", "two")]
    for process in both:
        process.start()
    for process in both:
        process.join(300)
        assert process.exitcode == 0
    one, two = ((tmp_path / name / "model.pt").read_bytes() for name in ("one", "two"))
    assert one == two
