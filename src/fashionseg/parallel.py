"""Parallel `map` over worker processes with ordered results and flat memory.

Our own because joblib's ordered generator dispatches every item at once, however few results have been consumed.
"""

from __future__ import annotations

import ast
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import cv2

from fashionseg.console import track
from fashionseg.errors import UserError

A = TypeVar("A")
B = TypeVar("B")

_PENDING_PER_WORKER = 8
# Below this, starting processes costs more than they save.
_MIN_PHOTOS = 400
_CHUNK = 64
# One process per core; CPU affinity is the only setting.
TO_SAVE_MEMORY = "run it again on fewer cores, as in `taskset -c 0 COMMAND`"


def lacks_memory(error: BaseException) -> bool:
    """Whether memory ran out, in Python's words or in OpenCV's, whose error loses its code between processes."""
    return isinstance(error, MemoryError) or (
        isinstance(error, cv2.error) and "Insufficient memory" in str(error)
    )


def available_cores() -> int:
    """Cores that this process may use (fewer than the machine's in a container)."""
    return len(os.sched_getaffinity(0))


def ordered_map(
    function: Callable[[A], B], items: Iterable[A], workers: int, to_save_memory: str
) -> Iterator[B]:
    """`map(function, items)` over worker processes: ordered results, only a few items in progress at a time.

    `to_save_memory` tells the user how to run fewer worker processes.

    Raises:
        UserError: the script that calls has no main guard, a worker process was killed from outside, or memory ran out.
    """
    if workers > 1:
        require_main_guard()
    try:
        yield from _ordered_map(function, items, workers)
    except BrokenProcessPool:
        raise UserError(f"a worker process was killed; if memory ran out, {to_save_memory}") from None
    except Exception as error:
        if not lacks_memory(error):
            raise
        raise UserError(f"out of memory; {to_save_memory}") from None


def require_main_guard() -> None:
    """Checks that a new process, which imports the main script first, would not run this very call again.

    Raises:
        UserError: the call comes from the top level of a script, outside `if __name__ == "__main__":`, or the script
            from standard input.
    """
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None:  # a notebook, a prompt, `python -c`: nothing is imported again
        return
    if main.__spec__ is None and not Path(file).exists():
        raise UserError(
            f"{file}: worker processes cannot read the script again; save it as a file and run that"
        )
    frame = sys._getframe()
    while frame.f_back is not None and not _is_top_level(frame.f_code.co_name, frame.f_globals, main):
        frame = frame.f_back
    if not _is_top_level(frame.f_code.co_name, frame.f_globals, main):  # another thread than the main one
        return
    script, line = Path(frame.f_code.co_filename), frame.f_lineno
    try:
        source = ast.parse(script.read_bytes())
    except (OSError, SyntaxError, ValueError):  # not a plain script
        return
    conditions = [
        ast.dump(node.test)
        for node in ast.walk(source)
        if isinstance(node, ast.If) and node.lineno <= line <= (node.end_lineno or line)
    ]
    if not any("__name__" in condition or "process" in condition for condition in conditions):
        raise UserError(
            f"{script}: line {line}: expected the call that starts worker processes inside "
            '`if __name__ == "__main__":`, got it at the top level of the script, which every worker process runs again'
        )


def _is_top_level(name: str, variables: dict[str, Any], main: Any) -> bool:
    return name == "<module>" and variables is vars(main)


def _ordered_map(function: Callable[[A], B], items: Iterable[A], workers: int) -> Iterator[B]:
    if workers == 1:
        yield from map(function, items)
        return
    # Not forked: the parent has threads (Arrow's), and a forked child may wait for a thread that it does not have.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (function,)) as pool:
        pending: deque[Future[Any]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(_run_in_worker, item))
                if len(pending) >= workers * _PENDING_PER_WORKER:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def map_photos(
    function: Callable[[A], B], items: Sequence[A], description: str, workers: int | None = None
) -> list[B]:
    """`function` of each item, in order, whatever the number of workers; a process gets a chunk at a time.

    Args:
        function: a module-level function (pickled by name).
        items: one for each photo.
        description: label of the progress bar.
        workers: processes; None for one per core, or none for few items.

    Raises:
        UserError: a worker process was killed.
    """
    if workers is None:
        workers = available_cores() if len(items) >= _MIN_PHOTOS else 1
    chunks = [list(items[start : start + _CHUNK]) for start in range(0, len(items), _CHUNK)]
    of_chunk = partial(_map_chunk, function)
    results = track(ordered_map(of_chunk, chunks, workers, TO_SAVE_MEMORY), description, total=len(chunks))
    return [result for chunk in results for result in chunk]


def _map_chunk(function: Callable[[A], B], chunk: list[A]) -> list[B]:
    return [function(item) for item in chunk]


_worker_function: Callable[[Any], Any]


def _start_worker(function: Callable[[Any], Any]) -> None:
    global _worker_function
    _worker_function = function
    cv2.setNumThreads(1)  # the other workers use the other cores


def _run_in_worker(item: Any) -> Any:
    return _worker_function(item)
