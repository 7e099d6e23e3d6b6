"""PyTorch checkpoints that want to run code, lie about their storages or are damaged: refused, nothing is run."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fashionseg.errors import UserError
from fashionseg.storage.torch_tensors import read_tensors
from torch_checkpoints import (
    call,
    checkpoint,
    imported,
    integer,
    mapping,
    program,
    sequence,
    storage,
    tensor,
    text,
    whole,
)

ONES = {"s": np.ones(4, np.float32)}
VALID = whole(mapping({"t": tensor(storage("s", 4), (2, 2))}), ONES)


def refused(path: Path, data: bytes) -> str:
    """The line that refuses `data`."""
    path.write_bytes(data)
    with pytest.raises(UserError) as error:
        read_tensors(path)
    said = str(error.value)
    assert said.startswith(f"{path}: ") and said.isprintable() and len(said) < len(str(path)) + 400
    return said


def with_tensor(value: bytes) -> bytes:
    return whole(mapping({"t": value}), ONES)


def test_the_valid_checkpoint_is_read(tmp_path: Path) -> None:
    """The control."""
    (tmp_path / "a.pth").write_bytes(VALID)
    np.testing.assert_array_equal(read_tensors(tmp_path / "a.pth")["t"], np.ones((2, 2)))


@pytest.mark.parametrize(
    "place", ["first", "in place of a tensor", "beside a tensor", "as an argument", "in BUILD"]
)
@pytest.mark.parametrize(("module", "name"), [("os", "system"), ("posix", "system"), ("builtins", "eval")])
@pytest.mark.fault(
    table="stored-files",
    case="PyTorch checkpoint that calls `os.system` or any other function",
    outcome="refused, nothing is executed",
)
def test_a_call_in_a_checkpoint_is_refused_and_not_run(
    tmp_path: Path, place: str, module: str, name: str
) -> None:
    trace = tmp_path / "trace"
    shell = f"touch {trace}"
    command = shell if name == "system" else f"__import__('os').system({shell!r})"
    evil = call(imported(module, name), text(command))
    valid = tensor(storage("s", 4), (4,))
    data = {
        "first": program(evil) + VALID,
        "in place of a tensor": with_tensor(evil),
        "beside a tensor": whole(mapping({"t": valid, "u": evil}), ONES),
        "as an argument": with_tensor(tensor(storage("s", 4), (4,)).replace(integer(0), evil, 1)),
        "in BUILD": whole(mapping({"t": valid}) + evil + b"b", ONES),
    }[place]
    assert f"expected tensors only, got '{module} {name}'" in refused(tmp_path / "a.pth", data)
    assert not trace.exists()
    pickle.loads(program(evil))  # the control
    assert trace.exists()


@pytest.mark.parametrize(
    "value",
    [
        call(imported("torch._utils", "_rebuild_sparse_tensor"), integer(1)),
        call(imported("torch", "load"), text("/etc/passwd")),
        call(imported("torch.storage", "_load_from_bytes"), b"B\x00\x00\x00\x00"),
        imported("torch", "IntStorage"),
        imported("fashionseg.errors", "UserError"),
        imported("collections", "OrderedDict.update"),
        text("os") + text("system") + b"\x93",  # STACK_GLOBAL
        b"\x82\x01",  # EXT1
        b"(" + imported("os", "system") + b"o",  # OBJ
        b"(ios\nsystem\n",  # INST
        b")" + imported("os", "system") + b"\x81",  # NEWOBJ
        b"Pos\n",  # PERSID
        b"G" + bytes(8),  # a float
        b"C\x01a",  # bytes
        b"\x8f",  # a set
        b"\xff",  # no opcode
    ],
)
@pytest.mark.fault(
    table="stored-files",
    case="PyTorch checkpoint with objects, sparse tensors or opcodes that tensors do not need",
    outcome="refused, nothing is executed",
)
def test_what_tensors_do_not_need_is_refused(tmp_path: Path, value: bytes) -> None:
    assert "not a whole checkpoint of tensors" in refused(tmp_path / "a.pth", with_tensor(value))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (VALID[:-1], "buffer is smaller than requested size"),
        (VALID[:-16], "buffer"),
        (VALID[:-24], "storage s: expected 4 numbers, got 0"),
        (with_tensor(tensor(storage("s", 5), (4,))), "storage s: expected 5 numbers, got 4"),
        (with_tensor(tensor(storage("s", 2**62), (4,))), "storage s: expected"),
        (with_tensor(tensor(storage("other", 4), (4,))), "the storages are not those of the tensors"),
        (with_tensor(tensor(storage("s", 4, "DoubleStorage"), (4,))), "buffer is smaller"),
        (with_tensor(tensor(storage("s", 4, "IntStorage"), (4,))), "got 'torch IntStorage'"),
        (with_tensor(tensor(storage("s", 4), (2,), offset=3)), r"shape \(2,\) that is not inside its storage"),
        (with_tensor(tensor(storage("s", 4), (5,))), "more numbers than the storages"),
        (with_tensor(tensor(storage("s", 4), (2, 2), (2, 2))), "not inside"),
        (with_tensor(tensor(storage("s", 4), (2,), (-1,), offset=3)), "not inside"),
        (with_tensor(tensor(storage("s", 4), (2,), offset=-1)), "not inside"),
        (with_tensor(tensor(storage("s", 4), (0,))), "not inside"),
        (with_tensor(tensor(storage("s", 4), (-4,))), "not inside"),
        (with_tensor(tensor(storage("s", 4), (10**6, 10**6), (0, 0))), "more numbers than the storages"),
        (with_tensor(tensor(storage("s", 4), (2**200,), (0,))), "more numbers than the storages"),
        (with_tensor(tensor(storage("s", 4), (1,), (2**200,))), "too large"),
        (with_tensor(tensor(storage("s", 4), (1,) * 9)), "at most 8 dimensions, got 9"),
        (with_tensor(integer(5)), "expected a tensor, got something else as 't'"),
        (whole(mapping({f"t{n}": tensor(storage("s", 4), (4,)) for n in range(2)}), ONES), "more numbers than"),
        (whole(integer(5), ONES), "has no attribute 'items'"),
    ],
)  # fmt: skip
@pytest.mark.fault(
    table="stored-files",
    case="PyTorch checkpoint: storage cut short, of another type, tensors that reach beyond it or claim terabytes",
    outcome="refused in one line, before memory is taken for it",
)
def test_tensors_that_do_not_fit_their_storage_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    assert re.search(message, refused(tmp_path / "a.pth", data))


def test_the_format_since_1_6_is_refused(tmp_path: Path) -> None:
    """A zip, whose names could point elsewhere; nothing of it is unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../evil", b"x")
        archive.writestr("archive/data.pkl", program(integer(1)))
    refused(tmp_path / "a.pth", buffer.getvalue())
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x02", b"hello", program(integer(5)) * 3, pickle.dumps({"t": 1}), VALID[:100]]
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path / "a.pth", data)


