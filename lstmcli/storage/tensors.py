"""The tensors of a file: arrays as they are stored, which become torch's on first use. Imports no torch at its top."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, np.dtype[Any]]
SCALE = "scale/"  # prefix of the scales of matrices of int8
TYPES = {  # by the name of torch's storage
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Float": "float32",
    "Double": "float64",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
}
BFLOAT16 = "bfloat16"  # unknown to numpy
MOST_DIMENSIONS = 8
EXPONENTS = {"float16": np.uint16(0x7C00), BFLOAT16: np.uint16(0x7F80)}  # bits that are all one in values not finite


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor: its type in torch, its shape, and its bytes ``[byte]``."""

    kind: str
    shape: tuple[int, ...]
    data: Array

    @staticmethod
    def size_of(kind: str) -> int:
        """Bytes per value."""
        return 2 if kind == BFLOAT16 else np.dtype(kind).itemsize

    @classmethod
    def of(cls, kind: str, data: Array, offset: int, shape: Sequence[int], strides: Sequence[int]) -> "Stored":
        """Return a contiguous part of a storage; offset and strides in values. Raises ValueError if it is none."""
        if len(shape) > MOST_DIMENSIONS:
            raise ValueError("a tensor of too many dimensions")
        expected = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        count, size = math.prod(shape), cls.size_of(kind)
        if len(strides) != len(shape) or (count and any(
            length > 1 and stride != other for length, stride, other in zip(shape, strides, expected, strict=True)
        )):  # fmt: skip
            raise ValueError("a tensor that is not contiguous")
        if (offset + count) * size > len(data):
            raise ValueError("a tensor larger than its storage")
        return cls(kind, tuple(shape), data[offset * size : (offset + count) * size])

    @classmethod
    def from_torch(cls, value: "Tensor") -> "Stored":
        """Return a tensor on the CPU; contiguous memory is shared."""
        import torch

        data = value.contiguous().reshape(-1).view(torch.uint8).numpy()
        return cls(str(value.dtype).removeprefix("torch."), tuple(value.shape), data)

    def array(self) -> Array:
        """Return the values; those of bfloat16, which numpy does not have, in float32."""
        if self.kind == BFLOAT16:
            upper = self.data.view(np.uint16).astype(np.uint32) << 16
            return upper.view(np.float32).reshape(self.shape)
        return self.data.view(self.kind).reshape(self.shape)

    def tensor(self) -> "Tensor":
        """Return the values in torch; the memory is shared."""
        import torch

        values = np.require(
            self.data.view("int16" if self.kind == BFLOAT16 else self.kind), requirements=["ALIGNED", "WRITEABLE"]
        )
        found = torch.from_numpy(values.reshape(self.shape))
        return found.view(torch.bfloat16) if self.kind == BFLOAT16 else found

    def is_finite(self, *, infinite: bool = False) -> bool:
        """Return True where all values are numbers. infinite: infinite ones are accepted."""
        if not self.kind.endswith(("16", "32", "64")) or "float" not in self.kind or not len(self.data):
            return True
        if self.kind in EXPONENTS and not infinite:
            exponents = self.data.view(np.uint16) & EXPONENTS[self.kind]
            return not bool((exponents == EXPONENTS[self.kind]).any())
        ends = self.array().min(), self.array().max()  # NaN is its own minimum
        return all(not math.isnan(end) if infinite else math.isfinite(end) for end in ends)


class Tensors(Mapping[str, "Tensor"]):
    """The tensors of a file by name; matrices of int8 are multiplied by the scales of their rows.

    On first use as tensors of torch they are checked against the model that the header describes.
    """

    def __init__(self, stored: Mapping[str, Stored], check: "Callable[[dict[str, Tensor], set[str]], None]") -> None:
        """Raise ValueError where a scale is of something else than a matrix of int8, or not finite."""
        self.stored = dict(stored)
        self._check = check
        self._made: dict[str, Tensor] | None = None
        self._names = [name for name in stored if not name.startswith(SCALE)]
        for name in stored.keys() - set(self._names):
            matrix, scale = stored.get(name.removeprefix(SCALE)), stored[name]
            if matrix is None or matrix.kind != "int8" or len(matrix.shape) != 2 or scale.shape != matrix.shape[:1]:
                raise ValueError(f"{name} is of no matrix of int8 with as many rows")
            if scale.kind != "float16" or not scale.is_finite():  # of half precision: the products are finite too
                raise ValueError(f"{name} has values that are not finite, or is of type {scale.kind}")

    def __getitem__(self, name: str) -> "Tensor":
        return self._tensors()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __or__(self, others: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
        return self._tensors() | dict(others)

    def _tensors(self) -> "dict[str, Tensor]":
        if self._made is None:
            import torch

            made = {name: self.stored[name].tensor() for name in self._names}
            scales = {name: self.stored[f"{SCALE}{name}"] for name in self._names if f"{SCALE}{name}" in self.stored}
            self._check(made, set(scales))  # before matrices of int8 become four times as large
            for name, scale in scales.items():
                made[name] = torch.from_numpy(scaled(self.stored[name].array(), scale.array()))
            self._made = made
        return self._made


def scaled(matrix: Array, scales: Array) -> Array:
    """Return a matrix of int8 in float32. scales: of its rows."""
    found: Array = matrix.astype(np.float32) * scales.astype(np.float32)[:, None]
    return found


def arrays(tensors: "Mapping[str, Tensor]", prefix: str, *, whole: bool = True) -> dict[str, Array]:
    """Return the tensors whose names begin with the prefix, without it, as arrays. Of a file without torch.

    whole: matrices of int8 in float32; else as they are, beside their scales.
    """
    if not isinstance(tensors, Tensors):  # made by torch, which is thus loaded
        import torch

        named = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        return {name: (value.float() if value.dtype == torch.bfloat16 else value).detach().cpu().numpy()
                for name, value in named.items()}  # fmt: skip
    found = {name.removeprefix(prefix): one.array() for name, one in tensors.stored.items() if name.startswith(prefix)}
    of_rows = f"{SCALE}{prefix}"
    scales = {name.removeprefix(of_rows): one.array() for name, one in tensors.stored.items()
              if name.startswith(of_rows)}  # fmt: skip
    if whole:
        return found | {name: scaled(found[name], scale) for name, scale in scales.items() if name in found}
    return found | {f"{SCALE}{name}": scale for name, scale in scales.items()}


def checksum(header: str, tensors: "Mapping[str, Stored | Tensor]") -> str:
    """Return the checksum of a checkpoint's file."""
    digest = hashlib.blake2b(header.encode(), digest_size=16)
    for name, value in tensors.items():
        stored = value if isinstance(value, Stored) else Stored.from_torch(value)
        digest.update(f"{name} torch.{stored.kind} {list(stored.shape)}".encode())
        digest.update(stored.data.data)
    return digest.hexdigest()
