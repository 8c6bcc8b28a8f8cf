"""Vectors in word2vec's binary format, written here by hand as its reference programs write them."""

import gzip
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmcli.data.text import vectors, word2vec
from lstmcli.errors import DataError

TWO = [("the", [0.5, -2.0]), ("film", [1.0, 3.25]), ("Turin", [7.0, 8.0])]


def written(pairs: list[tuple[str, list[float]]], ends: str = "\n") -> bytes:
    """ends: after each vector; Mikolov's program writes a line's end, gensim nothing."""
    parts = [f"{len(pairs)} {len(pairs[0][1])}\n".encode()]
    for word, numbers in pairs:
        parts += [word.encode(), b" ", struct.pack(f"<{len(numbers)}f", *numbers), ends.encode()]
    return b"".join(parts)


@pytest.mark.parametrize("ending", [".bin", ".zip", ".gz"])
@pytest.mark.parametrize("ends", ["", "\n"])
def test_vectors_are_found_by_word(tmp_path: Path, ending: str, ends: str) -> None:
    path, content = tmp_path / f"v.bin{ending.replace('.bin', '')}", written(TWO, ends)
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("v.bin", content)
    else:
        path.write_bytes(gzip.compress(content) if ending == ".gz" else content)
    found, mask = vectors.load(str(path), ["<pad>", "film", "Film", "turin", "Turin", "the"], limit=4)
    assert mask.tolist() == [False, True, True, False, True, True]
    assert found.tolist() == [[0, 0], [1, 3.25], [1, 3.25], [0, 0], [7, 8], [0.5, -2]]
    assert vectors.words_of(str(path), 2) == ["the", "film"]


words = st.text(st.characters(exclude_characters=" \n", exclude_categories=["Cs"]), min_size=1, max_size=8)
numbers = st.floats(width=32, allow_nan=False)


@given(st.dictionaries(words, st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=12), st.sampled_from(
    ["", "\n"]), st.integers(1, 40))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_what_is_written_is_read_back_wherever_the_pieces_end(
    pairs: dict[str, list[float]], ends: str, chunk: int
) -> None:
    import io

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word2vec, "CHUNK", chunk)
        rows = list(word2vec.rows(io.BytesIO(written(list(pairs.items()), ends)), "v.bin"))
    assert [word for _, word, _, _ in rows] == list(pairs)
    assert [vector.tolist() for _, _, vector, _ in rows] == list(pairs.values())


@given(st.integers(0, len(written(TWO, "")) - 1))
@settings(deadline=None)
def test_a_file_cut_short_anywhere_is_told(length: int) -> None:
    import io

    with pytest.raises(DataError, match=r"ends at word|not in word2vec") as caught:
        list(word2vec.rows(io.BytesIO(written(TWO, "")[:length]), "v.bin"))
    assert caught.value.where.startswith("v.bin")


FAULTS = [  # content                          what
    (written(TWO)[:-5], "the file ends at word 3 of 3"),
    (written(TWO).replace(b"3 2\n", b"4 2\n"), "the file ends at word 4 of 4"),
    (written(TWO).replace(b"3 2\n", b"3 4\n"), "the file ends at word 2 of 3"),
    (written(TWO).replace(b"3 2\n", b"2 2\n"), "the file goes on after 2 words of 2 dimensions"),
    (written(TWO).replace(b"3 2\n", b"3 1\n"), "the file goes on after 3 words of 1 dimension"),
    (b"the 0.1 0.2\nfilm 1 2\n", "not in word2vec's binary format"),
    (b"3 99999999999\nthe ", "not in word2vec's binary format"),
    (b"\xba\x16\x4f\x2f\x0c\x00", "not in word2vec's binary format"),  # fastText's
    (b"2 2\n" + b"x" * 3_000_000, "word 1 has no end"),
    (b"0 2\n", "no vectors in the file"),
    (b"", "not in word2vec's binary format"),
    (written([("the", [1.0] * 5)]), "the vectors have 5 dimensions, the model has room for 4"),
]


@pytest.mark.parametrize(("content", "what"), FAULTS)
def test_a_bad_file_is_told(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "v.bin").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(what)) as caught:
        vectors.load(str(tmp_path / "v.bin"), ["the"], limit=4)
    assert "v.bin" in caught.value.where
    assert caught.value.fix


def test_a_compressed_file_cut_short_is_told(tmp_path: Path) -> None:
    whole = gzip.compress(written(TWO))
    for name, content in (("v.bin.gz", whole[:-12]), ("v.txt.gz", b"no gz"), ("v.zip", b"PK")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="that can be read"):
            vectors.load(str(tmp_path / name), ["the"], limit=4)


@pytest.mark.parametrize("kind", ["txt", "bin"])
def test_of_a_word_that_comes_twice_the_first_vector_counts(tmp_path: Path, kind: str) -> None:
    pairs = [("film", [1.0, 2.0]), ("film", [3.0, 4.0])]
    lines = "\n".join(f"{word} {' '.join(map(str, numbers))}" for word, numbers in pairs)
    (tmp_path / f"v.{kind}").write_bytes(written(pairs) if kind == "bin" else lines.encode())
    found, mask = vectors.load(str(tmp_path / f"v.{kind}"), ["film", "Film"], limit=2)
    assert mask.all()
    assert found.tolist() == [[1, 2], [1, 2]]


def test_memory_grows_with_the_words_that_are_kept_not_with_the_file(tmp_path: Path) -> None:
    import tracemalloc

    count, dimensions = 20_000, 100  # 8 MB of numbers
    table = np.ones((count, dimensions), "<f4")
    with (tmp_path / "v.bin").open("wb") as file:
        file.write(f"{count} {dimensions}\n".encode())
        for number in range(count):
            file.write(f"w{number} ".encode() + table[number].tobytes())
    tracemalloc.start()
    try:
        _, mask = vectors.load(str(tmp_path / "v.bin"), ["w7", "w19999", "none"], limit=100)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert mask.tolist() == [True, True, False]
    assert peak < 4 * word2vec.CHUNK
