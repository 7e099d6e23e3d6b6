"""Stage `source`: the state of the raw data's source, looked at in every run, so that `download` notices a change.

1. `download.source` is `folder`: check layout and labels, then write a digest of names, sizes and times of its files.
2. It is `coco`: the same digest of its photos and of the json.
3. The drawn sample and Kaggle's archive do not change: only the name of the source is written.

Where the folder is missing (the GPU host, an unplugged disk) but was looked at before, the earlier digest stays, and
the stages work with the photos that were copied.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fashionseg.console import exit_code, say
from fashionseg.params import PARAMS_FILE, Download, load_params
from fashionseg.sources.coco import coco_digest
from fashionseg.sources.folder import check_folder, listing_digest, source_folder
from fashionseg.storage.atomic import atomic_write


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m fashionseg.stages.source",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--state", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args(argv)
    text = json.dumps(describe_source(load_params(arguments.params).download, arguments.state)) + "\n"
    if not arguments.state.is_file() or arguments.state.read_text(encoding="utf-8") != text:
        with atomic_write(arguments.state) as temporary:
            temporary.write_text(text, encoding="utf-8")


def describe_source(download: Download, earlier: Path) -> dict[str, str]:
    """Name of the source and, for a folder, its path and digest; `earlier` is the file written by the last run.

    Raises:
        UserError: the folder is missing and was never looked at, not in Kaggle's layout, or of other categories.
    """
    if download.source not in ("folder", "coco") or download.folder is None:
        return {"source": download.source}
    state = {"source": download.source, "folder": download.folder}
    files = download.annotation_files if download.source == "coco" else ()
    if files:
        state["annotations"] = " ".join(files)
    folder = source_folder(download.folder)
    if not folder.exists() and (known := _read(earlier)).items() >= state.items():
        say(f"source: {folder} is not there; data/raw stays as it was copied from it")
        return known
    if files:
        return state | {"digest": coco_digest(folder, [source_folder(file) for file in files])}
    check_folder(folder)
    return state | {"digest": listing_digest(folder)}


def _read(path: Path) -> dict[str, str]:
    """The content of an earlier run; empty where there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


if __name__ == "__main__":
    sys.exit(exit_code(main))
