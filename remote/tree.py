"""Which files of the checkout go to the host, and the rsync rules that make the workspace equal to them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from fashionseg.errors import UserError

# Never sent, whether or not Git ignores them.
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
# What only the host has. The rest of the workspace is made equal to the checkout: a source file that was deleted here
# and stayed there would change the hashes of the stages' dependencies.
KEPT_THERE = (".fashionseg", ".dvc/cache", ".dvc/tmp", ".dvc/config.local", "__pycache__")


def checkout_files() -> list[str]:
    """Files of the checkout that Git has or would add, without secrets, sorted; none that are deleted.

    Raises:
        UserError: not a Git checkout.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError(f"git ls-files: {done.stderr.strip()}")
    files = set(done.stdout.split("\0")) - {""}
    return sorted(
        name for name in files if not is_secret(name) and (Path(name).is_symlink() or Path(name).is_file())
    )


def is_secret(name: str) -> bool:
    """Whether any part of the path looks like a credential."""
    return any(
        part == ".git" or any(fnmatch(part.lower(), pattern) for pattern in SECRETS)
        for part in PurePosixPath(name).parts
    )


def filter_rules(files: Iterable[str], outputs: Iterable[str]) -> str:
    """Rules for `rsync --recursive --delete --filter='merge FILE'` from the checkout to the workspace.

    `S` shows exactly `files` to the sender and `H` hides all else; `P` protects what the host alone has (`outputs` of
    the stages and KEPT_THERE) from deletion. Everything else there goes.

    Raises:
        UserError: a name with a line break, which a rule cannot hold.
    """
    files, outputs = list(files), list(outputs)
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."}
    kept = [path if path == "__pycache__" else f"/{path}" for path in (*KEPT_THERE, *sorted(outputs))]
    rules = [f"P {_escape(path)}" for path in kept]
    # Nor their folders, which rsync would try to delete when nothing else is in them.
    rules += [f"P /{folder}/" for folder in sorted({str(Path(path).parent) for path in outputs} - {"."})]
    rules += [f"S /{_escape(folder)}/" for folder in sorted(folders)]
    rules += [f"S /{_escape(name)}" for name in files]
    return "\n".join([*rules, "H *", ""])


def changed_names(itemized: str) -> list[str]:
    """Names from rsync's `--itemize-changes` output that were sent or deleted; new times alone do not count."""
    return re.findall(r"^(?:[<>c][fdLDS]\S{9}|\*deleting) +(.+)$", itemized, re.MULTILINE)


def _escape(name: str) -> str:
    if "\n" in name or "\r" in name:
        raise UserError(f"{name!r}: a file name with a line break cannot be sent")
    return re.sub(r"([*?\[\\])", r"\\\1", name) if re.search(r"[*?\[]", name) else name
