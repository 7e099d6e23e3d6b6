"""Tensors of a PyTorch checkpoint, without PyTorch and without unpickling.

A checkpoint of the format before PyTorch 1.6 is a sequence of pickles (magic number, version, sizes of the types, a map
of names to tensors, the keys of the storages) and then the numbers of each storage. A pickle is a program; here its
opcodes are listed by `pickletools`, and the few that build a map of tensors are carried out on plain values. Anything
else, any other global above all, is refused: nothing of the file is ever run.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fashionseg.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES: dict[str, np.dtype] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
}
_MAP, _TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
# A few opcodes can describe structures that take for ever to print, to compare or to copy (tests/hostile).
_MAX_OPCODES, _MAX_DIMENSIONS = 1_000_000, 8
_MARK = object()


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in numbers


class _Global(NamedTuple):
    name: str


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Name -> array, in the order of the checkpoint.

    Raises:
        UserError: not such a checkpoint, damaged, or one that holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            magic, _, sizes = (_evaluate(file) for _ in range(3))
            if magic != _MAGIC or sizes.get("little_endian") is not True:
                raise UserError(f"{path}: not a checkpoint of PyTorch before 1.6")
            tensors, keys = _evaluate(file), _evaluate(file)
            return _arrays(file, path.stat().st_size, tensors, keys)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UserError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a whole checkpoint of tensors: {reason[:300]}") from None


def _arrays(
    file: BinaryIO, file_size: int, tensors: dict[str, Any], keys: list[str]
) -> dict[str, np.ndarray]:
    for name, tensor in tensors.items():
        if not isinstance(tensor, _Tensor):
            raise ValueError(f"expected a tensor, got something else as {name!r}")
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if not all(isinstance(key, str) for key in keys) or sorted(storages) != sorted(keys):
        raise ValueError("the storages are not those of the tensors")
    numbers = {}
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(file.read(8), "little")
        num_bytes = count * storage.dtype.itemsize
        if count != storage.length or num_bytes > file_size:
            raise ValueError(f"storage {key}: expected {storage.length} numbers, got {count}")
        numbers[key] = np.frombuffer(file.read(num_bytes), storage.dtype, count)
    if sum(math.prod(tensor.shape) for tensor in tensors.values()) > sum(map(len, numbers.values())):
        raise ValueError("the tensors have more numbers than the storages")
    return {name: _array(numbers[tensor.storage.key], tensor) for name, tensor in tensors.items()}


def _array(numbers: np.ndarray, tensor: _Tensor) -> np.ndarray:
    shape, strides, offset = tensor.shape, tensor.strides, tensor.offset
    last = offset + sum((count - 1) * stride for count, stride in zip(shape, strides, strict=True))
    if min((*shape, 1)) < 1 or min((*strides, offset, 0)) < 0 or last >= len(numbers):
        raise ValueError(f"a tensor of shape {shape} that is not inside its storage")
    in_bytes = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, in_bytes, writeable=False).copy()


def _evaluate(file: BinaryIO) -> Any:
    """The value of the pickle at the file's position."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument in _opcodes(file):
        match opcode:
            case "PROTO":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                stack.append(_MARK)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE":
                stack.append(argument)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(tuple(_since_mark(stack)))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND":
                value = stack.pop()
                stack[-1].append(value)
            case "APPENDS":
                values = _since_mark(stack)
                stack[-1].extend(values)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set_items(stack[-1], [key, value])
            case "SETITEMS":
                values = _since_mark(stack)
                _set_items(stack[-1], values)
            case "GLOBAL":
                if argument not in (*_DTYPES, _MAP, _TENSOR):
                    raise ValueError(f"expected tensors only, got {argument!r}")
                stack.append(_Global(argument))
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_call(function, arguments))
            case "BUILD":  # attributes of the map, such as versions of the layers
                stack.pop()
            case _:
                raise ValueError(f"expected tensors only, got the opcode {opcode}")
    raise ValueError("the pickle has no end")


def _opcodes(file: BinaryIO) -> Iterator[tuple[str, Any]]:
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if count == _MAX_OPCODES:
            raise ValueError(f"expected at most {_MAX_OPCODES} opcodes, got more")
        yield opcode.name, argument


def _since_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1
    while stack[place] is not _MARK:
        place -= 1
        if place < 0:
            raise ValueError("a mark is missing")
    values = stack[place + 1 :]
    del stack[place:]
    return values


def _set_items(mapping: Any, items: list[Any]) -> None:
    """Adds alternating names and values."""
    if not all(isinstance(name, str) for name in items[::2]):
        raise ValueError("expected names as the keys of a map")
    mapping.update(zip(items[::2], items[1::2], strict=True))


def _storage(identity: Any) -> _Storage:
    kind, storage_type, key, _, count = identity[:5]
    if kind != "storage" or not isinstance(key, str) or storage_type.name not in _DTYPES:
        raise ValueError("expected a storage of numbers, got another object")
    return _Storage(key, _DTYPES[storage_type.name], int(count))


def _call(function: Any, arguments: tuple[Any, ...]) -> Any:
    if function == _Global(_MAP) and arguments == ():
        return {}
    if function == _Global(_TENSOR):
        storage, offset, shape, strides = arguments[:4]
        if isinstance(storage, _Storage):
            if len(shape) > _MAX_DIMENSIONS:
                raise ValueError(f"expected at most {_MAX_DIMENSIONS} dimensions, got {len(shape)}")
            return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))
    raise ValueError("expected tensors only, got another call")
