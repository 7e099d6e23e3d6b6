"""Pages to look at a data set: every photo with its outlines, found by name, category, size and number of objects.

Opens from the disk, without a server or a network. Thumbnails lie in scripts of a hundred photos each, loaded as one
scrolls, so 45,000 photos are a page of a few megabytes.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from fashionseg.console import track
from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.records import PhotoSource
from fashionseg.data.rle import COMPETITION_SIDE
from fashionseg.data.splits import read_split
from fashionseg.data.tables import read_instances, read_photos, unpack_runs_of
from fashionseg.errors import UserError
from fashionseg.parallel import TO_SAVE_MEMORY, available_cores, ordered_map
from fashionseg.report.html import write_page
from fashionseg.storage.atomic import atomic_directory
from fashionseg.storage.json_file import read_json
from fashionseg.taxonomy import Taxonomy, read_taxonomy
from fashionseg.visualize import OutlinedInstance, jpeg_bytes
from fashionseg.visualize.panels import draw_outlines

SIDE = 360  # pixels of a thumbnail's longest side
PER_SHARD = 100
SHARDS, PHOTOS = "shards", "photos.js"

Objects = list[tuple[int, bytes]]  # category and runs in the competition's frame
Work = tuple[str, int, Objects]  # subset, record, objects


def write_browser(folder: Path, decoded: Path, splits: Path | None) -> int:
    """Replaces `folder` by the pages of the decoded photos; returns the number of photos.

    Args:
        splits: shown with each photo, if there is a split yet.

    Raises:
        UserError: the stage `decode` has not run.
    """
    taxonomy = read_taxonomy(decoded)
    report = read_json(decoded / "report.json", "run the stage decode")
    sides = _sides(splits)
    objects: dict[str, Objects] = defaultdict(list)
    table = read_instances(decoded, ["image_id", "category", "runs_512"])
    for image_id, category, runs in zip(table["image_id"], table["category"], table["runs_512"], strict=True):
        objects[image_id].append((int(category), runs))
    reasons = _reasons(report)
    entries, work = [], []
    for subset in ("train", "test"):
        photos = read_photos(decoded, subset)
        for photo in photos.to_dict("records"):
            of_photo = objects[photo["image_id"]] if subset == "train" else []
            work.append((subset, int(photo["record"]), of_photo))
            side = sides.get(photo["image_id"], "training") if subset == "train" else "test"
            entries.append(
                [
                    photo["image_id"],
                    side,
                    int(photo["width"]),
                    int(photo["height"]),
                    [category for category, _ in of_photo],
                    reasons.get(photo["image_id"], []),
                ]
            )
    with atomic_directory(folder) as temporary:
        (temporary / SHARDS).mkdir()
        shards = [
            (number, work[start : start + PER_SHARD])
            for number, start in enumerate(range(0, len(work), PER_SHARD))
        ]
        write = partial(_write_shard, folder=temporary / SHARDS, decoded=decoded, taxonomy=taxonomy)
        workers = min(available_cores(), len(shards))
        for _ in track(ordered_map(write, shards, workers, TO_SAVE_MEMORY), "thumbnails", len(shards)):
            pass
        (temporary / PHOTOS).write_text(f"const PHOTOS={_script(entries)}\n", encoding="ascii")
        counts = np.bincount(table["category"], minlength=taxonomy.num_categories)
        write_page(
            temporary / "index.html",
            "browse.html",
            title=f"{decoded.resolve().parent.parent.name}: the data",
            num_photos=len(entries),
            num_objects=len(table),
            per_shard=PER_SHARD,
            categories=[
                {"id": place, "name": name, "count": int(counts[place])}
                for place, name in enumerate(taxonomy.category_names)
                if counts[place]
            ],
            names=_script(list(taxonomy.category_names)),
            faults=_script(report["faults"]),
            num_faults=len(report["faults"]),
            notes=report["look"]["notes"],
        )
    return len(entries)


def _script(value: Any) -> str:
    """JSON that may stand in a script: `</script>` in a file name must not end it."""
    return json.dumps(value).replace("<", "\\u003c")


def _sides(splits: Path | None) -> dict[str, str]:
    try:
        training, validation = read_split(splits) if splits else ([], [])
    except UserError:
        return {}  # no split yet
    return dict.fromkeys(training, "training") | dict.fromkeys(validation, "validation")


def _reasons(report: Mapping[str, Any]) -> dict[str, list[str]]:
    """What there is to say of a photo: what decode dropped or repaired, and why it is suspicious."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for suspect in report["look"]["suspects"]:
        reasons[suspect["image_id"]].append(f"{suspect['kind']}: {suspect['reason']}")
    for fault in report["faults"]:
        if "image_id" in fault:
            reasons[fault["image_id"]].append(f"{fault['outcome']}: {fault['reason']}")
    return reasons


@cache
def _source(decoded: Path, subset: str) -> PhotoSource:
    return PhotoSource(decoded, subset, range(len(read_photos(decoded, subset))))


def _write_shard(shard: tuple[int, list[Work]], folder: Path, decoded: Path, taxonomy: Taxonomy) -> None:
    number, work = shard
    pictures = json.dumps([_thumbnail(of_photo, decoded, taxonomy) for of_photo in work])
    (folder / f"{number}.js").write_text(f"shard({number},{pictures})\n", encoding="ascii")


def _thumbnail(work: Work, decoded: Path, taxonomy: Taxonomy) -> str:
    """A JPEG in base64: the photo with its objects outlined."""
    subset, record, objects = work
    photo = decode_jpeg(_source(decoded, subset)[record].jpeg)
    frame = (COMPETITION_SIDE, COMPETITION_SIDE)
    instances = [
        OutlinedInstance.from_runs(category, unpack_runs_of(runs), frame) for category, runs in objects
    ]
    picture = draw_outlines(photo, instances, SIDE, taxonomy)
    return base64.b64encode(jpeg_bytes(picture, quality=80)).decode("ascii")
