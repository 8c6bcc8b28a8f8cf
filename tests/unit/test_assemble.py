"""Parts put together: pretrained vectors in the embedding."""

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lstmcli.config import RunConfig
from lstmcli.data import vectors
from lstmcli.data.tokens import Vocabulary
from lstmcli.engine import assemble, runtime
from lstmcli.engine import checkpoint as checkpoints
from lstmcli.errors import DataError


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
    told = assemble.place_vectors(parts, ids)
    after = parts.model.embedding.weight.detach()
    assert after[words.index("film")][:2].tolist() == [1, 2]
    assert after[words.index("the")][:2].tolist() == [3, 4]
    assert not after[0].any()
    ratio = after[words.index("oddword")] / before[words.index("oddword")]
    torch.testing.assert_close(ratio, ratio[:1].expand(3))  # random as before, scaled to the others
    assert "75.0% of the tokens" in told


def test_an_array_without_its_words_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match="the words of the vectors are missing"):
        vectors.words_of(str(tmp_path / "v.npy"), 5)


def test_vectors_of_a_checkpoint_are_those_of_its_words(small_config: RunConfig, trained: Path) -> None:
    origin = checkpoints.load(trained)
    parts = parts_with(small_config, str(trained), 8)
    assemble.place_vectors(parts, np.array([2]))
    theirs = origin.group("model")["embedding.weight"][origin.vocabulary.words.index("film")]
    assert torch.equal(parts.model.embedding.weight[parts.vocabulary.words.index("film")].detach(), theirs)


def test_the_shipped_vectors_need_no_file(small_config: RunConfig) -> None:
    told = assemble.place_vectors(parts_with(small_config, "shipped", 50), np.array([2]))
    assert told.startswith("vectors (shipped)")


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1)])
def test_a_containers_quota_bounds_the_threads(
    quota: str, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(runtime, "CPU_QUOTA", tmp_path / "missing")
    free = runtime.granted_threads()
    monkeypatch.setattr(runtime, "CPU_QUOTA", tmp_path / "cpu.max")
    assert runtime.granted_threads() == (expected or free)


FAULTS = """
import resource
import torch
from lstmcli.config import RunConfig
from lstmcli.engine import runtime

runtime.prepare(RunConfig(data={"name": "reviews"}, device="cpu"))
for number in range(30):  # the first few may lie anew, where something small has come between
    if number == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(12_000_000)  # 48 MB: 11,700 pages, or 23 large ones
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep what is freed")
def test_memory_of_one_batch_serves_the_next() -> None:
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40  # pages mapped anew, of 117,000
