"""Files of torch, read without it: the same values, types and shapes as torch reads, or a ValueError."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from lstmcli.storage import archive
from lstmcli.storage.tensors import BFLOAT16, TYPES, Stored

KINDS = sorted(TYPES.values())


def read(value: object, path: Path) -> object:
    torch.save(value, path)
    return archive.read(path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4), (1, 5, 1)])
def test_every_type_and_shape_is_read_as_torch_reads_it(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    value = torch.randint(0, 100, shape).to(getattr(torch, kind))
    found = read({"a": value, "n": 7, "text": "é"}, tmp_path / "a.pt")
    assert isinstance(found, dict)
    assert (found["n"], found["text"]) == (7, "é")
    assert found["a"].kind == kind
    assert found["a"].tensor().dtype == value.dtype
    assert torch.equal(found["a"].tensor(), value)
    np.testing.assert_array_equal(found["a"].array(), (value.float() if kind == BFLOAT16 else value).numpy())


def test_parts_of_a_storage_are_read_where_they_begin(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    found = read({"rows": whole[1:], "row": whole[2], "again": whole}, tmp_path / "a.pt")
    assert isinstance(found, dict)
    assert torch.equal(found["rows"].tensor(), whole[1:])
    assert torch.equal(found["row"].tensor(), whole[2])
    assert torch.equal(found["again"].tensor(), whole)


@pytest.mark.parametrize(
    "value",
    [
        torch.arange(12.0).reshape(3, 4).T,
        torch.zeros(2, 3)[:, 1],
        torch.zeros(1).expand(1_000_000),
        torch.nn.Parameter(torch.zeros(2)),
        torch.zeros(2, requires_grad=True),
        torch.zeros(2).to_sparse(),
        torch.zeros(2, dtype=torch.complex64),
        Path("a"),
        {1: 2},
        [1],
        {"a": {"b"}},
    ],
    ids=str,
)
def test_other_values_are_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read({"a": value} if not isinstance(value, dict) else value, tmp_path / "a.pt")


def test_values_of_the_tensors_are_not_copied_and_can_be_changed(tmp_path: Path) -> None:
    found = read({"a": torch.arange(3.0)}, tmp_path / "a.pt")
    assert isinstance(found, dict)
    tensor = found["a"].tensor()
    tensor[0] = 5
    assert found["a"].array()[0] == 5


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_found(kind: str, bad: float) -> None:
    values = torch.tensor([0.0, -1.5, 60_000.0]).to(getattr(torch, kind))
    assert Stored.from_torch(values).is_finite()
    values[1] = bad
    assert not Stored.from_torch(values).is_finite()
    assert Stored.from_torch(values).is_finite(infinite=True) == (not np.isnan(bad))


def test_a_buffer_is_read_as_a_file_is() -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(2)}, buffer)
    assert torch.equal(archive.read(buffer)["a"].tensor(), torch.ones(2))
