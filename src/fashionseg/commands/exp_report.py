"""`fashionseg exp-report [RUN ...]`: one offline HTML page that compares runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fashionseg.console import say
from fashionseg.project import find_root
from fashionseg.report.experiments import read_runs
from fashionseg.report.experiments_page import write_comparison
from fashionseg.tracking.cached import send_cached_runs
from fashionseg.tracking.identity import journal_folder


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", metavar="RUN", help="runs as in `dvc exp show` and MLflow [all]")
    parser.add_argument("--out", type=Path, help="HTML file to write [reports/experiments.html]")


def run(arguments: argparse.Namespace) -> None:
    root = find_root()
    path = arguments.out or root / "reports" / "experiments.html"
    send_cached_runs(root)
    runs = read_runs(journal_folder(), arguments.runs)
    write_comparison(path, runs)
    say(f"{len(runs)} runs compared -> {os.path.relpath(path)}")
