"""`fashionseg ensemble RUN RUN ... [--weights 2 1 ... | --fit-weights] [--out DIR]`: fuses stored detections.

1. Read the validation and test detections of each run.
2. Fuse them; search the thresholds again; score each run and the ensemble out of fold.
3. Write the fused detections, scores, thresholds and a checked submission.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from fashionseg.console import EXIT_FAULT, say
from fashionseg.errors import UserError
from fashionseg.project import load_project

OUT = Path("ensemble")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="`workspace`, a folder, a DVC experiment or a Git revision with data/predictions",
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--weights", nargs="+", type=float, default=[], metavar="W", help="of the runs [equal]"
    )
    weights.add_argument(
        "--fit-weights",
        action="store_true",
        help="weights of the runs for each category, fitted on the validation photos out of fold",
    )
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder to write, replaced as a whole [{OUT}]")


def run(arguments: argparse.Namespace) -> int:
    from fashionseg.experiments.ensemble import check_members, fit_member_weights, fuse_members, read_member
    from fashionseg.experiments.fused_run import (
        describe_submission,
        refuse_other_folder,
        score_run,
        write_run,
    )
    from fashionseg.metrics.bootstrap import compare_settings
    from fashionseg.storage.atomic import atomic_directory
    from fashionseg.storage.json_file import write_json
    from fashionseg.taxonomy import read_taxonomy

    if len(set(arguments.runs)) != len(arguments.runs) or len(arguments.runs) < 2:
        raise UserError(f"expected at least two different runs, got {' '.join(arguments.runs)}")
    root, params = load_project()
    out, settings = arguments.out, params.evaluate
    refuse_other_folder(out)
    members = [read_member(root, name) for name in arguments.runs]
    check_members(members, arguments.weights)
    weights: Any = arguments.weights or [1.0] * len(members)
    fitted = None
    if arguments.fit_weights:
        taxonomy = read_taxonomy(root / "data/decoded")
        fitted = fit_member_weights(members, root / "data/decoded", root / "data/splits", settings, taxonomy)
        weights = {
            name: [round(float(share), 4) for share in row]
            for name, row in zip(taxonomy.category_names, fitted.final, strict=True)
        }
        unequal = {name: row for name, row in weights.items() if max(row) - min(row) > 1e-6}
        for name, row in unequal.items():
            say(f"{name}: {'  '.join(f'{share:.2f}' for share in row)}")
        say(
            f"{len(unequal)} of {len(weights)} categories have weights of their own, in the order of the runs"
        )
    scored = []
    for member in (*members, replace(fuse_members(members, arguments.weights, fitted), name="ensemble")):
        scored.append(score_run(member, root, settings))
        say(str(scored[-1]))
    fused, best = scored[-1], max(scored[:-1], key=lambda run: run.of_photos.mean())
    found = compare_settings(best.of_photos[None], fused.of_photos[None])
    low, high = found.interval
    verdict = "shown" if found.is_shown else "not shown: the interval contains 0"
    say(
        f"ensemble - {best.member.name}: {found.difference:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}, {verdict}"
    )
    with atomic_directory(out) as temporary:
        write_run(temporary, fused, root, settings)
        write_json(temporary / "ensemble.json", {"runs": arguments.runs, "weights": weights})
    line, is_valid = describe_submission(out, fused.member, root)
    say(line)
    return 0 if is_valid else EXIT_FAULT
