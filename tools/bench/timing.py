"""Timing: alternating repeats, so that a disturbance affects both sides of a comparison; load of other processes."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median


def in_turns(
    functions: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
    warm_up: bool = True,
    limit_seconds: float = float("inf"),
) -> dict[str, list[float]]:
    """Seconds of each call: a, b, a, b, ... after one uncounted call of each.

    No round starts after `limit_seconds`, but one is always counted.
    """
    start_of_all = time.perf_counter()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(-1 if warm_up else 0, repeats):
        if repeat > 0 and time.perf_counter() - start_of_all > limit_seconds:
            break
        for name, function in functions.items():
            start = clock()
            function()
            if repeat >= 0:
                seconds[name].append(clock() - start)
    return seconds


def spread(seconds: list[float], scale: float = 1.0, unit: str = "s") -> str:
    """`best 1.20, median 1.25 s of 3`."""
    best, middle = min(seconds) * scale, median(seconds) * scale
    return f"best {best:.3g}, median {middle:.3g} {unit} of {len(seconds)}"


class OthersLoad:
    """Cores that other processes kept busy since construction: a timing on a busy machine is not a fair one."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._busy, self._own = _busy_seconds(), _own_seconds()

    def cores(self) -> float:
        """Mean over the time since; our own child processes that still run count as others."""
        wall = max(time.perf_counter() - self._start, 1e-9)
        return max(0.0, (_busy_seconds() - self._busy - (_own_seconds() - self._own)) / wall)


def _busy_seconds() -> float:
    """Of all cores since boot, without idle time and waiting for disks."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]
    user, nice, system, _, _, irq, softirq, steal = (int(field) for field in fields)
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))


def processor() -> str:
    """`2 cores of AMD EPYC ...`."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return f"{len(os.sched_getaffinity(0))} cores of {names[0] if names else os.uname().machine}"
