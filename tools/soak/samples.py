"""Memory and open files of a process tree, sampled every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Sample:
    """`rss_mib` is the sum of the processes' resident memory; shared pages count for each process."""

    seconds: float
    rss_mib: float
    open_files: int
    processes: int


def watch(pid: int, interval: float, is_over: Callable[[], bool]) -> Iterator[Sample]:
    """A sample every `interval` seconds until `is_over` or until the process ends."""
    start = time.monotonic()
    try:
        root = psutil.Process(pid)
        while not is_over() and root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            yield _sample(root, time.monotonic() - start)
            time.sleep(interval)
    except psutil.NoSuchProcess:
        return


def _sample(root: psutil.Process, seconds: float) -> Sample:
    rss, files, processes = 0, 0, 0
    for process in [root, *root.children(recursive=True)]:
        try:
            own_rss, own_files = process.memory_info().rss, process.num_fds()
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # ended meanwhile
            continue
        rss, files, processes = rss + own_rss, files + own_files, processes + 1
    return Sample(seconds, rss / 2**20, files, processes)
