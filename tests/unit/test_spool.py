"""Examples and tokens on disk are what they are in memory."""

import io
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli import recipes
from lstmcli.config import Data, Tokens
from lstmcli.data import labels, spool, spooled
from lstmcli.data.batches import batching, check, sampling
from lstmcli.data.batches.encoded import Store, dataset_hash, encode, labels_of, text_hashes
from lstmcli.data.batches.episodes import class_priors
from lstmcli.data.batches.unknown_words import of_store
from lstmcli.data.readers import table as reader
from lstmcli.data.spool import Spool
from lstmcli.data.spooled import Writer
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import examples as inputs
from lstmcli.training.train import run as train
from lstmcli.types import Example
from tests.conftest import SMALL

Run = Callable[..., int]
places = st.sampled_from(["", "a.csv:7", "a.csv:07", "b:c.csv:123456", "folder/pos/3.txt", ":", "9"])
examples = st.builds(
    Example,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.sampled_from([None, "good", "bad", "über", "a b"]) | st.integers(0, 400).map(str),
    st.sampled_from(["", "books.t4", "films"]),
    places,
)


def written(many: list[Example]) -> spooled.Spooled:
    writer = Writer()
    for example in many:
        writer.append(example)
    return writer.examples()


@pytest.fixture
def _on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY", 0)


@pytest.mark.parametrize("in_memory", [0, 40, spool.IN_MEMORY])
@given(many=st.lists(examples, min_size=1, max_size=30), data=st.data())
def test_spooled_examples_are_those_of_a_list(in_memory: int, many: list[Example], data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool, "IN_MEMORY", in_memory)
        patch.setattr(spooled, "CHUNK", 7)
        patch.setattr(spooled, "WINDOW", data.draw(st.sampled_from([3, 2**24])))
        found = written(many)
        drawn = np.array(data.draw(st.lists(st.integers(0, len(many) - 1), max_size=10)), int)
        assert list(found) == many
        assert [found[index] for index in range(-len(many), len(many))] == [*many, *many]
        assert found[1:4] == many[1:4]
        for ours, plain in ((found, many), (spooled.part(found, drawn), spooled.part(many, drawn))):
            assert list(ours) == plain
            assert spooled.hashes(ours).tolist() == spooled.hashes(plain).tolist()
            assert dataset_hash(ours) == dataset_hash(plain)
            firsts, numbers = spooled.by_target(ours)
            assert (firsts, numbers.tolist()) == (spooled.by_target(plain)[0], spooled.by_target(plain)[1].tolist())
            assert class_priors(ours) == class_priors(plain)
            names = {"good": "bad", "7": "good"}
            assert list(labels.renamed(ours, names)) == labels.renamed(plain, names)
            assert labels.found(labels.renamed(ours, names)) == labels.found(labels.renamed(plain, names))


@pytest.mark.usefixtures("_on_disk")
@pytest.mark.parametrize("draw", [sampling.stratified, sampling.consecutive, sampling.per_class])
def test_draws_are_the_same(draw: Callable[..., sampling.Parts]) -> None:
    random = np.random.default_rng(0)
    many = [Example(f"text {random.integers(300)}", "abcc"[random.integers(4)], where=f"a:{n}") for n in range(500)]
    many += [Example("alone", "rare")]
    for ours, plain in zip(draw(written(many), 60, seed=3), draw(many, 60, seed=3), strict=True):
        assert list(ours) == list(plain)


def test_a_hundred_thousand_targets_keep_their_numbers() -> None:
    many = [Example("x", str(number % 70_000)) for number in range(100_000)]
    assert [example.target for example in written(many)] == [example.target for example in many]


@pytest.mark.usefixtures("_on_disk")
def test_tokens_on_disk_are_those_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstmcli.data.batches.encoded.CHUNK", 7)
    monkeypatch.setattr(spool, "PIECE", 5)
    random = np.random.default_rng(0)
    many = [Example(" ".join(f"w{n}" for n in random.integers(0, 50, size)), "ab"[size % 2]) for size in range(1, 60)]
    vocabulary = Vocabulary.build((str(one.text) for one in many[:30]), "ab", Tokens(min_count=2))
    mapped = encode(vocabulary, many, cache=None)
    plain = Store(np.array(mapped.ids), mapped.offsets, mapped.targets)
    assert mapped.ids.tolist() == [token for ids in vocabulary.encode([str(one.text) for one in many]) for token in ids]
    assert [type(one.base) for one in (mapped.ids, plain.ids)] == [memoryview, type(None)]
    assert of_store(mapped) == of_store(plain)
    assert np.concatenate(list(spool.in_pieces(mapped.ids))).tolist() == plain.ids.tolist()
    tokens = Tokens(max_tokens=11, head=0.3)
    for ours, expected in (
        (mapped, plain),
        (mapped.truncated(tokens), truncated(plain, tokens)),
        (mapped.cropped(9, seed=(1,)), plain.cropped(9, seed=(1,))),
        (mapped.part(np.array([5, 3, 5])), plain.part(np.array([5, 3, 5]))),
    ):
        assert (ours.ids.tolist(), ours.offsets.tolist()) == (expected.ids.tolist(), expected.offsets.tolist())
        assert ours.known_targets.tolist() == expected.known_targets.tolist()
        indices = np.arange(len(ours))[::-1]
        assert batching.collate(ours, indices).tokens.tolist() == batching.collate(expected, indices).tokens.tolist()


