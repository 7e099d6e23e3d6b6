"""`fashionseg seeds [-S key=value ...] [--seeds 5]`: one setting with several seeds, each a DVC experiment.

The split has a seed of its own (`split.seed`), so all of them are validated on the same photos. An experiment that
exists is not run again; an interrupted one resumes.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.project import load_project


def configure(parser: argparse.ArgumentParser) -> None:
    add_setting(parser)
    parser.add_argument(
        "--seeds", type=int, default=5, metavar="N", help="number of seeds, from `seed` on [5]"
    )


def run(arguments: argparse.Namespace) -> None:
    from fashionseg.experiments.repeats import run_repeats
    from fashionseg.experiments.summary import print_runs, summarize_seeds, write_summary
    from fashionseg.params.changes import parse_change

    if arguments.seeds < 1:
        raise UserError(f"--seeds: expected at least 1, got {arguments.seeds}")
    path = arguments.json and arguments.json.resolve()
    root, params = load_project()
    os.chdir(root)
    changes = dict(parse_change(change) for change in arguments.set)
    seeds = [params.seed + number for number in range(arguments.seeds)]
    repeats = run_repeats(root, params, changes, "seed", seeds, arguments.name)
    summary = summarize_seeds(repeats)
    print_runs(repeats, "seed")
    for key, spread in summary.items():
        say(f"{key.replace('_', ' ')}: mean {spread}")
    say(f"name for `fashionseg compare`: {','.join(repeat.experiment for repeat in repeats)}")
    if path:
        write_summary(path, changes, repeats, summary)


def add_setting(parser: argparse.ArgumentParser) -> None:
    """The arguments of the commands that run one setting several times."""
    parser.add_argument(
        "-S",
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="key=value",
        help="changes to params.yaml that make the setting [none]",
    )
    parser.add_argument(
        "--name", default="", help="name of the experiments, before the value [made of the parameters]"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write runs and summary to this file as well"
    )
