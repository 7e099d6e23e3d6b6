"""Dependencies in dvc.yaml: each stage names the code and the parameters that it uses, and no others.

A missing dependency leaves stale results that nothing shows; a needless one retrains for nothing.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tools.__main__ import main
from tools.dvc_deps import MOST, ImportGraph, code_deps, has_effect, rewrite

from fashionseg.params import flatten, read_yaml
from pipeline import REPO, STAGES, Stage, covers, is_below, stale_after

GRAPH = ImportGraph(REPO / "src")

FROM_TRAINING_ON = ("train_heads", "finetune", "predict", "evaluate", "submit")
# What must run again when a key changes. Longest match counts.
STALE_AFTER = {
    "seed": FROM_TRAINING_ON,
    "download": ("download", "decode", "pose", "split", *FROM_TRAINING_ON),
    "download.source": ("source", "download", "decode", "pose", "split", *FROM_TRAINING_ON),
    "download.folder": ("source", "download", "decode", "pose", "split", *FROM_TRAINING_ON),
    "download.annotations": ("source", "download", "decode", "pose", "split", *FROM_TRAINING_ON),
    "decode": ("decode", "pose", "split", *FROM_TRAINING_ON),
    "pose": ("pose", *FROM_TRAINING_ON),
    "split": ("split", *FROM_TRAINING_ON),
    "model": FROM_TRAINING_ON,
    "model.pretrained": ("pretrained", *FROM_TRAINING_ON),
    "model.backbone.name": ("pretrained", *FROM_TRAINING_ON),  # ImageNet has weights for each
    "sampling": FROM_TRAINING_ON,
    "sampling.max_gt_instances": (
        "decode",
        "pose",
        "split",
        *FROM_TRAINING_ON,
    ),  # counted by the decode report
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


# --- code ----------------------------------------------------------------------------------------------------------


def code_of(stage: Stage) -> set[str]:
    return {dependency for dependency in stage.deps if dependency.startswith("src/")}


def path_of(module: str) -> str:
    path = GRAPH.file(module)
    assert path is not None
    return path.relative_to(REPO).as_posix()


def test_code_dependencies_are_what_the_tool_writes() -> None:
    text = (REPO / "dvc.yaml").read_text(encoding="utf-8")
    assert rewrite(text, GRAPH) == text, "run `python -m tools dvc-deps`"


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_each_stage_is_a_module_of_its_name(stage: Stage) -> None:
    assert stage.cmd.startswith(f"python -m fashionseg.stages.{stage.name} ")


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_no_module_with_an_effect_is_missing(stage: Stage) -> None:
    used = {path_of(module) for module in GRAPH.reached(stage.module)}
    missing = {path for path in used if not any(covers(dependency, path) for dependency in stage.deps)}
    assert [path for path in missing if not path.endswith("__init__.py")] == []


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_no_dependency_is_needless(stage: Stage) -> None:
    """Of a package most modules are used."""
    used = {path_of(module) for module in GRAPH.reached(stage.module)}
    for dependency in code_of(stage):
        files = [dependency]
        if (REPO / dependency).is_dir():
            files = [str(path.relative_to(REPO)) for path in (REPO / dependency).glob("[!_]*.py")]
        assert len(used.intersection(files)) >= MOST * len(files), dependency


@pytest.mark.parametrize("name", ["source", "download", "pretrained", "decode", "split"])
def test_modules_that_are_really_imported_are_dependencies(name: str) -> None:
    """The control of the reading of imports; of the stages that need no TensorFlow."""
    code = (
        f"import sys, {STAGES[name].module}; print(*(m for m in sys.modules if m.startswith('fashionseg.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=REPO)
    loaded = {path_of(module) for module in done.stdout.split() if has_effect(module)}
    assert len(loaded) > 2
    assert {
        path
        for path in loaded
        if not path.endswith("__init__.py") and not any(covers(dep, path) for dep in STAGES[name].deps)
    } == set()


@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("prepare/csv_index.py", {"decode", "submit"}),
        (
            "prepare/split.py",
            {"decode", "split"},
        ),  # as part of the package; `decode` gives the same bytes again
        ("params/__init__.py", set()),
        ("storage/atomic.py", set()),
        ("tracking/journal.py", set()),
        ("console.py", set()),
    ],
)
def test_an_edit_reruns_no_training_that_does_not_use_it(path: str, stages: set[str]) -> None:
    edited = f"src/fashionseg/{path}"
    assert (REPO / edited).is_file()
    assert {
        stage.name for stage in STAGES.values() if any(covers(dep, edited) for dep in code_of(stage))
    } == stages


@pytest.fixture
def package(tmp_path: Path) -> ImportGraph:
    """A stage that imports lazily, most of one package and a file of another."""
    for path, text in {
        "stages/a.py": (
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    import fashionseg.rare.c\n"
            "import fashionseg.console, fashionseg.most.a\n"
            "def f():\n    from fashionseg.most import b\n    import fashionseg.rare.a\n"
        ),
        "most/a.py": "import fashionseg.top",
        "most/b.py": "",
        "most/c.py": "import fashionseg.rare.b",
        "rare/a.py": "",
        "rare/b.py": "",
        "rare/c.py": "",
        "top.py": "",
        "console.py": "import fashionseg.rare.b",
    }.items():
        file = tmp_path / "src/fashionseg" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(text)
    return ImportGraph(tmp_path / "src")


def test_lazy_imports_count_and_those_for_type_checkers_do_not(package: ImportGraph) -> None:
    assert package.imports("fashionseg.stages.a") == {
        "fashionseg",
        *("fashionseg.console", "fashionseg.most", "fashionseg.most.a", "fashionseg.most.b"),
        *("fashionseg.rare", "fashionseg.rare.a"),
    }


def test_dependencies_are_packages_where_most_is_used_and_files_else(package: ImportGraph) -> None:
    assert code_deps(package, "fashionseg.stages.a") == [
        "src/fashionseg/stages/a.py",
        "src/fashionseg/most",
        "src/fashionseg/rare/a.py",
        "src/fashionseg/top.py",
    ]


def test_rewriting_keeps_comments_and_data(package: ImportGraph) -> None:
    text = (
        "# The story.\nstages:\n  a:\n"
        "    cmd: >-\n      python -m fashionseg.stages.a --raw data/raw\n      --out out\n"
        "    deps:\n      - src/fashionseg/gone.py\n      - data/raw  # photos\n"
        "    outs:\n      - out\n\n# The end.\n"
    )
    rewritten = rewrite(text, package)
    written = "".join(f"      - {path}\n" for path in code_deps(package, "fashionseg.stages.a"))
    assert rewritten == text.replace("      - src/fashionseg/gone.py\n", written)
    assert rewrite(rewritten, package) == rewritten


def test_the_check_fails_on_an_outdated_file(
    package: ImportGraph, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = package.source.parent
    monkeypatch.chdir(root)
    (root / "params.yaml").touch()
    (root / "dvc.yaml").write_text(
        "stages:\n  a:\n    cmd: python -m fashionseg.stages.a\n    deps:\n      - src/x.py\n"
    )
    assert main(["dvc-deps", "--check"]) == 1
    printed = capsys.readouterr().out
    assert "-      - src/x.py" in printed
    assert "outdated code dependencies; run `python -m tools dvc-deps`" in printed
    assert main(["dvc-deps"]) == 0
    assert main(["dvc-deps", "--check"]) == 0


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_paths_in_cmd_are_dependencies_or_outputs(stage: Stage) -> None:
    """A path that a stage reads or writes behind DVC's back is in no hash."""
    declared = {*stage.deps, *stage.outs}
    for flag, path in re.findall(r"--(\S+) (\S+)", stage.cmd):
        inside = path == "reports" or any(covers(path, other) or covers(other, path) for other in declared)
        assert inside, f"{stage.name}: --{flag} {path} is neither in deps nor in outs"


# --- parameters ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", flatten(read_yaml(REPO / "params.yaml")))
def test_each_parameter_makes_stale_what_it_decides_and_nothing_else(key: str) -> None:
    section = max((section for section in STALE_AFTER if is_below(key, section)), key=len)
    assert stale_after(key) == set(STALE_AFTER[section])


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_each_stage_names_the_parameters_it_reads(stage: Stage) -> None:
    """`params.evaluate.folds` in a stage's module asks for `evaluate` in its params."""
    modules = [module for module in GRAPH.reached(stage.module) if module.startswith("fashionseg.stages.")]
    text = "".join((REPO / path_of(module)).read_text() for module in modules)
    known = read_yaml(REPO / "params.yaml")
    read = {name for name in re.findall(r"\bparams\.(\w+(?:\.\w+)*)", text) if name.split(".")[0] in known}
    keys = flatten(read_yaml(REPO / "params.yaml"))
    read = {
        name for name in read if any(is_below(key, name) for key in keys)
    }  # not what is computed from them
    without_effect = {"tracking", "submit", "loader"}
    if stage.name in ("train_heads", "finetune"):  # a network is built with them, and trains without
        without_effect.add("inference")
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
