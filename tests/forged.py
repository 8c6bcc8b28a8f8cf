"""A corpus of files that look like a checkpoint and are none, each made from a small real one.

``FORGED``: by name, a change of what the file holds; the checksum is made right again, as a forger would.
``BROKEN``: by name, a change of the file's bytes.
"""

import copy
import hashlib
import io
import json
import math
import pickle
import random
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LARGEST = 10**7  # numbers, of which a checksum is made
Content = dict[str, Any]  # what torch.save was given
Header = dict[str, Any]


def checksum(header: str, tensors: dict[str, Tensor]) -> str:
    """The checksum as ``storage/checkpoint.py`` has it; of what is no tensor, of nothing."""
    digest = hashlib.blake2b(header.encode("utf-8", "surrogatepass"), digest_size=16)
    for name, value in tensors.items():
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def signed(content: Content) -> bytes:
    """The bytes of a file with this content and a right checksum, where one can be made in little memory."""
    tensors = content.get("tensors", {})
    if sum(one.numel() for one in tensors.values() if isinstance(one, Tensor)) < LARGEST:
        with suppress(AttributeError, TypeError, KeyError, RuntimeError):
            content = content | {"checksum": checksum(content["header"], tensors)}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def of_header(change: Callable[[Header], Any]) -> Callable[[Content], Content]:
    """A change of the header: in place, or to what the change returns."""

    def changed(content: Content) -> Content:
        header = json.loads(content["header"])
        other = change(header)
        return content | {"header": json.dumps(header if other is None else other)}

    return changed


def at(path: str, value: Any) -> Callable[[Content], Content]:
    """A header with another value at ``key/key``."""

    def change(header: Header) -> None:
        *outer, last = path.split("/")
        for key in outer:
            header = header[key]
        header[last] = value(header.get(last)) if callable(value) else value

    return of_header(change)


def without(path: str) -> Callable[[Content], Content]:
    """A header without the key."""

    def change(header: Header) -> None:
        *outer, last = path.split("/")
        for key in outer:
            header = header[key]
        del header[last]

    return of_header(change)


def text(header: str) -> Callable[[Content], Content]:
    """A header of this text."""
    return lambda content: content | {"header": header}


def tensor(name: str, change: Callable[[Tensor], Any]) -> Callable[[Content], Content]:
    """Another tensor in place of one."""
    return lambda content: content | {"tensors": content["tensors"] | {name: change(content["tensors"][name])}}


def fewer(name: str) -> Callable[[Content], Content]:
    """The tensors without one."""
    return lambda content: content | {"tensors": {key: one for key, one in content["tensors"].items() if key != name}}


def more(**tensors: Any) -> Callable[[Content], Content]:
    """Tensors beside the others; two underscores stand for a slash."""
    return lambda content: (
        content | {"tensors": content["tensors"] | {key.replace("__", "/"): value for key, value in tensors.items()}}
    )


def scaled(scale: Tensor) -> Callable[[Content], Content]:
    """A matrix of int8 with these scales."""
    return lambda content: more(**{f"scale__{CELLS}": scale})(tensor(CELLS, lambda one: one.to(torch.int8))(content))


def filled(value: float) -> Callable[[Tensor], Tensor]:
    return lambda one: torch.full_like(one, value)


def shared(content: Content) -> Content:
    """A model of gigabytes, all of whose weights are one number in the file."""
    cells, words = 8192, len(json.loads(content["header"])["vocabulary"]["tokenizer"]["model"]["vocab"])
    shapes = {"embedding.weight": (words, 8), "head.weight": (2, 4 * cells), "head.bias": (2,)}
    for suffix in ("", "_reverse"):
        shapes |= {
            f"lstm.weight_ih_l0{suffix}": (4 * cells, 8),
            f"lstm.weight_hh_l0{suffix}": (4 * cells, cells),
            f"lstm.bias_ih_l0{suffix}": (4 * cells,),
            f"lstm.bias_hh_l0{suffix}": (4 * cells,),
        }
    one = torch.zeros(1)
    tensors = {f"model/{name}": one.expand(shape) for name, shape in shapes.items()}
    return at("config/model/hidden", cells)(content | {"tensors": tensors})


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def vocabulary_within(header: Header) -> None:
    """A model that reads with a language model that reads with it."""
    header["context"] = header["config"]["model"] | {"name": "language-model"}
    header["vocabulary"]["context"] = header["vocabulary"] | {"context": dict(header["vocabulary"])}


