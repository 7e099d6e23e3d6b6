"""Device time of a training step by operation: JAX's profiler over a few steps."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fashionseg.storage.atomic import atomic_write

_SHOWN = 40


@dataclass(frozen=True)
class Operation:
    """One kernel run: `name` of the operation in XLA's program, `start` and `end` in nanoseconds."""

    name: str
    start: float
    end: float


def profile_steps(run_steps: Callable[[], object], folder: Path) -> list[Operation]:
    """Operations of the device while `run_steps` ran, ordered by start; Keras runs on JAX."""
    import jax

    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # tracing every Python call would slow down the steps
    with jax.profiler.trace(str(folder), profiler_options=options):
        run_steps()
    path = sorted(folder.glob("plugins/profile/*/*.xplane.pb"))[-1]
    return read_operations(path)


def read_operations(path: Path) -> list[Operation]:
    """Operations in a file of JAX's profiler: of the GPUs, or of the CPU without one."""
    import jax

    planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
    gpus = [plane for plane in planes if plane.name.startswith("/device:GPU")]
    found = []
    for plane in gpus or planes:
        for line in plane.lines:
            for event in line.events:
                if name := next((str(value) for key, value in event.stats if key == "hlo_op"), ""):
                    found.append(Operation(name, event.start_ns, event.start_ns + event.duration_ns))
    return sorted(found, key=lambda operation: operation.start)


def busy_share(operations: Sequence[Operation]) -> float:
    """Share of the time, first start to last end, in which some operation ran; `operations` are sorted by start."""
    if not operations:
        return 0.0
    busy, reached = 0.0, operations[0].start
    for operation in operations:
        busy += max(0.0, operation.end - max(operation.start, reached))
        reached = max(reached, operation.end)
    return busy / max(reached - operations[0].start, 1e-9)


def by_kind(operations: Iterable[Operation]) -> list[tuple[str, float, int]]:
    """Kind (the name without its number), seconds and runs, longest first."""
    seconds: dict[str, float] = defaultdict(float)
    runs: dict[str, int] = defaultdict(int)
    for operation in operations:
        kind = re.sub(r"(\.\d+)+$", "", operation.name)
        seconds[kind] += (operation.end - operation.start) / 1e9
        runs[kind] += 1
    return sorted(((kind, seconds[kind], runs[kind]) for kind in seconds), key=lambda row: -row[1])


def write_profile(operations: Sequence[Operation], steps: int, path: Path) -> None:
    """A Markdown table of kinds and one of single operations, in milliseconds per step."""
    total = sum(operation.end - operation.start for operation in operations) / 1e9
    lines = [
        f"{steps} steps; device busy {busy_share(operations):.1%} of the time; "
        f"{1000 * total / steps:.1f} ms of operations per step",
        "",
    ]
    # `by_kind` drops a number at the end of a name; a trailing blank keeps it.
    single = [replace(operation, name=f"{operation.name} ") for operation in operations]
    for title, rows in (
        ("kind", by_kind(operations)),
        ("operation", by_kind(single)),
    ):
        lines += [f"| {title} | ms per step | share | runs per step |", "|---|---|---|---|"]
        for name, seconds, runs in rows[:_SHOWN]:
            share = seconds / max(total, 1e-12)
            lines.append(
                f"| {name.strip()} | {1000 * seconds / steps:.3f} | {share:.1%} | {runs / steps:.1f} |"
            )
        lines.append("")
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
