"""The stage `decode`: Kaggle's folder to records at training resolution, two tables, and a report of every fault.

Worker processes read each photo's rows and file and return one small result; results are written in the order of the
image ids. So the outputs do not depend on the number of workers, and memory holds a few photos, however long the csv.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fashionseg import console, params
from fashionseg.data.records import ShardWriter
from fashionseg.data.splits import VALIDATION_IDS
from fashionseg.data.tables import InstanceTable, write_photos
from fashionseg.errors import UserError
from fashionseg.parallel import available_cores, ordered_map
from fashionseg.prepare.csv_index import CsvIndex, index_annotations, is_plain_text, read_rows
from fashionseg.prepare.encoding import check_encoding
from fashionseg.prepare.faults import Fault, shorten
from fashionseg.prepare.look import Look
from fashionseg.prepare.photo_decoder import DecodedPhoto, PhotoDecoder, Task, count_rows
from fashionseg.storage.atomic import atomic_directory
from fashionseg.storage.json_file import write_json
from fashionseg.taxonomy import LABEL_DESCRIPTIONS, TAXONOMY_FILE, UNKNOWN_CATEGORY, load_taxonomy

TRAIN_CSV = "train.csv"
REPORT = "report.json"
# Below this, starting a second process costs more than it saves.
_PHOTOS_PER_WORKER = 32


def decode_folder(
    raw: Path, decoded: Path, decode: params.Decode, max_instances: int | None = None
) -> dict[str, int]:
    """Decodes Kaggle's folder `raw` into the folder `decoded`, completely or not at all; returns the report's counts.

    `max_instances`: of a photo that training uses; photos with more are reported, where it is given.

    Raises:
        UserError: part of the layout is missing, train.csv is unreadable, labels differ, train.csv as a whole is
            plainly in another encoding, or no train photo is usable.
    """
    taxonomy = load_taxonomy(raw / LABEL_DESCRIPTIONS)
    nameless: list[Fault] = []
    train_files, test_files = (_list_photos(raw, subset, nameless) for subset in ("train", "test"))
    index = index_annotations(raw / TRAIN_CSV)
    tasks, faults = _match_files(index, train_files)
    faults += nameless
    if decode.encoding is None:
        photos = [(raw / "train" / task.image_id, task.spans) for task in tasks]
        check_encoding(index.layout, photos, decode.max_megapixels)
    tasks += [Task("test", name) for name in test_files]
    workers = max(1, min(decode.workers or available_cores(), len(tasks) // _PHOTOS_PER_WORKER))
    decoder = PhotoDecoder(raw, index.layout, taxonomy, decode)
    with atomic_directory(decoded) as folder:
        write_json(folder / TAXONOMY_FILE, taxonomy.to_descriptions())
        if (raw / VALIDATION_IDS).is_file():  # the source has a split of its own
            shutil.copyfile(raw / VALIDATION_IDS, folder / VALIDATION_IDS)
        output = _Output(folder, decode.photos_per_shard)
        look = Look(taxonomy, max_instances)
        results = ordered_map(decoder, tasks, workers, "set decode.workers lower")
        for task, result in zip(tasks, console.track(results, "photos", len(tasks)), strict=True):
            faults += result.faults
            output.add(task.subset, result)
            if task.subset == "train" and result.record is not None:
                look.add(task.image_id, result.instances, result.twins)
        counts = {"rows": index.num_rows, **output.close()}
        if counts["train_photos"] == 0:
            first = f"; first: {faults[0].file}: {faults[0].reason}" if faults else ""
            raise UserError(f"{raw}: expected photos with usable rows in {TRAIN_CSV}, found none{first}")
        by_outcome = Counter(fault.outcome for fault in faults)
        counts |= {outcome.replace(" ", "_"): by_outcome[outcome] for outcome in sorted(by_outcome)}
        num_unknown = sum(UNKNOWN_CATEGORY in fault.reason for fault in faults)
        look_at = look.describe(num_unknown)
        report = {"counts": counts, "look": look_at, "faults": [_given_fields(fault) for fault in faults]}
        (folder / REPORT).write_text(
            json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return counts


def _list_photos(raw: Path, subset: str, faults: list[Fault]) -> list[str]:
    """The names of a subset's files, sorted; hidden ones excluded, and a fault for those that no csv can hold."""
    folder = raw / subset
    try:
        with os.scandir(folder) as entries:
            names = sorted(
                entry.name for entry in entries if entry.is_file() and not entry.name.startswith(".")
            )
    except FileNotFoundError:
        raise UserError(f"{folder}: no such folder") from None
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}") from None
    faults += [
        Fault(f"{subset}/{ascii(name)[1:-1]}", "expected a name of UTF-8 text on one line", "dropped")
        for name in names
        if not is_plain_text(name)
    ]
    return [name for name in names if is_plain_text(name)]


def _match_files(index: CsvIndex, files: list[str]) -> tuple[list[Task], list[Fault]]:
    """Tasks for photos with both a file and rows, sorted; faults for the others."""
    faults = list(index.faults)
    names = set(files)
    # An id is compared with the names in the folder and never used as a path unless it is one of them.
    for image_id, spans in index.photos.items():
        if image_id not in names:
            num_rows = sum(1 for _ in read_rows(index.layout, spans))
            plain = Path(image_id).name == image_id and "\\" not in image_id
            expected = "a file of train/" if plain else "a plain file name"
            reason = f"ImageId: expected {expected}, got {shorten(image_id)} ({count_rows(num_rows)})"
            faults.append(
                Fault(index.layout.path.name, reason, "dropped", shorten(image_id, 80)[1:-1], spans[0].line)
            )
    for name in files:
        if name not in index.photos:
            faults.append(Fault(f"train/{name}", f"no row in {index.layout.path.name}", "dropped", name))
    return [Task("train", name, index.photos[name]) for name in files if name in index.photos], faults


def _given_fields(fault: Fault) -> dict[str, Any]:
    return {key: value for key, value in asdict(fault).items() if value is not None}


class _Output:
    """Writes records and tables as results arrive."""

    def __init__(self, folder: Path, per_shard: int) -> None:
        self._folder = folder
        self._shards = {subset: ShardWriter(folder, subset, per_shard) for subset in ("train", "test")}
        self._photos: list[dict[str, Any]] = []
        self._instances = InstanceTable(folder)
        self._counts = Counter(instances=0, instances_in_training=0, instances_with_attributes=0)

    def add(self, subset: str, photo: DecodedPhoto) -> None:
        if (record := photo.record) is None:
            return
        height, width = photo.hw
        self._photos.append(
            {
                "subset": subset,
                "image_id": record.image_id,
                "height": height,
                "width": width,
                "stored_height": record.height,
                "stored_width": record.width,
                "record": self._shards[subset].write(record),
                "dhash": photo.dhash,
            }
        )
        for number, instance in enumerate(photo.instances):
            self._instances.add(record.image_id, number, instance)
            self._counts["instances"] += 1
            self._counts["instances_in_training"] += instance.runs is not None
            self._counts["instances_with_attributes"] += bool(instance.attributes)

    def close(self) -> dict[str, int]:
        """Finishes all files; returns the counts."""
        self._instances.close()
        for shards in self._shards.values():
            shards.close()
        write_photos(self._folder, self._photos)
        photos = {f"{subset}_photos": shards.num_records for subset, shards in self._shards.items()}
        return photos | self._counts
