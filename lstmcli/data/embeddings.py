"""Texts with the embeddings that a teacher gives them: a parquet file with columns ``text`` and ``embedding``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lstmcli.errors import DataError
from lstmcli.types import Example

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Sentences:
    """Texts without labels, and the embedding of each, of length 1: ``[text, dimension]``, float16."""

    examples: list[Example] = field(default_factory=list)
    embeddings: Array = field(default_factory=lambda: np.zeros((0, 0), np.float16))


def read(path: Path) -> Sentences:
    """Read what ``write`` has written.

    Raises:
        DataError: there is no such file, or it has no such columns.
    """
    import pyarrow
    from pyarrow import parquet

    fix = "make it as lstmcli/pretrained/README.md describes; or learn without: --set train.embeddings=none"
    try:
        table = parquet.read_table(path, columns=["text", "embedding"]).combine_chunks()
        flat = table["embedding"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        texts = table["text"].to_pylist()
    except (OSError, pyarrow.ArrowException, AttributeError) as error:
        what = "there is no such file" if not path.is_file() else f"the embeddings cannot be read: {error}"
        raise DataError(what, where=f"train.embeddings: {path}", fix=fix) from error
    if not texts or len(flat) % len(texts):
        raise DataError("the embeddings are not all of one size", where=f"train.embeddings: {path}", fix=fix)
    matrix = flat.astype(np.float16).reshape(len(texts), -1)
    return Sentences([Example(str(text)) for text in texts], matrix)


def write(path: Path, texts: list[str], embeddings: Array) -> None:
    """Write texts and embeddings, ``[text, dimension]``, whole or not at all."""
    import pyarrow
    from pyarrow import parquet

    flat = pyarrow.array(embeddings.astype(np.float16).ravel())
    lists = pyarrow.FixedSizeListArray.from_arrays(flat, embeddings.shape[1])
    partial = path.with_name(f"{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table({"text": texts, "embedding": lists}), partial, compression="zstd")
    partial.replace(path)
