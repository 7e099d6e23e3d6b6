"""Decoding of one photo file and its csv rows to a record, the task of a worker of the stage `decode`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fashionseg import params
from fashionseg.data.jpeg import PhotoError, Pixels, encode_jpeg
from fashionseg.data.records import PhotoRecord
from fashionseg.data.tables import Instance
from fashionseg.prepare.csv_index import Layout, Span, read_rows
from fashionseg.prepare.encoding import KAGGLE, restate
from fashionseg.prepare.faults import Fault
from fashionseg.prepare.instances import HW, match_frame, read_photo_instances
from fashionseg.prepare.look import find_twins
from fashionseg.prepare.near_duplicates import difference_hash
from fashionseg.prepare.photo_header import read_file, read_header
from fashionseg.prepare.photos import decode_with_changes
from fashionseg.taxonomy import Taxonomy


@dataclass(frozen=True)
class Task:
    """One photo to decode: a train photo with the spans of its rows, or a test photo."""

    subset: str
    image_id: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class DecodedPhoto:
    """Result of a task; without a record the photo was dropped.

    `hw` is the photo's original size; `twins` are pairs of instances that seem to be one object.
    """

    faults: tuple[Fault, ...]
    record: PhotoRecord | None = None
    hw: HW = (0, 0)
    dhash: int = 0
    instances: tuple[Instance, ...] = ()
    twins: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class PhotoDecoder:
    """Decodes one photo; sent to each worker process once."""

    raw: Path
    layout: Layout
    taxonomy: Taxonomy
    decode: params.Decode

    def __call__(self, task: Task) -> DecodedPhoto:
        return self.train_photo(task) if task.subset == "train" else self.test_photo(task)

    def train_photo(self, task: Task) -> DecodedPhoto:
        file = f"train/{task.image_id}"
        reading = self.decode.encoding or KAGGLE
        rows = [restate(row, reading) for row in read_rows(self.layout, task.spans)]
        try:
            data = read_file(self.raw / file)
            header = read_header(data, self.decode.max_megapixels)
            frame, oddity = match_frame(rows, header)
            if frame is None:
                assert oddity is not None
                raise PhotoError(oddity)
            pixels, changes = decode_with_changes(data, header, self.decode.long_side, frame.upright)
        except PhotoError as error:
            reason = f"{error} ({count_rows(len(rows))})"
            return DecodedPhoto((Fault(file, reason, "dropped", task.image_id),))
        faults = [Fault(file, change, "repaired", task.image_id) for change in changes]
        if oddity is not None:
            faults.append(Fault(self.layout.path.name, oddity, "repaired", task.image_id, rows[0].line))
        instances, row_faults = read_photo_instances(
            rows,
            frame,
            pixels.shape[:2],
            self.decode.min_area,
            self.taxonomy,
            self.layout.path.name,
            reading,
        )
        faults += row_faults
        if not instances:  # it may show clothes, so it is no negative example
            faults.append(Fault(file, "none of its rows could be used", "dropped", task.image_id))
            return DecodedPhoto(tuple(faults))
        return self._decoded(task.image_id, pixels, frame.photo_hw, instances, faults)

    def test_photo(self, task: Task) -> DecodedPhoto:
        """Never dropped, since a submission has to name every test photo."""
        file = f"test/{task.image_id}"
        faults: list[Fault] = []
        try:
            data = read_file(self.raw / file)
            header = read_header(data, self.decode.max_megapixels)
            try:
                pixels, changes = decode_with_changes(data, header, self.decode.long_side)
            except PhotoError as error:
                pixels, changes = decode_with_changes(
                    data, header, self.decode.long_side, allow_truncated=True
                )
                faults.append(Fault(file, f"{error}; what is missing is grey", "repaired", task.image_id))
            faults = [Fault(file, change, "repaired", task.image_id) for change in changes] + faults
            hw = header.upright_hw
        except PhotoError as error:
            hw = (self.decode.long_side, self.decode.long_side)
            pixels = np.zeros((*hw, 3), np.uint8)
            faults.append(Fault(file, f"{error}; a black photo stands for it", "repaired", task.image_id))
        return self._decoded(task.image_id, pixels, hw, [], faults)

    def _decoded(
        self, image_id: str, pixels: Pixels, hw: HW, instances: list[Instance], faults: list[Fault]
    ) -> DecodedPhoto:
        trained = [(instance.category, instance.runs) for instance in instances if instance.runs is not None]
        record = PhotoRecord(
            image_id,
            encode_jpeg(pixels, self.decode.jpeg_quality),
            height=pixels.shape[0],
            width=pixels.shape[1],
            categories=np.array([category for category, _ in trained], np.int16),
            runs=tuple(runs for _, runs in trained),
        )
        twins = tuple(find_twins(instances))
        return DecodedPhoto(tuple(faults), record, hw, difference_hash(pixels), tuple(instances), twins)


def count_rows(count: int) -> str:
    """`1 row`, `2 rows`."""
    return "1 row" if count == 1 else f"{count} rows"