def truncated(store: Store, config: Tokens) -> Store:
    """What ``Store.truncated`` promises, text by text."""
    head = round(config.max_tokens * config.head)
    texts = [store.ids[begin:end].tolist() for begin, end in zip(store.offsets, store.offsets[1:], strict=False)]
    kept = [
        text if len(text) <= config.max_tokens else text[:head] + text[head - config.max_tokens :] for text in texts
    ]
    offsets = np.cumsum([0, *map(len, kept)])
    return Store(np.concatenate([np.array(text) for text in kept]), offsets, store.targets)


@pytest.mark.parametrize("more", [[], ["tokens.max_tokens=3", "train.crop=2", "data.label_map={good: fine}"]])
def test_a_run_from_disk_writes_the_same_bytes(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    config = recipes.load(str(table), overrides=[*SMALL, "train.epochs=2", "data.cache=false", *more])
    contents = []
    for name, size in (("memory", spool.IN_MEMORY), ("disk", 0)):
        monkeypatch.setattr(spool, "IN_MEMORY", size)
        train(config, inputs.read(config), tmp_path / name)
        contents.append((tmp_path / name / "model.pt").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.usefixtures("_on_disk")
def test_temporary_files_have_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    written([Example("a text")] * 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.usefixtures("_on_disk")
def test_a_full_disk_is_named(
    table: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: io.FileIO("/dev/full", "w"))
    assert run("train", table, "--out", "run") == 2
    told = capsys.readouterr().err
    assert "do not fit into the folder of temporary files: No space left on device" in told
    assert "TMPDIR=" in told
    assert not Path("run").exists()


@pytest.mark.usefixtures("_on_disk")
def test_memory_does_not_grow_with_the_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "BUFFERED", 2**10)
    monkeypatch.setattr(spooled, "CHUNK", 100)
    fewer, more = (np.array(held_and_most(tmp_path, rows)) for rows in (2_000, 6_000))
    held, most = (more - fewer) / 4_000  # bytes per row; each has a text of 300
    assert held < 60
    assert most < 150


def held_and_most(folder: Path, rows: int) -> tuple[int, int]:
    """Bytes of memory after a table was read, and the most while it was divided and checked."""
    path = folder / "rows.csv"
    path.write_text("text,label\n" + "".join(f"{'word ' * 60}{number},{number % 3}\n" for number in range(rows)))
    tracemalloc.start()
    try:
        found = reader.read(path, "train", Data())
        held = tracemalloc.get_traced_memory()[0]
        validation, train = sampling.stratified(found.examples, rows // 10, seed=0)
        parts = {"train": train, "validation": validation}
        checked = check.check(parts, {name: (np.ones(1, int), np.ones(1, int)) for name in parts})
        assert checked["train"].examples == len(text_hashes(train)) == rows - rows // 10
        assert labels_of(train) == ("0", "1", "2")
        return held, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_large_baseline_is_fitted_on_a_part(
    table: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lstmcli.training.setup.MOST_TOKENS", 60)
    sets = [part for override in SMALL for part in ("--set", override)]
    assert run("train", table, *sets, "--epochs", "1", "--out", tmp_path / "run") == 0
    assert re.search(r"the linear baseline is fitted on 1\d of the 36 training texts", capsys.readouterr().err)
    assert "terms" in checkpoints.load(tmp_path / "run" / "model.pt").group("baseline")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@pytest.mark.usefixtures("_on_disk")
def test_what_was_read_does_not_stay_in_memory() -> None:
    size = 2**25
    whole = Spool()
    whole.append(bytes(size))
    array = whole.array(np.int32)
    texts = Store(array, np.arange(0, len(array) + 1, 2**8))
    before = resident()
    assert array.sum() == 0
    assert resident() - before > 0.9 * size
    spool.release(array[5:7])
    for read in (
        lambda: spool.taken(array, np.arange(0, len(array), 512)),
        lambda: sum(int(piece.sum()) for piece in spool.in_pieces(array)),
        lambda: [len(piece) for piece in texts.pieces()],
        lambda: len(texts.part(np.arange(len(texts))[::-1])),
        lambda: len(texts.truncated(Tokens(max_tokens=2**11))),
    ):
        read()
        assert resident() - before < 0.1 * size


def resident() -> int:
    """Bytes of files that are in this process's memory."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile")]
    return 1024 * int(line.split()[1])
