"""Read a ``.pt`` file, as ``torch.save`` writes it of plain values and tensors, without torch.

It is a zip of uncompressed entries: one pickle, and the bytes of each tensor. torch itself allocates what such a file
declares, and runs its pickle with a list of allowed functions that is longer than a checkpoint needs. Here nothing of
the pickle is run, and nothing is allocated beyond the file itself and its pickle.
"""

import io
import pickletools
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from lstmcli.storage.tensors import TYPES, Array, Stored

PICKLE = "data.pkl"  # in the one folder of the zip
LARGEST_PICKLE = 2**27  # bytes; the words of the vocabulary are most of it
LARGEST_DIRECTORY = 2**20  # bytes of the list of entries, of which each becomes an object: some 10,000 tensors
END, SIZE_AT = 22, slice(12, 16)  # of the zip: the length of its end, and where in it the size of the directory is
LOCATOR, END64, SIZE64_AT = 20, 56, slice(40, 48)  # the same of what torch writes before it, for large files
OPERATIONS = 1_000_000  # of the pickle: about 30 per tensor
EMPTY_HOOKS, TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"  # called by the pickle of a tensor
STORAGES = {f"torch {name}Storage": kind for name, kind in TYPES.items()}
HEADER, NAME_AT = 30, 26  # of an entry in the zip: its fixed length, and where the lengths of name and extra field are


def read(source: Path | io.BytesIO) -> Any:
    """Read the value in the file; its tensors are ``Stored``.

    Raises:
        ValueError: It is not what ``torch.save`` writes of plain values and tensors.
        OSError: It cannot be read.
        Exception: It is no zip, or its pickle is damaged.
    """
    content = _bytes(source)
    _check_directory(content)
    with zipfile.ZipFile(source) as archive:
        entries = archive.infolist()
        for entry in entries:
            _check_entry(entry)
        names = {PurePosixPath(entry.filename) for entry in entries}
        if len(names) < len(entries):
            raise ValueError("two entries of one name")
        if sum(entry.file_size for entry in entries) > len(content):
            raise ValueError("entries are larger than the file")
        folders = {name.parts[0] for name in names}
        folder = min(folders, default="")
        by_name = {entry.filename.removeprefix(f"{folder}/"): entry for entry in entries}
        if len(folders) != 1 or PICKLE not in by_name or by_name[PICKLE].file_size > LARGEST_PICKLE:
            raise ValueError(f"no {PICKLE}, or too large")
        if "byteorder" in by_name and archive.read(by_name["byteorder"]) != b"little":
            raise ValueError("of a computer with another order of bytes")
        pickle = archive.read(by_name[PICKLE])

    def stored(key: str) -> Array:
        return _content(content, by_name[f"data/{key}"])

    value = _value(pickle, stored)
    if isinstance(source, io.BytesIO):
        source.seek(0)
    return value


def _bytes(source: Path | io.BytesIO) -> Array:
    """Return all of it, writable, as torch expects of memory that it shares."""
    return np.fromfile(source, np.uint8) if isinstance(source, Path) else np.array(source.getbuffer())


def _check_directory(content: Array) -> None:
    """Raise ValueError where the list of entries is long, which zipfile reads as a whole; or where the zip does not end
    as torch ends it: in an end for large files, if any, and one without a comment."""
    end = content[-END:].tobytes()
    if not end.startswith(b"PK\x05\x06") or not end.endswith(b"\0\0"):
        raise ValueError("no zip, or one with a comment")
    sizes = [end[SIZE_AT]]
    if content[-END - LOCATOR :][:4].tobytes() == b"PK\x06\x07":
        end64 = content[-END - LOCATOR - END64 :][:END64].tobytes()
        if not end64.startswith(b"PK\x06\x06"):
            raise ValueError("no end of a zip")
        sizes.append(end64[SIZE64_AT])
    if any(int.from_bytes(size, "little") > LARGEST_DIRECTORY for size in sizes):
        raise ValueError("too many entries")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    parts = PurePosixPath(entry.filename).parts
    if len(parts) < 2 or parts[0] == "/" or ".." in parts or "\\" in entry.filename:
        raise ValueError(f"an entry outside of its folder: {entry.filename!r}")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ValueError(f"a symbolic link: {entry.filename!r}")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
        raise ValueError(f"a compressed entry: {entry.filename!r}")


