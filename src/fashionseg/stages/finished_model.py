"""The finished model that `train.finetune.from` names: a model folder, or models/finetuned of a Git revision."""

from __future__ import annotations

from pathlib import Path

from fashionseg.errors import UserError
from fashionseg.model.folder import DESCRIPTION_FILE
from fashionseg.project import checkout_root
from fashionseg.tracking.git_refs import commit_of, list_experiments
from fashionseg.tracking.outputs import output_at

KEY = "train.finetune.from"
FINETUNED = Path("models/finetuned")


def find_finished(named: str, out: Path) -> Path:
    """The model folder.

    Args:
        named: a folder, relative ones in the checkout; or a Git tag, another revision or a DVC experiment.
        out: output of the stage, which DVC deletes before it runs.

    Raises:
        UserError: there is no such folder or revision, or no model in it.
    """
    root = checkout_root()
    folder = root / Path(named).expanduser()
    if folder.resolve() in (out.resolve(), (root / FINETUNED).resolve()):
        raise UserError(
            f"{KEY}: expected a copy of the model or a Git tag, got {named}, which this stage replaces; "
            f"`dvc checkout {FINETUNED}` restores it"
        )
    if folder.is_dir():
        if not (folder / DESCRIPTION_FILE).is_file():
            raise UserError(f"{KEY}: {folder}: expected a model folder, found no {DESCRIPTION_FILE}")
        return folder
    commits = {experiment.name: experiment.commit for experiment in list_experiments(root)}
    commit = commits.get(named) or commit_of(root, named)
    if commit is None:
        raise UserError(
            f"{KEY}: expected a model folder or a Git tag, got {named!r}, which is neither in {root}"
        )
    try:
        return output_at(root, commit, FINETUNED, named)
    except UserError as error:
        raise UserError(f"{KEY}: {error}") from None
