"""Work on photos spread over the cores, with results in the order of the work."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from fashionseg.console import track
from fashionseg.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Below this, starting processes costs more than they save.
_MIN_PHOTOS = 400


def map_photos(
    function: Callable[[list[Item]], list[Result]],
    items: Sequence[Item],
    description: str,
    workers: int | None = None,
) -> list[Result]:
    """`function` on chunks of `items`, one result for each item, in order, whatever the number of workers.

    Args:
        function: a function of a module (it is sent to the workers by name); takes and returns lists of one length.
        items: one for each photo.
        description: beside the progress bar.
        workers: processes; None for one a core, or none at all where there is little to do.

    Raises:
        UserError: a worker process was killed.
    """
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if len(items) >= _MIN_PHOTOS else 1
    size = 64 if workers > 1 else max(len(items) // 20, 1)
    chunks = [list(items[start : start + size]) for start in range(0, len(items), size)]
    results = _in_processes(function, chunks, workers) if workers > 1 else map(function, chunks)
    return [result for chunk in track(results, description, total=len(chunks)) for result in chunk]


def _in_processes(
    function: Callable[[list[Item]], list[Result]], chunks: list[list[Item]], workers: int
) -> Iterator[list[Result]]:
    # Fresh processes, not forks: a fork of a process that runs TensorFlow's threads may hang.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            yield from pool.map(function, chunks)
    except BrokenProcessPool:
        raise UserError("a worker process was killed, probably for lack of memory") from None
