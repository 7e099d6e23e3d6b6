"""Work on photos spread over the cores, with results in the order of the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from fashionseg.console import track
from fashionseg.data.pool import available_cores, ordered_map

Item = TypeVar("Item")
Result = TypeVar("Result")

# Below this, starting processes costs more than they save.
_MIN_PHOTOS = 400
_CHUNK = 64
# One process a core; what a process may use is the only setting.
_TO_SAVE_MEMORY = "run it again on fewer cores, as in `taskset -c 0 COMMAND`"


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
        workers = available_cores() if len(items) >= _MIN_PHOTOS else 1
    chunks = [list(items[start : start + _CHUNK]) for start in range(0, len(items), _CHUNK)]
    results = track(ordered_map(function, chunks, workers, _TO_SAVE_MEMORY), description, total=len(chunks))
    return [result for chunk in results for result in chunk]
