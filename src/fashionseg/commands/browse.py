"""`fashionseg browse [--out DIR]`: pages to look at the decoded data set, opened from the disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from fashionseg.console import say
from fashionseg.project import find_root


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the pages, replaced [.fashionseg/browse]"
    )


def run(arguments: argparse.Namespace) -> None:
    from fashionseg.report.browse import write_browser

    root = find_root()
    out = arguments.out or root / ".fashionseg/browse"
    count = write_browser(out, root / "data/decoded", root / "data/splits")
    say(f"{count} photos -> {out / 'index.html'}")
