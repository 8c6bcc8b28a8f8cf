"""Exported models: ``.onnx`` files of which ``predict`` and ``evaluate`` run the graph.

The metadata of the file has texts by name: ``format`` and ``version``; ``tokenizer`` (JSON of Hugging Face tokenizers),
``labels`` (JSON), ``temperature``; ``lstmcli``, the rest of the header of a checkpoint, as JSON; ``arrays``, what is
calibrated on validation texts, as JSON of type, shape and base64; ``checksum``. The model card is the model's
documentation.

A file from a stranger is never run as it is: its weights are read, the graph that ``export`` makes of such weights is
built, and the file is refused unless it has exactly that graph and nothing else. So it holds no other operators, and no
data outside of the file. What runs are the bytes that were built. Before the file is parsed, its size is checked: small
files can name very much.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lstmcli import registry
from lstmcli.errors import LONGEST, CheckpointError
from lstmcli.storage import checkpoint as checkpoints
from lstmcli.storage import header as headers
from lstmcli.storage.checkpoint import Checkpoint
from lstmcli.storage.tensors import SCALE, Array, Stored

if TYPE_CHECKING:
    from onnx import ModelProto

FORMAT, VERSION = "lstmcli", "1"
CHECKSUM = "checksum"
JSON = ("tokenizer", "labels", "temperature", "arrays")  # metadata beside the header, each of JSON
METADATA_NAMES = {"format", "version", "lstmcli", CHECKSUM, *JSON}
KEPT = {"conformal": ("scores", "entropies"), "learned": ("texts",), "baseline": ("prior",)}  # tensors by group
WRITTEN = "give a file that 'lstmcli export' wrote; if this is one, it was damaged: export the model again"
FIELDS = 20_000  # of the messages of protobuf whose size is checked, at most
SMALL = 2**20  # bytes of all but weights and metadata
GRAPH, METADATA, INITIALIZER, RAW_DATA = 7, 14, 5, 9  # numbers of fields: of the model, of the graph, of an array
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types of protobuf


def to_bytes(checkpoint: Checkpoint, model: "ModelProto", card: str) -> bytes:
    """Return the file of a graph with all that prediction needs. The model is changed."""
    header = json.loads(checkpoints.header_of(checkpoint))
    vocabulary = header.pop("vocabulary")
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "tokenizer": json.dumps(vocabulary.pop("tokenizer"), ensure_ascii=False),
        "labels": json.dumps(vocabulary.pop("labels"), ensure_ascii=False),
        "temperature": json.dumps(header.pop("temperature")),
        "lstmcli": json.dumps(header | {"vocabulary": vocabulary}, ensure_ascii=False),
        "arrays": json.dumps({f"{group}/{name}": _plain(value) for group, kept in KEPT.items()
                              for name, value in checkpoint.arrays(group).items() if name in kept}),
    }  # fmt: skip
    model.producer_name, model.doc_string = FORMAT, card
    for name, text in (metadata | {CHECKSUM: _checksum(metadata, model)}).items():
        model.metadata_props.add(key=name, value=text)
    content: bytes = model.SerializeToString()
    return content


def _plain(value: Array) -> list[Any]:
    return [value.dtype.name, value.shape, base64.b64encode(value.tobytes()).decode()]


def _checksum(metadata: Mapping[str, str], model: "ModelProto") -> str:
    digest = hashlib.blake2b(model.graph.SerializeToString(), digest_size=16)
    for name, text in sorted(metadata.items()):
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()


def of_bytes(content: bytes, where: str) -> Checkpoint:
    """Read an exported model; it has no weights for torch. content: of the file; where: for messages.

    Raises:
        CheckpointError: It is none, or a damaged one.
    """
    from onnx import ModelProto

    try:
        _check_size(content)
        model = ModelProto.FromString(content)
    except Exception as error:  # protobuf has its own
        raise _damaged(where, str(error)) from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if metadata.get("format") != FORMAT:
        raise CheckpointError("an ONNX file, but not a model that lstmcli exported", where=where, fix=WRITTEN)
    if metadata.get("version") != VERSION:
        fix = "export it again from its .pt file: lstmcli export model.pt model.onnx"
        raise CheckpointError("exported by another version of lstmcli", where=where, fix=fix)
    try:
        if metadata.pop(CHECKSUM, None) != _checksum(metadata, model):
            raise ValueError("it was changed after it was written")
        found = _of(metadata, where)
        return replace(found, graph=_built(model, found))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise _damaged(where, str(error)) from error


def _damaged(where: str, why: str) -> CheckpointError:
    what = f"not an exported model that can be read, or a damaged one: {(why.splitlines() or [''])[0][:LONGEST]}"
    return CheckpointError(what, where=where, fix=WRITTEN)


def _of(metadata: Mapping[str, str], where: str) -> Checkpoint:
    """Return the checkpoint of the metadata, without a graph."""
    header = headers.loaded(metadata["lstmcli"])
    parts = {name: headers.loaded(metadata[name]) for name in JSON}
    if not isinstance(header, dict) or not isinstance(header.get("vocabulary"), dict):
        raise ValueError("no header")
    if not isinstance(parts["arrays"], dict):
        raise ValueError("arrays without names")
    arrays: dict[str, Stored] = {}
    for name, (kind, shape, text) in parts["arrays"].items():
        group, _, last = name.partition("/")
        if last not in KEPT.get(group, ()) or kind not in ("float64", "int64"):
            raise ValueError(f"an array of another kind: {name!r}")
        if not isinstance(shape, list):
            raise ValueError(f"{name!r} has no shape")
        values = np.frombuffer(base64.b64decode(text, validate=True), kind).reshape(shape).copy()
        arrays[name] = Stored(kind, values.shape, values.reshape(-1).view(np.uint8))
    header["vocabulary"] |= {"tokenizer": parts["tokenizer"], "labels": parts["labels"]}
    header["temperature"] = parts["temperature"]
    return checkpoints.exported(headers.checked(header), arrays, where)


def _built(model: "ModelProto", checkpoint: Checkpoint) -> bytes:
    """Return the file of the model that the header describes, with these weights. Raises ValueError where the model is
    not exactly that."""
    section, vocabulary = checkpoint.config.model, checkpoint.vocabulary
    if section.name not in registry.GRAPHS:
        raise ValueError(f"there is no ONNX graph for models of the kind {section.name}")
    module = registry.graph(section.name)
    arrays = arrays_of(model)
    expected = module.prepared_shapes(section, vocabulary.sizes)
    for name, shape in expected.items():
        _check_array(name, shape, arrays, half=name in module.GATHERED)
    if more := [name for name in arrays if name.removeprefix(SCALE).removeprefix("zero/") not in expected]:
        raise ValueError(f"{more[0]!r} belongs to no model of this kind")
    made = module.model(section, {one.name: arrays[one.name] for one in model.graph.initializer if one.name in arrays})
    made.producer_name, made.doc_string = FORMAT, model.doc_string
    for entry in model.metadata_props:
        made.metadata_props.add(key=entry.key, value=entry.value)
    content: bytes = made.SerializeToString()
    names = sorted(entry.key for entry in model.metadata_props)
    if names != sorted(METADATA_NAMES) or content != model.SerializeToString():
        raise ValueError("it holds more or something else than lstmcli exports")
    return content


def arrays_of(model: "ModelProto") -> dict[str, Array]:
    """Return the arrays of the graph, as its module prepared them. Raises ValueError as ``_array``."""
    return {one.name: _array(one) for one in model.graph.initializer if not one.name.startswith("constant_")}


def _check_array(name: str, shape: tuple[int, ...], arrays: Mapping[str, Array], *, half: bool) -> None:
    """Raise ValueError where an array of the graph has another shape or type, or values that are not finite.

    A matrix of an LSTM in int8 is transposed, and has zero points of zero. half: half precision is accepted.
    """
    found = arrays.get(name, np.empty(0, bool))
    scales, zeros = arrays.get(f"{SCALE}{name}"), arrays.get(f"zero/{name}")
    if found.dtype == np.int8:
        of_lstm = len(shape) == 3
        fits = (
            scales is not None and scales.shape == shape[:-1] and _is_float(scales) and (zeros is not None) == of_lstm
        )
        fits = fits and (zeros is None or (zeros.shape == shape[:-1] and zeros.dtype == np.int8 and not zeros.any()))
        shape = (shape[0], shape[2], shape[1]) if of_lstm else shape
    else:
        fits = _is_float(found) and (half or found.dtype == np.float32) and scales is None and zeros is None
    if found.shape != shape or not fits:
        raise ValueError(f"{name} is {found.shape} in place of {shape}, or of another type")


def _is_float(array: Array) -> bool:
    """Return True of floating-point numbers that are all finite."""
    return array.dtype in (np.float32, np.float16) and bool(np.isfinite(array).all())


def _array(tensor: Any) -> Array:
    """Return the values of an array of the file; never those of another file, to which it may refer."""
    kinds = {1: np.float32, 3: np.int8, 7: np.int64, 10: np.float16}
    if tensor.data_location or tensor.external_data or tensor.data_type not in kinds:
        raise ValueError(f"{tensor.name!r} is of another type, or in another file")
    return np.frombuffer(tensor.raw_data, kinds[tensor.data_type]).reshape(tuple(tensor.dims))


class _Field(NamedTuple):
    number: int
    begin: int
    end: int


def _fields(content: memoryview, begin: int, end: int, budget: Iterator[int]) -> Iterator[_Field]:
    """Yield the fields of a message of protobuf. Raises ValueError where there are more than are left of the budget of
    all messages, or it is none."""
    for _ in budget:
        if begin == end:
            return
        key, begin = _varint(content, begin)
        size = {VARINT: 0, FIXED64: 8, BYTES: 0, FIXED32: 4}.get(key & 7)
        if size is None:
            raise ValueError("not a message of protobuf")
        if key & 7 == BYTES:
            size, begin = _varint(content, begin)
        elif key & 7 == VARINT:
            _, begin = _varint(content, begin)
        if begin + size > end:
            raise ValueError("cut short")
        yield _Field(key >> 3, begin, begin + size)
        begin += size
    raise ValueError("too many fields")


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    """Return the number at this byte, and the byte after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at + shift // 7]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + shift // 7 + 1
    raise ValueError("not a message of protobuf")


def _check_size(content: bytes) -> None:
    """Raise ValueError where all but weights and metadata is large: each byte may become a hundred."""
    view, budget = memoryview(content), iter(range(FIELDS))
    small = 0
    for field in _fields(view, 0, len(view), budget):
        if field.number == METADATA:
            small += sum(1 for _ in _fields(view, field.begin, field.end, budget))
        elif field.number != GRAPH:
            small += field.end - field.begin
        else:
            for inner in _fields(view, field.begin, field.end, budget):
                weights = 0
                if inner.number == INITIALIZER:
                    parts = _fields(view, inner.begin, inner.end, budget)
                    weights = sum(part.end - part.begin for part in parts if part.number == RAW_DATA)
                small += inner.end - inner.begin - weights
    if small > SMALL:
        raise ValueError("more structure than a model has")
