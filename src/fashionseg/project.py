"""Where the project lies: commands work from any folder of a clone, stages also in a throw-away copy of it."""

from __future__ import annotations

import os
from pathlib import Path

from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE

STATE_FOLDER = (
    ".fashionseg"  # in the real checkout, ignored by Git: journals, local MLflow store, interrupted runs
)


def find_root() -> Path:
    """The folder of params.yaml: here or above.

    Raises:
        UserError: called outside a clone of the project.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PARAMS_FILE).is_file():
            return folder
    raise UserError(f"{PARAMS_FILE}: expected it in {here} or above; run this in a clone of the project")


def checkout_root() -> Path:
    """The real checkout, also from inside the throw-away copy that queued and temporary experiments run in."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)
