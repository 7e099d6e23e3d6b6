"""Pictures of the suspects that `decode` found in the data: the photo with the objects in question outlined."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.records import PhotoSource
from fashionseg.data.rle import COMPETITION_SIDE
from fashionseg.data.tables import read_instances, record_indices
from fashionseg.storage.atomic import atomic_directory
from fashionseg.taxonomy import read_taxonomy
from fashionseg.visualize import OutlinedInstance, outline, write_png

PER_KIND = 4  # pictures


def write_suspects(directory: Path, decoded: Path, suspects: Sequence[Mapping[str, Any]]) -> int:
    """Replaces `directory` by `01_annotated_twice_<image id>.png`, ...: the first suspects of each kind.

    `README.txt` gives the reason of each picture. Returns the number of pictures.
    """
    taxonomy = read_taxonomy(decoded)
    drawn: Counter[str] = Counter()
    shown = []
    for suspect in suspects:
        drawn[suspect["kind"]] += 1
        if drawn[suspect["kind"]] <= PER_KIND:
            shown.append(suspect)
    ids = [suspect["image_id"] for suspect in shown]
    photos = PhotoSource(decoded, "train", record_indices(decoded, "train", ids))
    table = read_instances(decoded, ["image_id", "instance", "category", "runs_512"])
    table = table[table["image_id"].isin(ids)].set_index(["image_id", "instance"])
    frame = (COMPETITION_SIDE, COMPETITION_SIDE)
    lines = []
    with atomic_directory(directory) as temporary:
        for number, suspect in enumerate(shown):
            rows = [table.loc[(suspect["image_id"], place)] for place in suspect["instances"]]
            objects = [
                OutlinedInstance.from_runs(
                    int(row["category"]), np.frombuffer(row["runs_512"], "<i4").reshape(-1, 2), frame
                )
                for row in rows
            ]
            # File systems may refuse other characters.
            stem = re.sub(r"[^A-Za-z0-9._-]", "_", f"{suspect['kind']}_{Path(suspect['image_id']).stem}")
            name = f"{number + 1:02d}_{stem}.png"
            write_png(temporary / name, outline(decode_jpeg(photos[number].jpeg), objects, taxonomy=taxonomy))
            lines.append(f"{name}: {suspect['reason']}\n")
        text = "".join(lines) or "Nothing in the data looks suspicious.\n"
        (temporary / "README.txt").write_text(text, encoding="utf-8")
    return len(shown)
