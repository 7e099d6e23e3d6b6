"""`fashionseg predict PHOTO... [--weights DIR] [--out DIR] [--thresholds FILE]`: any photos to outlined pictures.

1. List the photos, those of folders included, and give each a picture name of its own.
2. Read them a batch at a time; a bad photo is reported on standard error and skipped.
3. Detect, apply the calibrated thresholds, resize each mask to its photo.
4. Write one outlined PNG per photo and one predictions.json for all; nothing where no photo was found.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fashionseg.console import EXIT_FAULT, say, track
from fashionseg.errors import UserError
from fashionseg.project import load_project
from fashionseg.storage.atomic import atomic_write

if TYPE_CHECKING:
    import numpy as np

    from fashionseg.detections.instances import Thresholds
    from fashionseg.detections.objects import PhotoObject
    from fashionseg.taxonomy import Taxonomy

PREDICTIONS = "predictions.json"
WEIGHTS = Path("models/finetuned")  # both in the project's folder
THRESHOLDS = Path("reports/thresholds.json")

# Photos from which compiling the network, about 2 s, pays.
_MIN_COMPILED = 8

Job = tuple[Path, str]  # a photo and the name of its picture
Faults = list[dict[str, str]]  # file and reason of each photo that could not be processed


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="photo, or folder of photos")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="DIR",
        help=f"model folder, or file of `fashionseg export` [{WEIGHTS}]",
    )
    parser.add_argument("--out", type=Path, default=Path("predictions"), metavar="DIR", help="[%(default)s]")
    parser.add_argument(
        "--thresholds", type=Path, metavar="FILE", help=f"[{THRESHOLDS} if it exists, else 0.5 for all]"
    )


def run(arguments: argparse.Namespace) -> int:
    from fashionseg.exported.file import SUFFIX

    root, params = load_project()
    weights = arguments.weights or root / WEIGHTS
    is_exported = weights.suffix == SUFFIX and weights.is_file()
    if not is_exported and not weights.is_dir():
        raise UserError(f"{weights}: no such folder; train first (`make repro`) or give --weights")
    faults: Faults = []
    jobs = name_pictures(list_photos(arguments.photos, faults), arguments.out)
    if not jobs:
        say(f"0 of {len(faults)} photos outlined")
        return EXIT_FAULT
    from fashionseg.detections.inference import load_detector, predict_photos
    from fashionseg.detections.objects import photo_objects
    from fashionseg.detections.thresholds import read_thresholds
    from fashionseg.taxonomy import taxonomy_of_names

    entries: list[dict[str, object]] = []
    size = min(params.predict.batch_size, len(jobs))
    if is_exported:
        from fashionseg.exported.runtime import load_exported

        detector, about = load_exported(weights)
        thresholds = read_thresholds(arguments.thresholds) if arguments.thresholds else about.thresholds
    else:
        thresholds = choose_thresholds(arguments.thresholds, root / THRESHOLDS)
        is_compiled = len(jobs) >= _MIN_COMPILED
        detector = load_detector(weights, params.inference, params.train.num_devices, is_compiled)
    taxonomy = taxonomy_of_names(detector.category_names)
    decoded = _read(jobs, params.decode.max_megapixels, faults)
    while batch := list(itertools.islice(decoded, size)):
        photos = [(f"{place:08d}", photo) for place, (_, photo, _) in enumerate(batch)]
        found = photo_objects(predict_photos(detector, photos, size), photos, thresholds)
        for (job, photo, changes), objects in zip(batch, found, strict=True):
            entry = _write_photo(arguments.out, job, photo, objects, taxonomy)
            entries.append(entry | {"repaired": changes} if changes else entry)
    content = {
        "weights": _text(weights),
        "thresholds": asdict(thresholds),
        "photos": entries,
        "failed": faults,
    }
    with atomic_write(arguments.out / PREDICTIONS) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    num_empty = sum(not entry["instances"] for entry in entries)
    without = f", {num_empty} of them without objects" if num_empty else ""
    say(
        f"{len(entries)} of {len(entries) + len(faults)} photos outlined{without}: {arguments.out}/, {PREDICTIONS}"
    )
    return EXIT_FAULT if faults else 0


def report_fault(faults: Faults, photo: Path, reason: str) -> None:
    faults.append({"file": _text(photo), "reason": reason})
    print(f"error: {_text(photo)}: {reason}", file=sys.stderr)


def list_photos(paths: list[Path], faults: Faults) -> list[Path]:
    """The photos in the order given; a folder stands for the photos directly in it, sorted by name."""
    from fashionseg.prepare.photo_header import is_photo

    photos: list[Path] = []
    others: list[str] = []
    for path in paths:
        if path.is_dir():
            visible = sorted(file for file in path.iterdir() if not file.name.startswith("."))
            inside = [file for file in visible if not file.is_dir() and is_photo(file)]
            others += [_text(file) for file in visible if file not in inside]
            photos += inside
            if not inside:
                report_fault(faults, path, "no photo in this folder")
        elif path.exists():
            photos.append(path)
        else:
            report_fault(faults, path, "no such file or folder")
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        say(f"no photos, skipped: {', '.join(others[:3])}{more}")
    return list(dict.fromkeys(photos))


def name_pictures(photos: list[Path], out: Path) -> list[Job]:
    """A picture name for each photo: `dress.jpg` -> `dress.png`, the next of that name `dress_2.png`.

    Names differ in more than case, for file systems that ignore it.

    Raises:
        UserError: a picture would be written next to its photo, which it could replace.
    """
    taken: set[str] = set()
    jobs = []
    for photo in photos:
        if photo.resolve().parent == out.resolve():
            raise UserError(f"--out: expected another folder than that of the photos, got {out}")
        endings = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
        names = (f"{photo.stem}{ending}.png" for ending in endings)
        name = next(name for name in names if name.lower() not in taken)
        taken.add(name.lower())
        jobs.append((photo, name))
    return jobs


def choose_thresholds(path: Path | None, calibrated: Path) -> Thresholds:
    """The thresholds of `path`, else of `calibrated` if it exists, else 0.5 each.

    Raises:
        UserError: `path` is missing or malformed.
    """
    from fashionseg.detections.instances import Thresholds
    from fashionseg.detections.thresholds import read_thresholds

    if path is None and not calibrated.exists():
        say(f"no {THRESHOLDS}: detections of score 0.5 and above are shown")
        return Thresholds(score=0.5, nms=0.5, mask=0.5, min_area=1)
    return read_thresholds(calibrated if path is None else path)


def _read(
    jobs: list[Job], max_megapixels: float, faults: Faults
) -> Iterator[tuple[Job, np.ndarray, list[str]]]:
    """Each photo, and how its pixels were changed."""
    from fashionseg.data.jpeg import PhotoError
    from fashionseg.prepare.photos import read_photo_with_changes

    for job in track(jobs, "predict"):
        try:
            yield job, *read_photo_with_changes(job[0], max_megapixels)
        except PhotoError as error:
            report_fault(faults, job[0], str(error))


def _write_photo(
    out: Path, job: Job, photo: np.ndarray, objects: list[PhotoObject], taxonomy: Taxonomy
) -> dict[str, object]:
    """Writes the picture; returns the photo's entry in predictions.json."""
    from fashionseg.detections.objects import describe
    from fashionseg.visualize import OutlinedInstance, outline, write_png

    path, picture = job
    height, width = photo.shape[:2]
    drawn = [OutlinedInstance.from_runs(o.category, o.runs, (height, width), o.score) for o in objects]
    write_png(out / picture, outline(photo, drawn, taxonomy=taxonomy))
    return {
        "file": _text(path),
        "picture": _text(Path(picture)),
        "height": height,
        "width": width,
        "instances": describe(objects, taxonomy.category_names),
    }


def _text(path: Path) -> str:
    """A path as text, whatever bytes a file system put into its name."""
    return str(path).encode("utf-8", "replace").decode("utf-8")
