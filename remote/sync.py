"""Transfer to the host: the source tree, the DVC objects that the stages may need, and the journals."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE as PARAMS
from fashionseg.params import read_yaml
from fashionseg.project import STATE_FOLDER
from remote import dvc_files, local, tree
from remote.commands import Login, script
from remote.runner import Host

PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")
SENT = Path(STATE_FOLDER) / "dgx"  # copies of dvc.lock and params.yaml as sent, to detect later local changes
JOURNAL = f"{STATE_FOLDER}/journal/"
# Without the files that belong to one machine: cursors per MLflow server, the sender's lock and log.
JOURNAL_FLAGS = ("--recursive", "--times", "--exclude=sent.json", "--exclude=lock", "--exclude=mirror.log")

# $1 workspace, $2 state folder. Private, as the tunnel's socket is in the state folder. Prints the account.
PREPARE = """
set -e
umask 077
mkdir -p "$2/home" "$2/partial" "$2/journal"
mkdir -p "$1/.dvc/cache/files/md5" "$1/.dvc/tmp"
printf '[core]\\n    no_scm = true\\n    autostage = false\\n' > "$1/.dvc/config.local"
id -un; id -u; id -g
"""


# $1 env_file. Prints the path if group or others can access the file.
READABLE = 'if [ -e "$1" ]; then find -L "$1" -maxdepth 0 -perm /077; fi'


def read_pipeline() -> Mapping[str, Any]:
    """dvc.yaml of the checkout."""
    return read_yaml(PIPELINE)


def prepare(host: Host) -> Login:
    """Creates the workspace's folders and DVC's settings on the host (no Git, as only the tree is sent).

    Raises:
        UserError: other users can read `env_file`.
        CommandFailed: the workspace cannot be created.
    """
    settings = host.settings
    prepare_script = script(PREPARE, settings.workspace, settings.state)
    result = host.run(prepare_script, f"preparing {settings.host}:{settings.workspace}")
    user, uid, gid = result.stdout.split()[-3:]
    if settings.env_file:
        _refuse_readable(host, settings.env_file)
    return Login(user, int(uid), int(gid))


def _refuse_readable(host: Host, env_file: str) -> None:
    found = host.run(script(READABLE, env_file), f"checking {env_file}")
    if found.stdout.strip():
        raise UserError(
            f"env_file: other users of {host.settings.host} can read {env_file}; run `chmod 600 {env_file}` there"
        )


def push(host: Host) -> None:
    """Makes the workspace equal to the checkout. Requires both locks and no running job."""
    num_files = push_tree(host)
    num_objects = push_objects(host)
    push_journals(host)
    SENT.mkdir(parents=True, exist_ok=True)
    for path in (LOCK, PARAMS):
        (SENT / path.name).unlink(missing_ok=True)
        if path.exists():
            shutil.copyfile(path, SENT / path.name)
    place = f"{host.settings.host}:{host.settings.workspace}"
    say(f"sync: {place} is up to date ({num_files} files and {num_objects} cache objects sent)")


def push_tree(host: Host) -> int:
    """Sends the files of the checkout; returns the number of files sent or deleted."""
    rules = tree.filter_rules(tree.checkout_files(), _cached_outputs())
    with tempfile.NamedTemporaryFile("w", suffix=".rules") as file:
        file.write(rules)
        file.flush()
        # By checksum, because Git and DVC rewrite unchanged files with a new time.
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
    """Sends the local cache objects that dvc.lock refers to; returns the number of objects sent."""
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
    """Sends the journals, so that a run started here is resumed on the host as the same run."""
    if Path(JOURNAL).is_dir():
        target = f":{host.settings.workspace}/{JOURNAL}"
        host.rsync(JOURNAL, target, [*JOURNAL_FLAGS, "--update"], "sending the journals")


def _cached_outputs() -> list[str]:
    return [path for path, is_cached in dvc_files.outputs(read_pipeline()).items() if is_cached]