def slow_pattern(header: Header) -> None:
    header["vocabulary"]["tokenizer"]["pre_tokenizer"]["pattern"] = {"Regex": "(a+)+b"}


def long_replacement(header: Header) -> None:
    header["vocabulary"]["tokenizer"]["normalizer"]["normalizers"][0]["content"] = "a" * 1_000_000


CELLS = "model/lstm.weight_hh_l0"
WORDS = "vocabulary/tokenizer/model/vocab"
FORGED: dict[str, Callable[[Content], Content]] = {
    "header empty": text("{}"),
    "header no JSON": text("no JSON"),
    "header a list": text("[]"),
    "header a number": text("7"),
    "header no text": lambda content: content | {"header": 7},
    "header nested 100,000 deep": text("[" * 100_000 + "]" * 100_000),
    "header nested 900 deep": at("progress/adapted_from", {"a": nested(900)}),
    "header of brackets": text("[" + "{}," * 1_000_000 + "{}]"),
    "header half a character": text('{"\ud800": 1}'),
    "no header": lambda content: {key: value for key, value in content.items() if key != "header"},
    "no tensors": lambda content: {key: value for key, value in content.items() if key != "tensors"},
    "version a text": lambda content: content | {"version": "1"},
    "version negative": lambda content: content | {"version": -1},
    "no configuration": without("config"),
    "configuration a list": at("config", []),
    "model a list": at("config/model", []),
    "model's name a list": at("config/model/name", ["classifier"]),
    "model unknown": at("config/model/name", "transformer"),
    "hidden 8192 beside small tensors": at("config/model/hidden", 8192),
    "hidden 10^12": at("config/model/hidden", 10**12),
    "hidden a text": at("config/model/hidden", "eight"),
    "16 layers of 8192": of_header(lambda header: header["config"]["model"].update(hidden=8192, layers=16)),
    "weights of gigabytes that share one number": shared,
    "bag of words 8192": at("config/model/bag_of_words", 8192),
    "another model": at("config/model", {"name": "language-model"}),
    "a tagger": of_header(
        lambda header: header["config"].update(tokens={"kind": "pretokenized"}, model={"name": "tagger"})
    ),
    "seed negative": at("config/seed", -1),
    "threads 10^9": at("config/threads", 10**9),
    "learner unknown": at("config/learner/name", "magic"),
    "no vocabulary": without("vocabulary"),
    "vocabulary a list": at("vocabulary", []),
    "vocabulary without a tokenizer": without("vocabulary/tokenizer"),
    "tokenizer without a model": without("vocabulary/tokenizer/model"),
    "tokenizer of another kind": at("vocabulary/tokenizer/model/type", "Unigram"),
    "tokenizer with a slow pattern": of_header(slow_pattern),
    "tokenizer with a long replacement": of_header(long_replacement),
    "tokenizer that pads to 10^9": at("vocabulary/tokenizer/padding", {"strategy": {"Fixed": 10**9}}),
    "words a list": at(WORDS, []),
    "words none": at(WORDS, {}),
    "words one more": at(WORDS, lambda words: words | {"another": len(words)}),
    "words with one number twice": at(WORDS, lambda words: words | {"another": 3}),
    "words with a number of 10^12": at(WORDS, lambda words: words | {"another": 10**12}),
    "words with a negative number": at(WORDS, lambda words: words | {"another": -1}),
    "words with a fraction": at(WORDS, lambda words: dict.fromkeys(words, 0.5)),
    "word of half a character": at(WORDS, lambda words: words | {"\ud800": len(words)}),
    "300,000 words": at(WORDS, lambda words: words | {f"w{number}": number for number in range(len(words), 300_000)}),
    "no labels": at("vocabulary/labels", []),
    "labels a text": at("vocabulary/labels", "ab"),
    "labels numbers": at("vocabulary/labels", [1, 2]),
    "labels three": at("vocabulary/labels", ["bad", "good", "odd"]),
    "labels twice the same": at("vocabulary/labels", ["bad", "bad"]),
    "300,000 labels": at("vocabulary/labels", list(map(str, range(300_000)))),
    "label of half a character": at("vocabulary/labels", ["bad", "\udc80"]),
    "frozen words -1": at("vocabulary/carried", -1),
    "frozen words 10": at("vocabulary/carried", 10),
    "vocabularies within each other": of_header(vocabulary_within),
    "context of a model without one": at("context", {"name": "language-model"}),
    "context no language model": at("context", {"name": "classifier"}),
    "temperature a text": at("temperature", "1"),
    "temperature 0": at("temperature", 0),
    "temperature negative": at("temperature", -1.0),
    "temperature NaN": at("temperature", math.nan),
    "temperature infinite": at("temperature", math.inf),
    "temperature 10^-300": at("temperature", 1e-300),
    "temperature true": at("temperature", True),
    "no temperature": without("temperature"),
    "progress a list": at("progress", []),
    "priors a number": at("progress/shares", 1),
    "epoch a text": at("progress/epoch", "1"),
    "class weights of another label": at("progress/class_weights", {"bad": 1.0, "odd": 2.0}),
    "class weights of one label": at("progress/class_weights", {"bad": 1.0}),
    "class weight 0": at("progress/class_weights", {"bad": 1.0, "good": 0.0}),
    "class weight NaN": at("progress/class_weights", {"bad": 1.0, "good": math.nan}),
    "class weight a text": at("progress/class_weights", {"bad": 1.0, "good": "2"}),
    "class weights a list": at("progress/class_weights", [1.0, 2.0]),
    "label type unknown": at("progress/label_type", "code"),
    "metrics a list": at("metrics", []),
    "metrics without figures": at("metrics", {"hash": {"linear": {"accuracy": "high"}}}),
    "a tensor missing": fewer(CELLS),
    "the head missing": fewer("model/head.weight"),
    "a tensor more": more(model__other=torch.zeros(2)),
    "a tensor that is a number": more(model__other=1.0),
    "a tensor of another shape": tensor(CELLS, lambda one: one[:-1].clone()),
    "a tensor with the shape turned": tensor(CELLS, lambda one: one.T.contiguous()),
    "a tensor of integers": tensor(CELLS, lambda one: one.int()),
    "a tensor of complex numbers": tensor(CELLS, lambda one: one + 0j),
    "a sparse tensor": tensor(CELLS, lambda one: one.to_sparse()),
    "a tensor of no device": tensor(CELLS, lambda one: one.to("meta")),
    "a tensor of 40 GB from one number": more(learned__texts=torch.zeros(1).expand(10**10)),
    "a tensor named by a number": lambda content: content | {"tensors": content["tensors"] | {1: torch.zeros(1)}},
    "a scale per row of another number of rows": lambda content: more(
        **{"scale__model__embedding.weight": torch.ones(10_000)}
    )(tensor("model/embedding.weight", lambda one: one[:1].to(torch.int8))(content)),
    "a scale of what is no matrix": more(**{"scale__model__head.bias": torch.ones(2)}),
    "a scale of nothing": more(scale__model__other=torch.ones(2).half()),
    "a scale NaN": lambda content: scaled(torch.full((len(content["tensors"][CELLS]),), math.nan).half())(content),
    "a scale of another type": lambda content: scaled(torch.full((len(content["tensors"][CELLS]),), 3e38))(content),
    "integers without a scale": tensor(CELLS, lambda one: one.to(torch.int8)),
    "one tensor under 5,000 names": lambda content: more(
        **{f"learned__{number}": content["tensors"][CELLS] for number in range(5_000)}
    )(content),
    "scores of validation texts NaN": tensor("conformal/scores", filled(math.nan)),
    "scores out of order": tensor("conformal/scores", lambda one: torch.linspace(1, 0, len(one)).double()),
    "scores of two dimensions": tensor("conformal/scores", lambda one: one[:, None].contiguous()),
    "scores of integers": tensor("conformal/scores", lambda one: one.long()),
    "hashes of texts in fractions": tensor("learned/texts", lambda one: one.double()),
    "a baseline's prior of three labels": tensor("baseline/prior", lambda _: torch.full((3,), 1 / 3).double()),
    "a baseline's prior negative": tensor("baseline/prior", lambda _: torch.tensor([2.0, -1.0]).double()),
    "a baseline's weights of other labels": tensor("baseline/weight", lambda one: one[:, :1].contiguous()),
    "a baseline without its weights": fewer("baseline/weight"),
    "a baseline without its prior": fewer("baseline/prior"),
    "a baseline's terms none": lambda content: (
        content
        | {
            "tensors": content["tensors"]
            | {f"baseline/{name}": content["tensors"][f"baseline/{name}"][:0] for name in ("terms", "idf", "weight")}
        }
    ),
    "a baseline's terms out of order": tensor("baseline/terms", lambda one: one.flip(0)),
    "weights NaN": tensor(CELLS, filled(math.nan)),
    "one weight infinite": tensor("model/head.bias", lambda one: torch.tensor([0.0, math.inf])),
    "weights too large to multiply": tensor("model/head.weight", filled(3e38)),
    "a learner's tensor of another shape": lambda content: at("config/learner", {"name": "ridge"})(
        more(learner__strength=torch.zeros(3))(content)
    ),
    "a learner's memory of another shape": lambda content: at("config/learner", {"name": "matching"})(
        content
        | {
            "tensors": content["tensors"]
            | {"memory/support.embedding": torch.zeros(2, 3), "memory/support.member": torch.zeros(2, 2)}
        }
    ),
}