def test_any_end_cut_off_is_refused(tmp_path: Path) -> None:
    assert all(refused(tmp_path / "a.pth", VALID[:length]) for length in range(len(VALID)))


def nested(levels: int) -> bytes:
    """(x, x) where x = (y, y) and so on: a handful of opcodes, 2 ** levels numbers when written out."""
    value = integer(1)
    for level in range(levels):
        value += b"q" + bytes([level]) + b"h" + bytes([level]) + b"\x86"  # BINPUT, BINGET, TUPLE2
    return value


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "data",
    [
        whole(b"}" + nested(100) + integer(1) + b"s", ONES),  # hashed as a key
        whole(b"}(" + nested(100) + integer(1) + b"u", ONES),
        whole(mapping({"t": nested(100) + b"Q"}), ONES),  # printed as a storage
        whole(mapping({"t": call(nested(100))}), ONES),  # printed as a function
        with_tensor(tensor(storage("s", 4).replace(text("s"), nested(100)), (4,))),  # printed as a key
        VALID.replace(b"](" + text("s") + b"e", b"](" + nested(100) + nested(100) + b"e"),  # sorted
        with_tensor(nested(100)),
    ],
)
@pytest.mark.fault(
    table="stored-files",
    case="PyTorch checkpoint whose few opcodes describe 2^100 objects",
    outcome="refused at once",
)
def test_objects_that_explode_when_printed_hashed_or_compared_are_refused(
    tmp_path: Path, data: bytes
) -> None:
    refused(tmp_path / "a.pth", data)


def test_a_flood_of_opcodes_is_refused(tmp_path: Path) -> None:
    assert "expected at most 1000000 opcodes" in refused(
        tmp_path / "a.pth", program(b"(" + b"N" * 1_000_001 + b"t")
    )


def test_long_names_are_cut_in_the_message(tmp_path: Path) -> None:
    for data in (
        with_tensor(imported("x" * 10_000, "y")),
        whole(mapping({"\x07" * 10_000: sequence()}), ONES),
    ):
        assert len(refused(tmp_path / "a.pth", data)) < len(str(tmp_path)) + 400


def test_a_checkpoint_of_another_network_is_no_efficientnet(tmp_path: Path) -> None:
    from fashionseg.sources.imagenet import efficientnet_weights

    for name in ("fc.weight", "_blocks.0.evil.weight", "_blocks.weight", "_blocks.0._bn1.evil", "weight"):
        (tmp_path / "a.pth").write_bytes(checkpoint({name: np.ones((2, 2, 1, 1), np.float32)}))
        with pytest.raises(UserError, match="not an EfficientNet-Lite"):
            efficientnet_weights(tmp_path / "a.pth")