def _content(content: Array, entry: zipfile.ZipInfo) -> Array:
    """Return the bytes of an entry where they lie: its checksum of four bytes is that of the zip, weaker than ours."""
    at = entry.header_offset
    name, extra = content[at + NAME_AT : at + HEADER].view("<u2").tolist()
    begin = at + HEADER + name + extra
    found: Array = content[begin : begin + entry.file_size]
    if len(found) != entry.file_size:
        raise ValueError(f"an entry beyond the end of the file: {entry.filename!r}")
    return found


class _Global(NamedTuple):
    """A name of Python in the pickle."""

    name: str


class _Storage(NamedTuple):
    """The memory of tensors: their type, and its bytes."""

    kind: str
    data: Array


def _value(content: bytes, stored: Callable[[str], Array]) -> Any:
    """Read a pickle of dicts with texts for keys, numbers, texts and tensors. stored: the bytes of a storage, by its
    key in the file. Raises ValueError where it holds anything else, or another exception where it is damaged."""
    stack: list[Any] = []
    marks: list[int] = []  # of the stack: where the operands of the next operation begin
    memo: dict[object, Any] = {}
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if count > OPERATIONS:
            raise ValueError("too many values")
        match operation.name:
            case "PROTO":
                pass
            case "MARK":
                marks.append(len(stack))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_named(str(argument)))
            case "BINPERSID":
                stack.append(_storage(stack.pop(), stored))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_called(stack.pop(), arguments))
            case "STOP":
                (value,) = stack
                return value
            case "TUPLE" | "SETITEMS":
                begin = marks.pop()
                operands = stack[begin:]
                del stack[begin:]
                _collect(operation.name, stack, operands)
            case _:
                _push(operation.name, argument, stack)
    raise ValueError("cut short")


def _push(operation: str, argument: Any, stack: list[Any]) -> None:
    """Push a value, or combine the last ones."""
    match operation:
        case "BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
            stack.append(argument)
        case "EMPTY_DICT":
            stack.append({})
        case "EMPTY_TUPLE":
            stack.append(())
        case "NEWTRUE" | "NEWFALSE":
            stack.append(operation == "NEWTRUE")
        case "TUPLE1" | "TUPLE2" | "TUPLE3":
            size = int(operation[-1])
            stack[-size:] = [tuple(stack[-size:])]
        case "SETITEM":
            items = [stack.pop(-2), stack.pop()]
            _set(stack[-1], items)
        case _:
            raise ValueError(f"it would run code: {operation}")


def _collect(operation: str, stack: list[Any], operands: list[Any]) -> None:
    if operation == "TUPLE":
        stack.append(tuple(operands))
    else:
        _set(stack[-1], operands)


def _named(name: str) -> _Global:
    if name not in STORAGES and name not in (EMPTY_HOOKS, TENSOR):
        raise ValueError(f"it would run code: {name}")
    return _Global(name)


def _storage(value: Any, stored: Callable[[str], Array]) -> _Storage:
    what, (name,), key, device, count = value
    kind, data = STORAGES[name], stored(key)
    if what != "storage" or type(device) is not str or type(count) is not int:
        raise ValueError("a storage of another kind")
    if len(data) != count * Stored.size_of(kind):
        raise ValueError("a storage of another size than its file")
    return _Storage(kind, data)


def _called(function: Any, arguments: Any) -> Any:
    """Return the tensor, or the empty dict of its hooks."""
    if function == _Global(EMPTY_HOOKS) and arguments == ():
        return {}
    if function != _Global(TENSOR):
        raise ValueError("it would run code")
    storage, offset, shape, strides, learned, hooks = arguments
    if type(storage) is not _Storage or learned is not False or hooks != {}:
        raise ValueError("a tensor of another kind")
    if not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
        raise ValueError("a tensor of another shape")
    return Stored.of(storage.kind, storage.data, offset, shape, strides)


def _set(target: Any, items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(target) is not dict or type(key) is not str or isinstance(value, _Global | _Storage):
            raise ValueError("something else than values by name")
        target[key] = value
