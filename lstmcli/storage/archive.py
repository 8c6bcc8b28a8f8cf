"""What a ``.pt`` file may hold, checked before torch opens it.

``torch.save`` writes a zip of uncompressed entries: one pickle, and the bytes of each tensor. torch itself allocates
what such a file declares, and runs its pickle with a list of allowed functions that is longer than a checkpoint needs.
Here nothing is allocated beyond the directory of the zip and the pickle, and nothing of the pickle is run.
"""

import io
import pickletools
import stat
import zipfile
from pathlib import Path, PurePosixPath

PICKLE = "data.pkl"  # in the one folder of the zip
LARGEST_PICKLE = 2**28  # bytes; the words of the vocabulary are most of it
OPERATIONS = 1_000_000  # of the pickle: about 30 per tensor
CALLED = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"}  # by the pickle of plain tensors
STORAGES = "Storage"  # end of the names of torch's storages, which it names too


def check(source: Path | io.BytesIO) -> int:
    """Check the zip and its pickle; return the size of the file in bytes.

    Raises:
        ValueError: It is not what ``torch.save`` writes of plain values and tensors.
        OSError: It cannot be read.
        zipfile.BadZipFile: It is no zip, or a damaged one.
    """
    size = source.stat().st_size if isinstance(source, Path) else len(source.getbuffer())
    with zipfile.ZipFile(source) as archive:
        entries = archive.infolist()
        for entry in entries:
            _check_entry(entry)
        names = {PurePosixPath(entry.filename) for entry in entries}
        if len(names) < len(entries):
            raise ValueError("two entries of one name")
        if sum(entry.file_size for entry in entries) > size:
            raise ValueError("entries are larger than the file")
        folders = {name.parts[0] for name in names}
        found = [entry for entry in entries if entry.filename == f"{min(folders, default='')}/{PICKLE}"]
        if len(folders) != 1 or not found or found[0].file_size > LARGEST_PICKLE:
            raise ValueError(f"no {PICKLE}, or too large")
        _check_pickle(archive.read(found[0]))
    if isinstance(source, io.BytesIO):
        source.seek(0)
    return size


def _check_entry(entry: zipfile.ZipInfo) -> None:
    parts = PurePosixPath(entry.filename).parts
    if len(parts) < 2 or parts[0] == "/" or ".." in parts or "\\" in entry.filename:
        raise ValueError(f"an entry outside of its folder: {entry.filename!r}")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ValueError(f"a symbolic link: {entry.filename!r}")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
        raise ValueError(f"a compressed entry: {entry.filename!r}")


def _check_pickle(content: bytes) -> None:
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if count > OPERATIONS:
            raise ValueError("too many values")
        if operation.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"):
            raise ValueError("it would run code")
        if operation.name == "GLOBAL" and str(argument) not in CALLED:
            module, _, name = str(argument).partition(" ")
            if module != "torch" or not name.endswith(STORAGES):
                raise ValueError(f"it would run code: {argument}")
