"""Stage `split`: which photos train and which validate.

1. Read the photo and instance tables.
2. Group near-duplicate photos, stratify the groups over categories: one split, or a fold of a cross-validation. Where
   the source has a split of its own, take that.
3. Write train.txt, validation.txt (sorted ids), groups.json, and summary.json with the counts of both sides.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from fashionseg.console import exit_code, say
from fashionseg.data.splits import (
    GROUPS,
    SUMMARY,
    TRAIN_IDS,
    VALIDATION_IDS,
    read_ids,
    write_groups,
    write_ids,
)
from fashionseg.data.tables import read_instances, read_photos
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.prepare.split import split_photos, summarize
from fashionseg.storage.atomic import atomic_directory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decoded", type=Path, required=True, help="folder written by the stage decode")
    parser.add_argument("--splits", type=Path, required=True, help="folder to write")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)

    photos = read_photos(arguments.decoded, "train")
    instances = read_instances(arguments.decoded, ["image_id", "category"])
    categories = instances["category"].to_numpy()
    position = {image_id: number for number, image_id in enumerate(photos["image_id"])}
    presence = np.zeros((len(photos), int(categories.max()) + 1), bool)
    presence[[position[image_id] for image_id in instances["image_id"]], categories] = True
    given = _given_validation(arguments.decoded, params.split.folds)
    split = split_photos(
        photos["image_id"].tolist(),
        photos["dhash"].to_numpy(),
        presence,
        params.split.validation_fraction,
        params.split.near_duplicate_bits,
        params.split.seed,
        params.split.folds,
        params.split.fold,
        given,
    )
    summary = summarize(split, instances["image_id"].tolist(), categories)
    with atomic_directory(arguments.splits) as folder:
        for name, ids in ((TRAIN_IDS, split.train), (VALIDATION_IDS, split.validation)):
            write_ids(folder / name, ids)
        write_groups(folder / GROUPS, sorted(photos["image_id"]), split.groups)
        (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    say(
        f"split: {len(split.train)} photos to train, {len(split.validation)} to validate; "
        f"{summary['near_duplicates']['photos']} near-duplicates in {summary['near_duplicates']['groups']} groups"
    )


def _given_validation(decoded: Path, folds: int | None) -> frozenset[str] | None:
    """The photos that the source validates on, if it says so."""
    path = decoded / VALIDATION_IDS
    if not path.is_file():
        return None
    if folds is not None:
        raise UserError(
            f"split.folds: expected null, as the data has a validation set of its own, got {folds}"
        )
    return frozenset(read_ids(path, "decode"))


if __name__ == "__main__":
    sys.exit(exit_code(main))
