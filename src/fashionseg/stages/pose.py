"""Stage `pose`: body landmarks and a person mask for each decoded photo, for networks that take them.

1. Unless `pose.model` is none, find the person on each training and test photo.
2. Write train.npz and test.npz, report.json with the photos where nobody was found, and the model that found them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fashionseg.console import exit_code, say
from fashionseg.data.poses import Poses
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.storage.atomic import atomic_directory
from fashionseg.storage.json_file import write_json


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decoded", type=Path, required=True)
    parser.add_argument("--pose", type=Path, required=True, help="folder to write")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    settings = load_params(arguments.params).pose

    poses = {"train": Poses.of({}), "test": Poses.of({})}
    if settings.model != "none":
        from fashionseg.data.tables import read_photos
        from fashionseg.pose.find import exchanged, find_poses
        from fashionseg.pose.model_files import IN_POSE_FOLDER, POSE_MODEL, copy_pose_model

        for subset in poses:
            ids = read_photos(arguments.decoded, subset)["image_id"].tolist()
            found = find_poses(arguments.decoded, subset, ids, POSE_MODEL)
            poses[subset] = exchanged(found) if settings.control else found
    report = {
        "model": settings.model,
        **{subset: _describe(of_subset) for subset, of_subset in poses.items()},
    }
    with atomic_directory(arguments.pose) as folder:
        for subset, of_subset in poses.items():
            of_subset.write(folder / f"{subset}.npz")
        write_json(folder / "report.json", report)
        if settings.model != "none":
            copy_pose_model(POSE_MODEL, folder / IN_POSE_FOLDER)
    if settings.model == "none":
        say("pose: none (pose.model)")
        return
    counts = [
        f"{of_subset.is_found.sum()} of {len(of_subset.image_ids)} {subset} photos"
        for subset, of_subset in poses.items()
    ]
    control = "; exchanged between photos (pose.control)" if settings.control else ""
    say(f"pose: a person on {' and '.join(counts)}{control} -> {arguments.pose}")


def _describe(poses: Poses) -> dict[str, Any]:
    """Counts, the mean visibility of the landmarks of those found, and the photos where nobody was found."""
    found = poses.is_found
    visibility = poses.landmarks[found, :, 2]
    return {
        "photos": len(poses.image_ids),
        "found": int(found.sum()),
        "mean_visibility": round(float(visibility.mean()), 4) if len(visibility) else None,
        "nobody_on": [
            image_id for image_id, is_found in zip(poses.image_ids, found, strict=True) if not is_found
        ],
    }


if __name__ == "__main__":
    sys.exit(exit_code(main))
