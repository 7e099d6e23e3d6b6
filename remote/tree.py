"""Files of the checkout that are sent to the host, and the rsync rules that make the workspace equal to them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from fashionseg.errors import UserError

# Never sent, even if Git does not ignore them.
SECRETS = (
    "kaggle.json",
    "access_token",
    "access_token.txt",
    ".kaggle",
    ".aws",
    ".ssh",
    ".pypirc",
    ".pgpass",
    ".env",
    ".env.*",
    "*.env",
    ".netrc",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.ppk",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "credentials",
    "credentials.json",
    "config.local",
    "host.yaml",
)
# Not needed by a job: no stage imports or depends on them.
NOT_SENT = ("docs", "tests", "tools")
# Exist on the host only. The rest of the workspace is made equal to the checkout: a source file deleted here but kept
# on the host would change the hashes of the stages' dependencies.
KEPT_ON_HOST = (".fashionseg", ".dvc/cache", ".dvc/tmp", ".dvc/config.local", "__pycache__")


def checkout_files() -> list[str]:
    """Files of the checkout that Git tracks or would add, sorted; without deleted files, secrets and NOT_SENT folders.

    Raises:
        UserError: not a Git checkout.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError(f"git ls-files: {done.stderr.strip()}")
    files = set(done.stdout.split("\0")) - {""}
    return sorted(
        name
        for name in files
        if PurePosixPath(name).parts[0] not in NOT_SENT
        and not is_secret(name)
        and (Path(name).is_symlink() or Path(name).is_file())
    )


def is_secret(name: str) -> bool:
    """Whether a part of the path has the name of a credential file."""
    return any(
        part == ".git" or any(fnmatch(part.lower(), pattern) for pattern in SECRETS)
        for part in PurePosixPath(name).parts
    )


def filter_rules(files: Iterable[str], outputs: Iterable[str]) -> str:
    """Rules for `rsync --recursive --delete --filter='merge FILE'` from the checkout to the workspace.

    `S` shows `files` to the sender and `H` hides all others; `P` protects files that exist on the host only (`outputs`
    of the stages and KEPT_ON_HOST) from deletion. All other files on the host are deleted.

    Raises:
        UserError: a name with a line break, which rsync's rules do not support.
    """
    files, outputs = list(files), list(outputs)
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."}
    kept = [path if path == "__pycache__" else f"/{path}" for path in (*KEPT_ON_HOST, *sorted(outputs))]
    rules = [f"P {_escape(path)}" for path in kept]
    # And their parent folders, which rsync would try to delete when they have no other files.
    rules += [f"P /{folder}/" for folder in sorted({str(Path(path).parent) for path in outputs} - {"."})]
    rules += [f"S /{_escape(folder)}/" for folder in sorted(folders)]
    rules += [f"S /{_escape(name)}" for name in files]
    return "\n".join([*rules, "H *", ""])


def changed_names(itemized: str) -> list[str]:
    """Files sent or deleted, from rsync's `--itemize-changes` output; changes of times only are excluded."""
    return re.findall(r"^(?:[<>c][fdLDS]\S{9}|\*deleting) +(.+)$", itemized, re.MULTILINE)


def _escape(name: str) -> str:
    if "\n" in name or "\r" in name:
        raise UserError(f"{name!r}: a file name with a line break cannot be sent; rename the file")
    return re.sub(r"([*?\[\\])", r"\\\1", name) if re.search(r"[*?\[]", name) else name
