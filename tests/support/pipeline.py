"""dvc.yaml as its tests see it: the stages, and which of them a parameter makes stale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.dvc_deps import stage_module

from fashionseg.params import read_yaml

REPO = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Stage:
    name: str
    cmd: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]

    @property
    def module(self) -> str:
        return stage_module(self.cmd)


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


def covers(dependency: str, path: str) -> bool:
    return path == dependency or path.startswith(f"{dependency}/")


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
