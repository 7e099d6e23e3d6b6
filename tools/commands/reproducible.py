"""`python -m tools reproducible [key=value ...]`: runs the pipeline twice in fresh clones and compares all hashes.

1. Clone the current commit twice, into folders of different path length.
2. Set the same parameters: a tiny version of the preset `sample`, then the given changes.
3. Run `dvc repro` in both, with different PYTHONHASHSEED and numbers of worker processes.
4. Compare the hash of every output in the two dvc.lock files.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import read_yaml
from fashionseg.project import find_root

TINY = {
    "download.sample.train_photos": "40",
    "download.sample.test_photos": "4",
    "decode.long_side": "96",
    "decode.photos_per_shard": "16",
    "model.image_size": "96",
    "train.deterministic": "true",
    "train.images_per_device": "4",
    "train.heads.epochs": "1",
    "train.finetune.epochs": "2",
    "evaluate.pictures": "2",
}
# Differences without effect: folder, hash seed of Python, worker processes.
CLONES = (
    ("first", "1", ("loader.workers=0", "decode.workers=1")),
    ("the-second-clone", "2", ("loader.workers=2", "decode.workers=2")),
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("changes", nargs="*", metavar="key=value", help="parameters of both runs")


def run(arguments: argparse.Namespace) -> int:
    root = find_root()
    if _git(root, "status", "--porcelain", "--untracked-files=no"):
        say("warning: uncommitted changes are not part of the run")
    with tempfile.TemporaryDirectory(prefix="fashionseg-") as folder:
        locks: list[dict[str, str]] = []
        for name, hash_seed, workers in CLONES:
            clone = Path(folder) / name
            say(f"run {len(locks) + 1} of {len(CLONES)}: PYTHONHASHSEED={hash_seed} {' '.join(workers)}")
            _git(root, "clone", "--quiet", "--no-hardlinks", str(root), str(clone))
            _reproduce(clone, hash_seed, [*arguments.changes, *workers])
            locks.append(output_hashes(clone / "dvc.lock"))
    different = differing(*locks)
    for path in different:
        say(f"differs: {path}")
    say(f"{len(locks[0]) - len(different)} of {len(locks[0])} outputs have the same bytes in both runs")
    return 1 if different else 0


def output_hashes(lock: Path) -> dict[str, str]:
    """Path of every output in dvc.lock -> its hash."""
    stages = read_yaml(lock)["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}


def differing(first: dict[str, str], second: dict[str, str]) -> list[str]:
    """Outputs whose hashes differ, or that one run lacks."""
    return sorted(path for path in first.keys() | second.keys() if first.get(path) != second.get(path))


def _reproduce(clone: Path, hash_seed: str, changes: list[str]) -> None:
    environment = dict(os.environ)
    for name in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        environment.pop(name, None)
    environment |= {
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": str(clone / "src"),  # the clone's code, not that of the checkout installed here
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "DVC_SITE_CACHE_DIR": str(clone / ".dvc" / "site"),
        "FASHIONSEG_TRACKING": "off",
    }
    tiny = [f"{key}={value}" for key, value in TINY.items()]
    # The given changes come last and take precedence.
    command = [sys.executable, "-m", "fashionseg.cli", "preset", "sample", *tiny, *changes]
    subprocess.run(command, cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
    ended = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=clone, env=environment)
    if ended.returncode:
        raise UserError(f"dvc repro failed in the clone with exit status {ended.returncode}; see above")


def _git(root: Path, *words: str) -> str:
    try:
        return subprocess.run(["git", *words], cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"git {words[0]}: {error}") from None
