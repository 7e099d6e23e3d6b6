"""To the host: the tree, the DVC objects that the stages may need, and the journals."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import read_yaml
from fashionseg.project import STATE_FOLDER
from remote import dvc_files, local, tree
from remote.commands import Login, script
from remote.runner import Host

PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
SENT = STATE_FOLDER / "dgx"  # copies of what was sent last, to see later whether it has changed here
JOURNAL = ".fashionseg/journal/"
# The part of a journal that belongs to one machine: how far which MLflow has it, and the lock of the sender.
OWN_OF_JOURNAL = ("sent.json", "lock", "mirror.log")

# $1 workspace. Private: the tunnel's socket is in there. Prints who we are.
PREPARE = """
set -e
umask 077
mkdir -p "$1/.fashionseg/home" "$1/.fashionseg/partial" "$1/.fashionseg/journal"
mkdir -p "$1/.dvc/cache/files/md5" "$1/.dvc/tmp"
printf '[core]\\n    no_scm = true\\n    autostage = false\\n' > "$1/.dvc/config.local"
id -un; id -u; id -g
"""


# $1 env_file. Prints it when others may read it.
READABLE = 'if [ -e "$1" ]; then find -L "$1" -maxdepth 0 -perm /077; fi'


def read_pipeline() -> Mapping[str, Any]:
    """dvc.yaml of the checkout."""
    return read_yaml(PIPELINE)


def prepare(host: Host) -> Login:
    """Makes the workspace's folders and DVC's settings there: no Git, as only the tree is sent."""
    settings = host.settings
    result = host.run(script(PREPARE, settings.workspace), f"preparing {settings.host}:{settings.workspace}")
    user, uid, gid = result.stdout.split()[-3:]
    if settings.env_file:
        _refuse_readable(host, settings.env_file)
    return Login(user, int(uid), int(gid))


def _refuse_readable(host: Host, env_file: str) -> None:
    """The file of credentials on the host is the user's alone.

    Raises:
        UserError: others there may read it.
    """
    found = host.run(script(READABLE, env_file), f"looking at {env_file}")
    if found.stdout.strip():
        name = host.settings.host
        raise UserError(f"env_file: others on {name} can read {env_file}; there: `chmod 600 {env_file}`")


def push(host: Host) -> None:
    """Makes the workspace equal to the checkout. Needs both locks, and no job running there."""
    num_files = push_tree(host)
    num_objects = push_objects(host)
    push_journals(host)
    SENT.mkdir(parents=True, exist_ok=True)
    for path in (LOCK, Path("params.yaml")):
        (SENT / path.name).unlink(missing_ok=True)
        if path.exists():
            shutil.copyfile(path, SENT / path.name)
    place = f"{host.settings.host}:{host.settings.workspace}"
    say(f"sync: {place} is up to date ({num_files} files and {num_objects} cache objects sent)")


def push_tree(host: Host) -> int:
    """The files of the checkout; returns how many were sent or deleted."""
    rules = tree.filter_rules(tree.checkout_files(), _cached_outputs())
    with tempfile.NamedTemporaryFile("w", suffix=".rules") as file:
        file.write(rules)
        file.flush()
        # By content: Git and DVC write the same text with a new time.
        flags = [
            "--recursive",
            "--links",
            "--perms",
            "--times",
            "--checksum",
            "--delete",
            "--itemize-changes",
        ]
        flags += [f"--filter=merge {file.name}"]
        changes = host.rsync("./", f":{host.settings.workspace}/", flags, "sending the tree")
    return len(tree.changed_names(changes))


def push_objects(host: Host) -> int:
    """The objects behind dvc.lock that this machine has; returns how many were missing there."""
    if not LOCK.exists():
        return 0
    cache = local.cache_folder()
    found = dvc_files.locked_outputs(read_yaml(LOCK), read_pipeline())
    objects = [path for path in dvc_files.needed_objects(cache, found) if (cache / path).exists()]
    if not objects:
        return 0
    partial = f"{host.settings.state}/partial"
    flags = ["--times", "--perms", "--ignore-existing", f"--partial-dir={partial}", "--itemize-changes"]
    target = f":{host.settings.workspace}/.dvc/cache/"
    changes = host.rsync(f"{cache}/", target, flags, "sending DVC's objects", files=objects)
    return len(tree.changed_names(changes))


def push_journals(host: Host) -> None:
    """So that a run which began here goes on there as the same run."""
    if Path(JOURNAL).is_dir():
        flags = ["--recursive", "--times", "--update", *(f"--exclude={name}" for name in OWN_OF_JOURNAL)]
        host.rsync(JOURNAL, f":{host.settings.workspace}/{JOURNAL}", flags, "sending the journals")


def _cached_outputs() -> list[str]:
    return [path for path, is_cached in dvc_files.outputs(read_pipeline()).items() if is_cached]
