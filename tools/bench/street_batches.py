"""Endless augmented training batches from our loader for both sides."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from fashionseg.data.loader import TrainingBatches
from fashionseg.params import Params, changed
from tools.bench.by_the_clock import Progress
from tools.bench.settings import loader_workers
from tools.bench.street_run import DECODED, StreetRun, read_ids

A = TypeVar("A")
B = TypeVar("B")


@contextmanager
def street_batches(folder: Path, run: StreetRun, params: Params, done: Progress) -> Iterator[TrainingBatches]:
    """The batches from the epoch after `done`; worker processes end with the block."""
    training, _ = read_ids(folder)
    epochs = -(-done.steps * run.batch_size // len(training))
    loader = changed(params.loader, workers=loader_workers(), prefetch_batches=2)
    batches = TrainingBatches(
        folder / DECODED,
        training,
        params.model.image_size,
        params.sampling,
        params.augment,
        loader,
        run.batch_size,
        run.seed,
        start_epoch=epochs,
    )
    try:
        yield batches
    finally:
        batches.close()


def converted_ahead(items: Iterator[A], convert: Callable[[A], B], ahead: int = 2) -> Iterator[B]:
    """`map(convert, items)` in a thread, so that the work overlaps with the device's; errors are re-raised."""
    results: queue.Queue[tuple[Any, Exception | None]] = queue.Queue(ahead)
    is_over = threading.Event()

    def offer(result: Any, error: Exception | None = None) -> None:
        while not is_over.is_set():
            with suppress(queue.Full):
                results.put((result, error), timeout=0.1)
                return

    def work() -> None:
        try:
            for item in items:
                offer(convert(item))
                if is_over.is_set():
                    return
            offer(None, StopIteration())
        except Exception as error:
            offer(None, error)

    threading.Thread(target=work, name="converted_ahead", daemon=True).start()
    try:
        while True:
            result, error = results.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield result
    finally:
        is_over.set()
