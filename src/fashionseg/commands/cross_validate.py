"""`fashionseg cross-validate [-S key=value ...] [--folds 5]`: all folds of a setting, each a DVC experiment.

Every photo is on the validation side of one fold, so the score is a mean over all photos. A fold whose experiment
exists is not run again; an interrupted one resumes.
"""

from __future__ import annotations

import argparse
import os

from fashionseg.commands.seeds import add_setting
from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.project import load_project


def configure(parser: argparse.ArgumentParser) -> None:
    add_setting(parser)
    parser.add_argument("--folds", type=int, default=5, metavar="K", help="number of folds [5]")


def run(arguments: argparse.Namespace) -> None:
    from fashionseg.experiments.repeats import run_repeats
    from fashionseg.experiments.summary import print_runs, summarize_folds, write_summary
    from fashionseg.metrics.bootstrap import interval_text
    from fashionseg.params.changes import parse_change

    if arguments.folds < 2:
        raise UserError(f"--folds: expected at least 2, got {arguments.folds}")
    path = arguments.json and arguments.json.resolve()
    root, params = load_project()
    os.chdir(root)
    changes = dict(parse_change(change) for change in arguments.set)
    if "split.folds" in changes:
        raise UserError("split.folds: cannot be set, use --folds")
    changes["split.folds"] = arguments.folds
    repeats = run_repeats(root, params, changes, "split.fold", range(arguments.folds), arguments.name)
    summary = summarize_folds(repeats)
    print_runs(repeats, "fold")
    score = interval_text(summary["competition_score"], summary["competition_score_interval"])
    say(f"competition score of all {summary['num_photos']} photos, out of fold: {score}")
    if summary["mask_ap50"] is not None:
        say(f"mask AP50, mean over folds: {summary['mask_ap50']:.3f}")
    say(f"name for `fashionseg compare`: {','.join(repeat.experiment for repeat in repeats)}")
    if path:
        write_summary(path, changes, repeats, summary)
