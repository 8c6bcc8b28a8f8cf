"""Parts put together: pretrained vectors in the embedding."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
import torch

from lstmcli.config import RunConfig
from lstmcli.data.text import vectors
from lstmcli.data.text.vocabulary import Vocabulary
from lstmcli.errors import DataError
from lstmcli.inference import assemble
from lstmcli.machine import malloc, runtime
from lstmcli.storage import checkpoint as checkpoints


def parts_with(config: RunConfig, vectors: str, dimensions: int) -> assemble.Parts:
    model = config.model.model_copy(update={"vectors": vectors, "embedding": dimensions})
    config = config.model_copy(update={"model": model})
    vocabulary = Vocabulary.build(["film the film oddword"], ["a", "b"], config.tokens)
    return assemble.fresh(config, vocabulary, runtime.Runtime("cpu", torch.float32))


def test_vectors_fill_the_first_dimensions_of_the_words_they_cover(small_config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("film 1 2\nthe 3 4\n")
    parts = parts_with(small_config, str(tmp_path / "v.txt"), 3)
    words = parts.vocabulary.words
    ids = np.array([words.index(word) for word in ("film", "film", "the", "oddword")])
    before = parts.model.embedding.weight.detach().clone()
    message = assemble.place_vectors(parts, ids)
    after = parts.model.embedding.weight.detach()
    assert after[words.index("film")][:2].tolist() == [1, 2]
    assert after[words.index("the")][:2].tolist() == [3, 4]
    assert not after[0].any()
    ratio = after[words.index("oddword")] / before[words.index("oddword")]
    torch.testing.assert_close(ratio, ratio[:1].expand(3))  # random as before, scaled to the others
    assert "75.0% of the tokens" in message


def test_an_array_without_its_words_is_reported(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match="the words of the vectors are missing"):
        vectors.words_of(str(tmp_path / "v.npy"), 5)


def test_vectors_of_a_checkpoint_are_those_of_its_words(small_config: RunConfig, trained: Path) -> None:
    origin = checkpoints.load(trained)
    parts = parts_with(small_config, str(trained), 8)
    assemble.place_vectors(parts, np.array([2]))
    reference = origin.group("model")["embedding.weight"][origin.vocabulary.words.index("film")]
    assert torch.equal(parts.model.embedding.weight[parts.vocabulary.words.index("film")].detach(), reference)


def test_the_shipped_vectors_need_no_file(small_config: RunConfig) -> None:
    message = assemble.place_vectors(parts_with(small_config, "shipped", 192), np.array([2]))
    assert message.startswith("vectors (shipped)")


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1)])
def test_a_containers_quota_bounds_the_threads(
    quota: str, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(runtime, "CPU_QUOTA", tmp_path / "missing")
    free = runtime.available_threads()
    monkeypatch.setattr(runtime, "CPU_QUOTA", tmp_path / "cpu.max")
    assert runtime.available_threads() == (expected or free)


class Mallinfo(ctypes.Structure):
    """What glibc's ``mallinfo2`` returns."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    ))  # fmt: skip


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="no glibc, which alone is asked to keep memory")
def test_memory_of_one_batch_serves_the_next() -> None:
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo
    malloc.keep(shared=False)
    mapped = mallinfo2().hblkhd
    batch = torch.ones(12_000_000)  # 48 MB
    assert mallinfo2().hblkhd == mapped  # not mapped by itself, which would go back to the system when it is freed
    del batch
    assert mallinfo2().fordblks >= 48_000_000  # kept for the next
