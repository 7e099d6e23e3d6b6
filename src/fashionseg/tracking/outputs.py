"""Folders that DVC tracks, as they were at a commit."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from fashionseg.errors import UserError
from fashionseg.project import state_folder
from fashionseg.storage.atomic import atomic_directory


def output_at(root: Path, commit: str, output: Path, named: str) -> Path:
    """A folder with the files of the tracked folder `output` at a commit, from DVC's cache or remote storage.

    Copied once, into `.fashionseg/outputs`.

    Args:
        root: root of the checkout.
        output: relative to it.
        named: what the user called the commit, for messages.

    Raises:
        UserError: the folder is not in the commit, or its files are not at hand.
    """
    folder = state_folder("outputs") / commit / output
    if folder.is_dir():
        return folder
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    try:
        with atomic_directory(folder) as temporary:
            source = DVCFileSystem(str(root), rev=commit)
            for name in source.find(output.as_posix()):
                target = temporary / PurePosixPath(name.lstrip("/")).relative_to(output.as_posix())
                target.parent.mkdir(parents=True, exist_ok=True)
                source.get_file(name, str(target))
    except (OSError, DvcException) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{output} of {named!r} is not in DVC's cache or storage; `dvc fetch` brings it ({reason})"
        ) from None
    return folder
