"""`python -m tools parity`: our code compared with stored outputs of Matterport's, tensor by tensor."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fashionseg.console import EXIT_FAULT, say
from fashionseg.errors import UserError

if TYPE_CHECKING:
    from tools.parity.table import Row

DEFAULT_REFERENCE = Path("../shared/reference")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference",
        type=Path,
        default=DEFAULT_REFERENCE,
        metavar="DIR",
        help="folder of reference files and the script that generates their weights (default: %(default)s)",
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="reference files to compare, without .npz"
    )


def run(arguments: argparse.Namespace) -> int:
    if not arguments.reference.is_dir():
        raise UserError(f"{arguments.reference}: no such folder; pass one with --reference")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from tools.parity.reference import Reference
    from tools.parity.run import compare_all

    case, num_rows, failed = "", 0, 0
    for row in compare_all(Reference(arguments.reference), arguments.only):
        if row.case != case:
            case = row.case
            say(f"\n{case}\n  {_line('tensor', 'shape', 'difference', 'tolerance', '')}")
        say(f"  {_row(row)}")
        num_rows += 1
        failed += not row.ok
    say(f"\n{num_rows} tensors compared, {failed} differ" if failed else f"\n{num_rows} tensors agree")
    return EXIT_FAULT if failed else 0


def _row(row: Row) -> str:
    shape = " x ".join(map(str, row.shape)) or "scalar"
    tolerance = f"{row.tolerance:.1e}" if row.tolerance else "identical"
    return _line(row.tensor, shape, f"{row.difference:.1e}", tolerance, "ok" if row.ok else "DIFFERS")


def _line(tensor: str, shape: str, difference: str, tolerance: str, verdict: str) -> str:
    return f"{tensor:<38} {shape:<22} {difference:>10} {tolerance:>10}  {verdict}".rstrip()
