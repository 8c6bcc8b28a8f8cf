"""word2vec's binary format: a line ``count dimensions``, then each word, a space, and its numbers as float32.

The numbers are little-endian; Mikolov's program ends each vector with a line's end, gensim does not. Read in pieces, so
that a file of gigabytes takes no more memory than the vectors that are kept of it.
"""

from collections.abc import Iterator
from gzip import GzipFile
from typing import IO, Any

import numpy as np

from lstmcli.errors import DataError, counted

Bytes = IO[bytes] | GzipFile
CHUNK = 1 << 20  # bytes read at once
LONGEST = 4096  # bytes of a word, and dimensions, beyond which the file is no such file
FIX = "it opens with a line 'count dimensions'; a file of text must not end in .bin"


def rows(file: Bytes, where: str) -> Iterator[tuple[int, str, np.ndarray[Any, np.dtype[np.float32]], int]]:
    """Of each vector its number, the word, the vector ``[dimension]``, and how many dimensions there are.

    Raises:
        DataError: not in this format, cut short, or not of the count and dimensions in its first line.
    """
    count, dimensions = _header(file, where)
    size = 4 * dimensions
    held, begin = b"", 0
    for number in range(1, count + 1):
        while (space := held.find(b" ", begin)) < 0 or len(held) < space + 1 + size:
            more = file.read(CHUNK)
            if not more or (space < 0 and len(held) - begin > LONGEST):
                what = f"the file ends at word {number:,} of {count:,}" if not more else f"word {number:,} has no end"
                raise DataError(what, where=where, fix=f"fetch it again, or correct its dimensions, now {dimensions}")
            held, begin = held[begin:] + more, 0
        word = held[begin:space].lstrip(b"\n").decode("utf-8", "replace")
        yield number, word, np.frombuffer(held, "<f4", dimensions, space + 1), dimensions
        begin = space + 1 + size
    if (held[begin:] + file.read(CHUNK)).strip(b"\r\n"):
        what = f"the file goes on after {counted(count, 'word')} of {counted(dimensions, 'dimension')}"
        raise DataError(what, where=where, fix="correct the count and dimensions in its first line")


def _header(file: Bytes, where: str) -> tuple[int, int]:
    line = file.readline(LONGEST)
    parts = line.split()
    if len(parts) == 2 and all(part.isdigit() for part in parts) and int(parts[1]) <= LONGEST:
        return int(parts[0]), int(parts[1])
    raise DataError("not in word2vec's binary format", where=f"{where}: {line[:40]!r}", fix=FIX)