class Runs:
    """What runs code when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, (self.command,)


def entries(content: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(entry, archive.read(entry)) for entry in archive.infolist()]


def zipped(parts: list[tuple[zipfile.ZipInfo, bytes]], kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two entries of one name
        for entry, content in parts:
            written = zipfile.ZipInfo(entry.filename)
            written.compress_type, written.external_attr = kind, entry.external_attr
            archive.writestr(written, content)
    return buffer.getvalue()


def named(name: str, *, link: bool = False) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (0o120777 << 16) if link else 0
    return entry


def with_pickle(content: bytes, made: bytes) -> bytes:
    """The file with another pickle."""
    return zipped([(entry, made if entry.filename.endswith("data.pkl") else part) for entry, part in entries(content)])


def with_entry(content: bytes, name: str, part: bytes, *, link: bool = False) -> bytes:
    return zipped([*entries(content), (named(name, link=link), part)])


def renumbered(content: bytes) -> bytes:
    """A pickle whose tensors claim a thousand times the numbers that their entries hold."""
    old = {entry.filename: part for entry, part in entries(content)}["archive/data.pkl"]
    return with_pickle(content, old.replace(b"K\x02\x85", b"J" + struct.pack("<i", 2**30) + b"\x85"))


def overlapping(content: bytes) -> bytes:
    """A zip whose directory names one entry a hundred times."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        for number in range(100):
            again = copy.copy(largest)
            again.filename = f"archive/data/{1_000 + number}"
            archive.filelist.append(again)
        archive._didModify = True  # so that the directory is written
    return buffer.getvalue()


