"""PyTorch checkpoints read without PyTorch; damaged and hostile ones are in tests/hostile/test_torch_checkpoints.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fashionseg.errors import UserError
from fashionseg.storage.torch_tensors import read_tensors
from torch_checkpoints import EMPTY_MAP, checkpoint, integer, mapping, storage, tensor, text, whole

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.running_var": np.array([0.5, 2.0]),
    "half": np.array([1.5, -2.0], np.float16),
    "bn.num_batches_tracked": np.array(7, np.int64),
}


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_names_order_types_and_values_are_kept(tmp_path: Path) -> None:
    read = read_tensors(write(tmp_path / "a.pth", checkpoint(ARRAYS)))
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_a_tensor_is_a_view_of_its_storage(tmp_path: Path) -> None:
    """Offset 1, and the transpose of [[1, 2, 3], [4, 5, 6]]: strides 1 and 3 over the numbers 0 to 7."""
    data = whole(
        mapping({"t": tensor(storage("s", 8), (3, 2), (1, 3), offset=1)}),
        {"s": np.arange(8, dtype=np.float32)},
    )
    read = read_tensors(write(tmp_path / "a.pth", data))["t"]
    np.testing.assert_array_equal(read, [[1, 4], [2, 5], [3, 6]])


def test_versions_of_layers_are_skipped(tmp_path: Path) -> None:
    """PyTorch adds an attribute `_metadata` to the map."""
    state = (
        b"}" + text("_metadata") + EMPTY_MAP + text("") + b"}" + text("version") + integer(1) + b"ss" + b"s"
    )
    tensors = mapping({"t": tensor(storage("s", 2), (2,))}) + state + b"b"
    path = write(tmp_path / "a.pth", whole(tensors, {"s": np.ones(2, np.float32)}))
    assert list(read_tensors(path)) == ["t"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.pth: no such file"):
        read_tensors(tmp_path / "none.pth")
