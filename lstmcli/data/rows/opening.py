"""Files as streams: compressed or not, in any encoding, recognised by their first bytes rather than by their names."""

import bz2
import gzip
import io
import lzma
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

from lstmcli.config import Data
from lstmcli.errors import REFUSED, DataError, near_path

SAMPLE = 1 << 16  # bytes looked at before a file is read
COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
KNOWN = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"\xd0\xcf\x11\xe0": "an old Office document",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"SQLite format": "an SQLite database",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x04": "a Python pickle",
    b"version https://git-lfs": "a pointer to a file in Git LFS (git lfs pull brings the file)",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}
CONTROL = bytes(code for code in range(32) if code not in b"\t\n\f\r\x1b")
BYTE_ORDER_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@contextmanager
def opened(path: Path | None) -> Iterator[tuple[io.BufferedReader, str]]:
    """Return the bytes of a file, decompressed, or of standard input, and the ending that names their format.

    The ending is the file's in lower case, without that of a compression; one member of a .zip is the file.

    Raises:
        DataError: the file cannot be opened, is empty, or is an archive of several tables.
    """
    if path is None:
        raw = sys.stdin.buffer
        yield raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, raw), SAMPLE), ""
        return
    where = str(path)
    try:
        if path.is_dir():
            raise DataError("a folder, not a file", where=where, fix="give a file inside it")
        if not path.exists():
            raise DataError("there is no such file", where=where, fix=near_path(path) or "check the path")
        with path.open("rb", buffering=SAMPLE) as plain:
            raw = cast(io.BufferedReader, plain)
            first = raw.peek(SAMPLE)
            if not first:
                raise DataError("the file is empty", where=where, fix="give a file with at least one row")
            with _decompressed(raw, first, path) as (stream, name):
                yield stream, Path(name.lower()).suffix
    except zipfile.BadZipFile as error:
        what = f"a .zip archive or a workbook (.xlsx) that cannot be read: {error}"
        raise DataError(what, where=where, fix="write or download the file again") from error
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        fix = "write or download the file again"
        raise DataError(f"a damaged compressed file: {error}", where=where, fix=fix) from error
    except UnicodeDecodeError as error:
        what = f"bytes that are not {error.encoding}, from byte {error.start} on"
        fix = "name the encoding: --set data.encoding=utf-8; or save the file in UTF-8"
        raise DataError(what, where=where, fix=fix) from error
    except UnicodeError as error:  # UTF-16 without a byte-order mark
        fix = "name the encoding with its order of bytes: --set data.encoding=utf-16-le; or save the file in UTF-8"
        raise DataError(f"the file cannot be decoded: {error}", where=where, fix=fix) from error
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}"
        raise DataError(what, where=where, fix=REFUSED.get(error.errno or 0, "check its permissions")) from error


@contextmanager
def _decompressed(raw: io.BufferedReader, first: bytes, path: Path) -> Iterator[tuple[io.BufferedReader, str]]:
    """Return the stream itself, or what it holds in compressed form, and its name without the ending of the
    compression."""
    name = path.name
    for ending in (".gz", ".bz2", ".xz"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    if first.startswith(b"\x1f\x8b"):
        with gzip.open(raw) as file:
            yield io.BufferedReader(cast(io.RawIOBase, file), SAMPLE), name
    elif first.startswith(b"BZh"):
        with bz2.open(raw) as file:
            yield io.BufferedReader(cast(io.RawIOBase, file), SAMPLE), name
    elif first.startswith(b"\xfd7zXZ\0"):
        with lzma.open(raw) as file:
            yield io.BufferedReader(cast(io.RawIOBase, file), SAMPLE), name
    elif first.startswith(b"PK\x03\x04") and not _is_sheet(path):
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir() and "__MACOSX" not in info.filename]
            if len(members) != 1:
                listed = ", ".join(info.filename for info in members[:5]) or "nothing"
                raise DataError(f"the archive holds {listed}", where=str(path), fix="unpack it, and give one of them")
            with archive.open(members[0]) as file:
                yield io.BufferedReader(cast(io.RawIOBase, file), SAMPLE), members[0].filename
    else:
        yield raw, name


def _is_sheet(path: Path) -> bool:
    """Return True for a workbook (.xlsx, .ods), which is a .zip with members of its own."""
    with zipfile.ZipFile(path) as archive:
        return any(name.startswith("xl/") or name == "content.xml" for name in archive.namelist())


def kind_of(first: bytes, ending: str, path: Path | None) -> str:
    """Return the ending that fits the first bytes: a parquet file or a workbook is one under any name."""
    if first.startswith(b"PAR1"):
        return ".parquet"
    if first.startswith(b"ARROW1"):
        return ".arrow"
    if first.startswith(b"PK\x03\x04") and path is not None:
        return ".xlsx"
    return ending


@contextmanager
def decoded(stream: io.BufferedReader, first: bytes, data: Data, where: str) -> Iterator[TextIO]:
    """Return the stream, which stays open, as text with its line ends. Bytes that the encoding lacks become surrogates.

    Raises:
        DataError: binary data.
    """
    encoding = data.encoding or _encoding(first, where)
    file = io.TextIOWrapper(stream, encoding, errors="surrogateescape", newline="")
    try:
        yield file
    finally:
        file.detach()


def _encoding(first: bytes, where: str) -> str:
    """UTF-8 unless there is a byte-order mark, or every other byte is zero."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if first.startswith(mark):
            return encoding
    for magic, name in KNOWN.items():
        if first.startswith(magic):
            raise DataError(f"{name}, not a table or text", where=where, fix="save it as CSV or JSON lines")
    if zeros := first.count(0):
        even, odd = first[::2].count(0), first[1::2].count(0)
        if zeros > len(first) / 8 and max(even, odd) > 20 * min(even, odd):
            return "utf-16-be" if even > odd else "utf-16-le"
    if len(first.translate(None, CONTROL)) < 0.98 * len(first):
        fix = "save it as CSV or JSON lines in UTF-8"
        raise DataError("binary data, not a table or text", where=where, fix=fix)
    return "utf-8-sig"


def broken(text: str) -> bool:
    """Return whether the text was decoded from bytes that its encoding does not have."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def not_decoded(file: TextIO) -> str:
    """Return what is wrong with a row whose bytes the file's encoding does not have."""
    if file.encoding.lower().startswith("utf-8"):
        return "bytes that are not UTF-8; if the file is in Windows-1252: --set data.encoding=cp1252"
    return f"bytes that are not {file.encoding}; another encoding: --set data.encoding=utf-8"
