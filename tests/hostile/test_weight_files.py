"""HDF5 files that hold more, or less, than weights; and that nothing of ours unpickles what it reads."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fashionseg.errors import UserError
from fashionseg.model.folder import load_weights
from fashionseg.model.weights import read_groups

SOURCE = Path(__file__).parents[2] / "src"
NAMES = ("conv1/kernel:0", "conv1/bias:0")


class Evil:
    """Unpickled, it leaves a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of one group with two arrays."""
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(["conv1"], "S")
        group = file.create_group("conv1")
        group.attrs["weight_names"] = np.array(NAMES, "S")
        for name in NAMES:
            group[name] = np.ones((2, 3), np.float32)
    return path


def replace_kernel(path: Path, make: Callable[[h5py.Group, str], object]) -> None:
    with h5py.File(path, "r+") as file:
        del file["conv1"][NAMES[0]]
        make(file["conv1"], NAMES[0])


def link_outside(group: h5py.Group, name: str) -> None:
    group[name] = h5py.ExternalLink("elsewhere.h5", "/secret")


def link_inside(group: h5py.Group, name: str) -> None:
    group[name] = h5py.SoftLink(f"/conv1/{NAMES[1]}")


def link_back(group: h5py.Group, name: str) -> None:
    group[name] = group


def claim_terabytes(group: h5py.Group, name: str) -> None:
    group.create_dataset(name, (10**5, 10**5, 100), np.float32, chunks=(100, 100, 100))


def lie_elsewhere(group: h5py.Group, name: str) -> None:
    group.create_dataset(name, (2, 3), np.float32, external=[("/etc/passwd", 0, 24)])


def lie_in_another_file(group: h5py.Group, name: str) -> None:
    layout = h5py.VirtualLayout((2, 3), np.float32)
    layout[:] = h5py.VirtualSource("elsewhere.h5", "secret", (2, 3))
    group.create_virtual_dataset(name, layout)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (link_outside, "expected an array or a group, got a link"),
        (link_inside, "expected an array or a group, got a link"),
        (link_back, "expected each group once"),
        (claim_terabytes, "claims far more numbers than the file has bytes"),
        (lie_elsewhere, "expected an array in this file, got one in another file"),
        (lie_in_another_file, "expected an array in this file, got one in another file"),
        (lambda group, name: group.create_dataset(name, data="text"), "expected an array of numbers, got object"),
        (lambda group, name: group.create_dataset(name, data=1j), "expected an array of numbers, got complex"),
        (lambda group, name: group.create_dataset(name, data=h5py.Empty("f")), "expected an array of numbers"),
        (lambda group, name: group.create_dataset(name, data=[1, 2]), "expected an array of floating-point"),
        (lambda group, name: group.create_dataset(name, data=1.0), "expected an array of floating-point"),
        (lambda group, name: group.create_group(name), "expected an array of floating-point"),
        (lambda group, name: None, "not a whole HDF5 file: .*kernel:0"),
    ],
)  # fmt: skip
@pytest.mark.fault(
    table="stored-files",
    case="weights: links, objects, terabytes claimed",
    outcome="refused before they are read",
)
def test_what_is_no_array_of_weights_is_refused_in_one_line(
    path: Path, make: Callable[[h5py.Group, str], object], message: str
) -> None:
    assert set(read_groups(path)["conv1"]) == set(NAMES)  # the control
    replace_kernel(path, make)
    with pytest.raises(UserError, match=message) as error:
        read_groups(path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "names", [np.array(["conv1", "conv1"], "S"), np.array([b"\xff"], "S"), 5, h5py.Empty("f"), "conv1\n"]
)
def test_damaged_lists_of_names_are_refused_in_one_line(path: Path, names: object) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs["layer_names"]
        file.attrs["layer_names"] = names
    with pytest.raises(UserError, match="not a whole HDF5 file") as error:
        read_groups(path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("kind", ["a pickle", "npz", "in HDF5"])
@pytest.mark.fault(
    table="stored-files", case="weights with a pickled object", outcome="refused, not executed"
)
def test_a_pickled_object_is_refused_and_not_run(path: Path, tmp_path: Path, kind: str) -> None:
    trace = tmp_path / "trace"
    data = pickle.dumps(Evil(trace))
    match kind:
        case "a pickle":
            path.write_bytes(data)
        case "npz":
            with path.open("wb") as file:
                np.savez(file, **{NAMES[0]: np.array([Evil(trace)], object)})
        case "in HDF5":
            replace_kernel(path, lambda group, name: group.create_dataset(name, data=np.void(data)))
    for read in (
        read_groups,
        lambda path: load_weights(None, path),
    ):  # refused before the network is looked at
        with pytest.raises(UserError):
            read(path)
    assert not trace.exists()
    pickle.loads(data)  # the control
    assert trace.exists()


UNPICKLING = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


def test_nothing_of_ours_unpickles() -> None:
    """No module that unpickles is imported, and no reader is told that it may."""
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in unpicklings(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def unpicklings(code: str) -> list[ast.AST]:
    """The places of `code` that unpickle; `torch.load(..., weights_only=True)` makes tensors and no object else."""
    nodes = list(ast.walk(ast.parse(code)))
    harmless = {id(node.func) for node in nodes if isinstance(node, ast.Call) and loads_weights_only(node)}
    return [node for node in nodes if unpickles(node) and id(node) not in harmless]


def loads_weights_only(call: ast.Call) -> bool:
    return any(
        keyword.arg == "weights_only"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is True
        for keyword in call.keywords
    )


def unpickles(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return any(alias.name.split(".")[0] in UNPICKLING for alias in names)
        case ast.ImportFrom(module="torch", names=names):
            return any(alias.name == "load" for alias in names)
        case ast.ImportFrom(module=str(module), names=names):
            return module.split(".")[0] in UNPICKLING or any(alias.name == "read_pickle" for alias in names)
        case ast.Attribute(value=ast.Name(id="torch"), attr="load"):
            return True
        case ast.keyword(arg="allow_pickle", value=ast.Constant(value=False)):
            return False
        case ast.keyword(arg="allow_pickle"):
            return True
        case ast.Attribute(attr="read_pickle" | "to_pickle"):
            return True
    return False


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import joblib as j",
        "from torch import load",
        "import torch\ntorch.load(f)",
        "torch.load(f, weights_only=False)",
        "torch.load(f, weights_only=flag)",
        "np.load(f, allow_pickle=True, weights_only=True)",
        "import numpy as np\nnp.load(f, allow_pickle=True)",
        "np.load(f, allow_pickle=flag)",
        "import pandas as pd\npd.read_pickle(f)",
    ],
)
def test_the_check_above_can_fail(code: str) -> None:
    assert unpicklings(code)


def test_weights_alone_are_no_objects() -> None:
    assert unpicklings("torch.load(f, weights_only=True)") == []
