"""PyTorch checkpoints of the format before 1.6, put together opcode by opcode: no PyTorch, and any damage one likes.

Values are bytes of a pickle (protocol 2) that leave one object on its stack.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
KINDS = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<f2": "HalfStorage", "<i8": "LongStorage"}


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def imported(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def sequence(*items: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(items) + b"t"


def integers(*values: int) -> bytes:
    return sequence(*map(integer, values))


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + sequence(*arguments) + b"R"


EMPTY_MAP = imported("collections", "OrderedDict") + b")R"


def mapping(items: Mapping[str, bytes]) -> bytes:
    return EMPTY_MAP + b"(" + b"".join(text(name) + value for name, value in items.items()) + b"u"


def storage(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    identity = (text("storage"), imported("torch", kind), text(key), text("cpu"), integer(count), b"N")
    return sequence(*identity) + b"Q"


def tensor(
    of: bytes, shape: tuple[int, ...], strides: tuple[int, ...] | None = None, offset: int = 0
) -> bytes:
    """A view of a storage; strides in numbers, those of a contiguous array unless given."""
    if strides is None:
        strides = tuple(int(np.prod(shape[place + 1 :])) for place in range(len(shape)))
    parts = (of, integer(offset), integers(*shape), integers(*strides), b"\x89", EMPTY_MAP)
    return call(imported("torch._utils", "_rebuild_tensor_v2"), *parts)


def program(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def whole(tensors: bytes, storages: Mapping[str, np.ndarray]) -> bytes:
    """A checkpoint of one object and the numbers of its storages."""
    sizes = b"}(" + text("little_endian") + b"\x88u"
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    head = b"".join(map(program, (integer(MAGIC), integer(1001), sizes, tensors, keys)))
    return head + b"".join(len(array).to_bytes(8, "little") + array.tobytes() for array in storages.values())


def checkpoint(arrays: Mapping[str, np.ndarray]) -> bytes:
    """What `torch.save` of a state dict wrote."""
    tensors = {
        name: tensor(storage(name, array.size, KINDS[array.dtype.str]), array.shape)
        for name, array in arrays.items()
    }
    return whole(mapping(tensors), {name: array.ravel() for name, array in arrays.items()})
