"""Stage `download`: the raw data in Kaggle's layout, and pretrained weights when the model asks for them.

1. Raw data from `download.source`: drawn (`sample`), copied (`folder`), converted (`coco`) or downloaded (`kaggle`).
2. Weights from `model.pretrained`: none, Matterport's COCO weights, or a file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fashionseg.console import exit_code, say
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, Download, load_params
from fashionseg.sample.layout import write_sample
from fashionseg.sources.coco import summary, write_kaggle_layout
from fashionseg.sources.coco_json import read_split_coco
from fashionseg.sources.folder import copy_folder, source_folder
from fashionseg.sources.kaggle import fetch_competition
from fashionseg.storage.atomic import atomic_directory


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m fashionseg.stages.download", description=__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="folder for the data in Kaggle's layout")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args(argv)
    params = load_params(arguments.params)
    fetch_raw(params.download, arguments.raw)
    train, test = (
        sum(not path.name.startswith(".") for path in (arguments.raw / name).iterdir())
        for name in ("train", "test")
    )
    say(f"download: {train} train photos, {test} test photos from {params.download.source}")


def fetch_raw(download: Download, raw: Path) -> None:
    """Replaces `raw` with the data of the chosen source; on failure `raw` stays as it was."""
    with atomic_directory(raw) as folder:
        match download.source:
            case "sample":
                sample = download.sample
                write_sample(folder, sample.train_photos, sample.test_photos, sample.seed)
            case "folder":
                copy_folder(_photos_of(download, raw), folder)
            case "coco":
                photos = _photos_of(download, raw)
                coco = read_split_coco([source_folder(file) for file in download.annotation_files])
                say(f"download: {summary(write_kaggle_layout(coco, photos, folder))}")
            case "kaggle":
                fetch_competition(download.competition, folder)


def _photos_of(download: Download, raw: Path) -> Path:
    """The user's folder. The output replaces `raw`, so the folder must not be in it or around it."""
    assert download.folder is not None  # checked with the params
    source = source_folder(download.folder)
    inner, outer = source.resolve(), raw.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise UserError(f"download.folder: expected a folder apart from the output {raw}, got {source}")
    return source


if __name__ == "__main__":
    sys.exit(exit_code(main))
