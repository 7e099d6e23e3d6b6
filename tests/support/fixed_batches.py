"""Training data for tests of the loop: batch n is always the same, wherever the training starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

Batch = dict[str, np.ndarray]


class FixedBatches:
    """`make_batch(n)` for n = 0, 1, ..., from the first batch of `start_epoch` on."""

    image_ids: tuple[str, ...] = tuple(f"{letter}.jpg" for letter in "abcdefgh")

    def __init__(self, make_batch: Callable[[int], Batch], steps_per_epoch: int, start_epoch: int) -> None:
        self.steps_per_epoch = steps_per_epoch
        self.make_batch = make_batch
        self.next = start_epoch * steps_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.make_batch(self.next)
            self.next += 1

    def close(self) -> None:
        pass


class Batches(Sequence[Batch]):
    """The same batches each time they are iterated, as arrays of their own each time, as those of the loader are.

    TensorFlow takes an array as it lies in memory where that is aligned, and may write results of the network into it.
    """

    def __init__(self, batches: list[Batch]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch:  # type: ignore[override]  # no slices
        return {name: values.copy() for name, values in self._batches[index].items()}


def rebatch(photos: Batch, batch_size: int) -> Batches:
    """One batch of photos as batches of another size, the last one padded as the loader pads it."""
    batches = []
    for start in range(0, len(photos["photo_index"]), batch_size):
        part = {name: values[start : start + batch_size] for name, values in photos.items()}
        missing = batch_size - len(part["photo_index"])
        padding = {
            name: np.full((missing, *values.shape[1:]), -1 if name == "photo_index" else 0, values.dtype)
            for name, values in part.items()
        }
        batches.append({name: np.concatenate([part[name], padding[name]]) for name in part})
    return Batches(batches)