def crowded(count: int, *, large: bool = False) -> bytes:
    """A zip of a directory alone, which names many entries. large: it ends as a large file."""
    entry = b"PK\x01\x02" + struct.pack("<6H3I5H2I", 20, 20, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0)
    directory = b"".join(entry + b"a/%02x" % (number % 256) for number in range(count))
    size = 0xFFFFFFFF if large else len(directory)
    end = b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, count % 65_536, count % 65_536, 1 if large else size, 0, 0)
    if large:
        end = (
            b"PK\x06\x06" + struct.pack("<Q2H2I4Q", 44, 45, 45, 0, 0, count, count, len(directory), 0)
            + b"PK\x06\x07" + struct.pack("<IQI", 0, len(directory), 1) + end
        )  # fmt: skip
    return directory + end


def dimensions(content: bytes, count: int) -> bytes:
    """A pickle of one tensor with many dimensions of one, which torch does not make."""
    shape = b"(" + b"K\x01" * count + b"t"
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ"
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + shape + shape + b"\x89"
    made += b"ccollections\nOrderedDict\n)RtR"
    parts = [(named("archive/data.pkl"), b"\x80\x02}X\x07\x00\x00\x00tensors}X\x01\x00\x00\x00a" + made + b"ss.")]
    assert content
    return zipped([*parts, (named("archive/data/0"), bytes(4))])


