"""Paths of the project: commands work in any folder of a clone, stages also in the temporary copy of an experiment."""

from __future__ import annotations

import os
from pathlib import Path

from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, Params, load_params

# Ignored by Git: journals, the local MLflow store, interrupted runs and downloads.
STATE_FOLDER = Path(".fashionseg")


def find_root() -> Path:
    """The folder of params.yaml: the current one or one above.

    Raises:
        UserError: called outside a clone of the project.
    """
    for folder in (here := Path.cwd(), *here.parents):
        if (folder / PARAMS_FILE).is_file():
            return folder
    raise UserError(f"{PARAMS_FILE}: not found in {here} or above; run this in a clone of the project")


def load_project() -> tuple[Path, Params]:
    """The folder of params.yaml (`find_root`) and its values (`load_params`)."""
    root = find_root()
    return root, load_params(root / PARAMS_FILE)


def checkout_root() -> Path:
    """The real checkout, also from the temporary copy in which `dvc exp run --queue` and `--temp` run."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def state_folder(name: str = "") -> Path:
    """`.fashionseg/NAME` of the real checkout, made or not: state that outlives a run and is no output of DVC's."""
    return checkout_root() / STATE_FOLDER / name
