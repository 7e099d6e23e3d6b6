"""`fashionseg convert SOURCE OUT [--photos DIR]`: between Kaggle's layout, COCO json and predictions.

- A COCO json becomes a folder in Kaggle's layout, with the photos of `--photos`.
- A folder in Kaggle's layout becomes a COCO json; its photos stay where they are.
- The predictions.json of `fashionseg predict` becomes a COCO json, to correct in an annotation tool.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fashionseg.console import EXIT_FAULT, say
from fashionseg.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        type=Path,
        metavar="SOURCE",
        help="COCO json, folder in Kaggle's layout, or predictions.json",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write, or json")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="folder of the photos of a COCO json")


def run(arguments: argparse.Namespace) -> int:
    source, out = arguments.source, arguments.out
    if out.exists():
        raise UserError(f"{out}: expected a name that is not taken, got one that exists")
    if source.is_dir():
        return _from_kaggle(source, out)
    from fashionseg.sources.coco_json import load_json

    content = load_json(source)
    if isinstance(content, dict) and "photos" in content:
        return _from_predictions(content, source, out)
    return _from_coco(content, source, arguments.photos, out)


def _from_coco(content: Any, source: Path, photos: Path | None, out: Path) -> int:
    from fashionseg.sources.coco import summary, write_kaggle_layout
    from fashionseg.sources.coco_json import parse_coco
    from fashionseg.storage.atomic import atomic_directory

    if photos is None:
        raise UserError("--photos: expected the folder of the photos of the json")
    coco = parse_coco(content, source)
    with atomic_directory(out) as folder:
        counts = write_kaggle_layout(coco, photos, folder)
    say(f"{summary(counts)} -> {out}")
    return EXIT_FAULT if counts["dropped"] else 0


def _from_kaggle(source: Path, out: Path) -> int:
    from fashionseg.prepare.coco_export import kaggle_to_coco
    from fashionseg.storage.json_file import write_json

    content, left_out = kaggle_to_coco(source)
    write_json(out, content)
    for reason in left_out[:10]:
        say(f"left out: {reason}")
    more = f"; {len(left_out)} rows left out" if left_out else ""
    say(f"{len(content['annotations'])} objects on {len(content['images'])} photos{more} -> {out}")
    return EXIT_FAULT if left_out else 0


def _from_predictions(predictions: Any, source: Path, out: Path) -> int:
    from fashionseg.prepare.coco_export import predictions_to_coco
    from fashionseg.storage.json_file import write_json

    content = predictions_to_coco(predictions, source)
    write_json(out, content)
    say(f"{len(content['annotations'])} objects on {len(content['images'])} photos -> {out}")
    return 0