ARRAY = b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\x00\x00\x00\x00\x04\x85R."  # bytearray(2**34)
MANY = [(named(f"other{number}/a"), b"") for number in range(5_000)]
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"text,label\nfine,good\n",
    "a zip of nothing": lambda _: zipped([]),
    "a pickle and no zip": lambda _: pickle.dumps({"format": "lstmcli"}),
    "code": lambda content: with_pickle(content, pickle.dumps(Runs("touch run"), 2)),
    "code in a pickle and no zip": lambda _: pickle.dumps(Runs("touch run"), 2),
    "an array of 16 GB": lambda content: with_pickle(content, ARRAY),
    "two million empty lists": lambda content: with_pickle(content, b"\x80\x02(" + b"]" * 2_000_000 + b"l."),
    "code named by values": lambda content: with_pickle(content, pickle.dumps(Runs("touch run"), 4)),
    "entries that share their bytes": overlapping,
    "a pickle cut short": lambda content: with_pickle(content, b"\x80\x02}q\x00"),
    "tensors larger than their entries": renumbered,
    "an entry twice": lambda content: zipped([*entries(content), entries(content)[0]]),
    "an entry outside": lambda content: with_entry(content, "archive/../../run", b"x"),
    "an entry at the root": lambda content: with_entry(content, "/tmp/run", b"x"),
    "an entry of two folders": lambda content: with_entry(content, "other/data.pkl", b"x"),
    "a symbolic link": lambda content: with_entry(content, "archive/data/99", b"/etc/passwd", link=True),
    "a bomb": lambda content: zipped(
        [*entries(content), (named("archive/data/99"), bytes(300_000_000))], zipfile.ZIP_DEFLATED
    ),
    "5,000 entries": lambda content: zipped([*entries(content), *MANY]),
    "200,000 entries": lambda _: crowded(200_000),
    "200,000 entries of a large file": lambda _: crowded(200_000, large=True),
    "a tensor of 40,000 dimensions": lambda content: dimensions(content, 40_000),
    "without an entry": lambda content: zipped(
        [(entry, part) for entry, part in entries(content) if entry.filename != "archive/data/0"]
    ),
}


def blocks(content: bytes) -> Iterator[int]:
    """Where each block of the zip begins, and one byte to both sides: local headers, contents, directory, end."""
    for mark in (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"):
        begin = content.find(mark)
        while begin >= 0:
            yield from (begin - 1, begin, begin + 1)
            begin = content.find(mark, begin + 1)


def flipped(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """The file with one bit flipped, again and again."""
    draw = random.Random(seed)
    for _ in range(count):
        damaged = bytearray(content)
        damaged[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        yield bytes(damaged)


def corpus(real: Path) -> Iterator[tuple[str, bytes]]:
    """All files, by name; made one at a time."""
    content, whole = torch.load(real, weights_only=True), real.read_bytes()
    for name, forge in FORGED.items():
        yield name, signed(forge(content))
    for name, breaking in BROKEN.items():
        yield name, breaking(whole)
