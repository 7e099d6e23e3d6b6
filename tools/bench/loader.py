"""The training loader: records to batches with their targets."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import cv2
import numpy as np

from fashionseg.data.augment import AxisMap, PhotoMap, warp_photo
from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.loader import TrainingBatches
from fashionseg.data.records import PhotoSource
from fashionseg.parallel import available_cores
from fashionseg.params import changed
from tools.bench.inputs import MASKS_PER_PHOTO, write_decoded
from tools.bench.rows import Bench, Row

_SIDE = 512
_BATCH = 8


def measure_loader(bench: Bench) -> list[Row]:
    """Photos per second in this process and with worker processes; compared with JPEG decoding and resampling alone."""
    decoded = bench.work / "decoded-512"
    ids = write_decoded(decoded, bench.count(256, 16), _SIDE)
    cores = available_cores()
    in_process, with_workers = [], []
    for _ in range(bench.repeats):
        in_process.append(_rate(bench, decoded, ids, 0))
        with_workers.append(_rate(bench, decoded, ids, cores))
    floor = _pixels_alone(decoded, bench.count(64, 4))
    on = f"{_SIDE} px, {MASKS_PER_PHOTO} masks, batch {_BATCH}"
    best = max(max(with_workers), max(in_process))
    return [
        Row(
            "loader",
            f"{on}, {cores} workers",
            max(with_workers),
            "photos/s",
            200.0,
            lower_is_better=False,
            note=f"best of {[round(rate) for rate in with_workers]}; Matterport's generator, quoted: 29 per core",
        ),
        Row(
            "loader, in process",
            f"{on}, 4 threads",
            max(in_process),
            "photos/s",
            note=f"best of {[round(rate) for rate in in_process]}",
        ),
        Row(
            "loader, against pixels alone",
            on,
            floor * cores / best,
            "x",
            note=f"JPEG decoding and resampling, no masks: {floor:.0f} photos/s on one core, times {cores}",
        ),
    ]


def _rate(bench: Bench, decoded: Path, ids: list[str], workers: int) -> float:
    loader = changed(bench.params.loader, workers=workers, prefetch_batches=4)
    batches = TrainingBatches(
        decoded, ids, _SIDE, bench.params.sampling, bench.params.augment, loader, _BATCH, seed=0
    )
    # Long enough that batches prefetched before the clock starts matter little.
    warm, counted = bench.count(16, 1), bench.count(96, 2)
    try:
        iterator = iter(batches)
        for _ in itertools.islice(iterator, warm):
            pass
        start = time.perf_counter()
        for _ in itertools.islice(iterator, counted):
            pass
        return counted * _BATCH / (time.perf_counter() - start)
    finally:
        batches.close()


def _pixels_alone(decoded: Path, count: int) -> float:
    """Photos per second on one core."""
    source = PhotoSource(decoded, "train", np.arange(16))
    jpegs = [source[place % 16].jpeg for place in range(count)]
    map_ = PhotoMap(AxisMap(1.05, 3.0), AxisMap(-1.05, 480.0))
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        start = time.perf_counter()
        for jpeg in jpegs:
            warp_photo(decode_jpeg(jpeg), map_, _SIDE)
        return count / (time.perf_counter() - start)
    finally:
        cv2.setNumThreads(before)
