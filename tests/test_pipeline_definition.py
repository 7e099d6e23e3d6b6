"""dvc.yaml tells the truth: each stage depends on the code and the parameters it uses, and on no others.

A forgotten dependency is the worst kind of stale result, because nothing shows it; a needless one retrains for nothing.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from fashionseg.params import flatten, read_yaml

REPO = Path(__file__).resolve().parent.parent
SOURCE = REPO / "src"

# No output depends on these: how progress and errors are shown, where MLflow is, how a file is put in place, where
# the checkout lies, how TensorFlow is kept quiet. To depend on them would retrain for a changed message.
WITHOUT_EFFECT = {
    "fashionseg",
    "fashionseg.backend",
    "fashionseg.console",
    "fashionseg.data",  # of these two packages, their own docstrings
    "fashionseg.errors",
    "fashionseg.evaluation",
    "fashionseg.storage.atomic",
    "fashionseg.project",
    "fashionseg.stages",
    "fashionseg.tracking",
}

FROM_TRAINING_ON = ("train_heads", "finetune", "predict", "evaluate", "submit")
# What must run again when a key changes. Longest match counts.
STALE_AFTER = {
    "seed": ("split", *FROM_TRAINING_ON),
    "download": ("download", "decode", "split", *FROM_TRAINING_ON),
    "decode": ("decode", "split", *FROM_TRAINING_ON),
    "split": ("split", *FROM_TRAINING_ON),
    "model": FROM_TRAINING_ON,
    "model.pretrained": ("download", "decode", "split", *FROM_TRAINING_ON),  # it also downloads the weights
    "sampling": FROM_TRAINING_ON,
    "inference": ("predict", "evaluate", "submit"),
    "augment": FROM_TRAINING_ON,
    "loader": (),  # worker processes and prefetching change no byte
    "train": FROM_TRAINING_ON,
    "train.finetune": ("finetune", "predict", "evaluate", "submit"),
    "predict": ("predict", "evaluate", "submit"),
    "evaluate": ("evaluate", "submit"),  # the thresholds
    "submit": (),  # the message of an upload
    "tracking": (),
}


@dataclass(frozen=True)
class Stage:
    name: str
    cmd: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def module(self) -> str:
        return self.cmd.split()[2]


def names(entries: list) -> tuple[str, ...]:
    """`[a, {b: {cache: false}}]` -> `("a", "b")`."""
    return tuple(entry if isinstance(entry, str) else next(iter(entry)) for entry in entries)


def read_stages() -> dict[str, Stage]:
    stages = read_yaml(REPO / "dvc.yaml")["stages"]
    return {
        name: Stage(
            name,
            stage["cmd"],
            names(stage.get("deps", [])),
            names(stage.get("params", [])),
            tuple(path for kind in ("outs", "metrics", "plots") for path in names(stage.get(kind, []))),
        )
        for name, stage in stages.items()
    }


STAGES = read_stages()


# --- code ----------------------------------------------------------------------------------------------------------


def file_of(module: str) -> Path | None:
    """The file of a module or package of ours."""
    path = SOURCE / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below `node`, also inside functions (lazy imports), but not those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from statements(child)


@cache
def imports_of(module: str) -> frozenset[str]:
    """The modules of ours that `module` itself imports, each with the packages above it."""
    path = file_of(module)
    assert path is not None, f"{module}: no such module"
    found: set[str] = set()
    for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{name.name}" for name in node.names}
    ours = {name for name in found if name.split(".")[0] == "fashionseg" and file_of(name) is not None}
    return frozenset(
        ".".join(name.split(".")[:depth]) for name in ours for depth in range(1, name.count(".") + 2)
    )


def all_imports(module: str) -> set[str]:
    """The modules that run with `module`, itself included; what has no effect on outputs is not followed."""
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [other for other in imports_of(name) if not is_without_effect(other)]
    return reached


def is_without_effect(module: str) -> bool:
    return module in WITHOUT_EFFECT or module.startswith("fashionseg.tracking.")


def relative(module: str) -> str:
    path = file_of(module)
    assert path is not None
    return path.relative_to(REPO).as_posix()


def covers(dependency: str, path: str) -> bool:
    return path == dependency or path.startswith(f"{dependency}/")


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_each_stage_is_a_module_and_depends_on_all_it_imports(stage: Stage) -> None:
    assert stage.cmd.startswith(f"python -m fashionseg.stages.{stage.name} ")
    used = {relative(module) for module in all_imports(stage.module)}
    missing = {path for path in used if not any(covers(dependency, path) for dependency in stage.deps)}
    assert missing == set(), f"add to deps of {stage.name} in dvc.yaml"


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_no_stage_depends_on_code_it_does_not_import(stage: Stage) -> None:
    used = {relative(module) for module in all_imports(stage.module)}
    code = {dependency for dependency in stage.deps if dependency.startswith("src/")}
    needless = {dependency for dependency in code if not any(covers(dependency, path) for path in used)}
    assert needless == set(), f"remove from deps of {stage.name} in dvc.yaml"


def test_lazy_imports_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the tests above."""
    package = tmp_path / "fashionseg" / "data"
    package.mkdir(parents=True)
    for path in (
        package.parent / "__init__.py",
        package / "__init__.py",
        package / "rle.py",
        package / "x.py",
    ):
        path.touch()
    (package.parent / "stage.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import fashionseg.data.x\n"
        "def f():\n    from fashionseg.data import rle\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    assert imports_of("fashionseg.stage") == {"fashionseg", "fashionseg.data", "fashionseg.data.rle"}


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_paths_in_cmd_are_dependencies_or_outputs(stage: Stage) -> None:
    """A path that a stage reads or writes behind DVC's back is in no hash."""
    declared = {*stage.deps, *stage.outs}
    for flag, path in re.findall(r"--(\S+) (\S+)", stage.cmd):
        inside = path == "reports" or any(covers(path, other) or covers(other, path) for other in declared)
        assert inside, f"{stage.name}: --{flag} {path} is neither in deps nor in outs"


# --- parameters ----------------------------------------------------------------------------------------------------


def is_below(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def stale_after(key: str) -> set[str]:
    """Stages that a change of `key` makes stale: those that name it, and all that depend on their outputs."""
    stale: set[str] = set()
    for stage in STAGES.values():
        if any(is_below(key, section) for section in stage.params):
            stale |= {stage.name, *downstream(stage)}
    return stale


def downstream(stage: Stage) -> set[str]:
    following = [
        other
        for other in STAGES.values()
        if any(covers(out, path) or covers(path, out) for out in stage.outs for path in other.deps)
    ]
    return {other.name for other in following}.union(*(downstream(other) for other in following))


@pytest.mark.parametrize("key", flatten(read_yaml(REPO / "params.yaml")))
def test_each_parameter_makes_stale_what_it_decides_and_nothing_else(key: str) -> None:
    section = max((section for section in STALE_AFTER if is_below(key, section)), key=len)
    assert stale_after(key) == set(STALE_AFTER[section])


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_each_stage_names_the_parameters_it_reads(stage: Stage) -> None:
    """`params.evaluate.folds` in a stage's module asks for `evaluate` in its params."""
    modules = [module for module in all_imports(stage.module) if module.startswith("fashionseg.stages.")]
    text = "".join((REPO / relative(module)).read_text() for module in modules)
    known = read_yaml(REPO / "params.yaml")
    read = {name for name in re.findall(r"\bparams\.(\w+(?:\.\w+)*)", text) if name.split(".")[0] in known}
    without_effect = {"tracking", "submit", "loader"}
    undeclared = {
        name
        for name in read
        if name.split(".")[0] not in without_effect
        and not any(is_below(name, section) or is_below(section, name) for section in stage.params)
    }
    assert undeclared == set()


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_every_parameter_that_a_stage_names_exists(stage: Stage) -> None:
    keys = list(flatten(read_yaml(REPO / "params.yaml")))
    assert [section for section in stage.params if not any(is_below(key, section) for key in keys)] == []


# --- the same through DVC ------------------------------------------------------------------------------------------

# Raw data has photos for training and for the test; every other folder a single file.
STUB = """
import pathlib, sys
stage, *outs = sys.argv[1:]
params = pathlib.Path("params.yaml").read_text()
for out in map(pathlib.Path, outs):
    places = ("train/a.jpg", "train/b.jpg", "test/c.jpg") if out.name == "raw" else ("content",)
    for file in [out] if out.suffix else [out / place for place in places]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(params if out.suffix != ".json" else "{}" + params.replace("\\n", " "))
with open("ran", "a") as ran:
    ran.write(stage + " ")
"""


def dvc(*words: str) -> str:
    ended = subprocess.run([sys.executable, "-m", "dvc", *words], check=True, capture_output=True, text=True)
    return ended.stdout


def stages_run_by_repro() -> list[str]:
    Path("ran").write_text("")
    dvc("repro")
    return sorted(Path("ran").read_text().split())


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our graph, with stages that only write their outputs, in the current folder; all of them have run."""
    stages = read_yaml(REPO / "dvc.yaml")["stages"]
    for name, stage in stages.items():
        stage["cmd"] = f"{sys.executable} stub.py {name} {' '.join(STAGES[name].outs)}"
        stage["deps"] = [path for path in STAGES[name].deps if not path.startswith("src/")]
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (tmp_path / "stub.py").write_text(STUB)
    shutil.copy(REPO / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    dvc("init", "--no-scm", "-q")
    assert stages_run_by_repro() == sorted(STAGES)


@pytest.mark.pipeline
@pytest.mark.usefixtures("graph")
def test_dvc_runs_just_the_stale_stages() -> None:
    assert stages_run_by_repro() == []
    for change in (
        "evaluate.folds=4",
        "train.finetune.epochs=3",
        "train.heads.epochs=7",
        "tracking.experiment=other",
    ):
        key = change.partition("=")[0]
        text = Path("params.yaml").read_text()
        subprocess.run(
            [sys.executable, "-m", "fashionseg.cli", "preset", change], check=True, capture_output=True
        )
        assert Path("params.yaml").read_text() != text
        assert stages_run_by_repro() == sorted(stale_after(key)), change


@pytest.mark.pipeline
@pytest.mark.usefixtures("graph")
@pytest.mark.parametrize(
    ("folder", "readers"), [("train", ["decode"]), ("test", ["decode", "submit"])], ids=["train", "test"]
)
def test_a_photo_changed_added_or_removed_is_noticed(folder: str, readers: list[str]) -> None:
    """By the stage that made it and by those that read it: `submit` wants the names of the test photos alone."""
    photo = next((Path("data/raw") / folder).iterdir())
    content = photo.read_bytes()
    added = photo.with_name("added.jpg")

    def stale() -> list[str]:
        return sorted(json.loads(dvc("status", "--json")))

    photo.write_bytes(b"changed")
    assert stale() == sorted(["download", *readers])
    photo.unlink()
    assert stale() == sorted(["download", *readers])
    photo.write_bytes(content)
    assert stale() == []
    added.write_bytes(b"new")
    assert stale() == sorted(["download", *readers])
    dvc("commit", "--force", "download")  # as if it had downloaded one photo more
    assert stages_run_by_repro() == readers
