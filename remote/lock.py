"""Locks on the checkout and on the workspace: one command at a time changes them.

Each lock is held by a process and released when the process ends, even after a power cut:

- on this machine, a lock on `.fashionseg/dgx.lock` of the checkout;
- on the host, `flock` in a shell that waits for its input to close, which happens when the connection ends.

A laptop that goes to sleep leaves the shell on the host waiting, so a checkout may take over its own old lock: the
checkout lock proves that the holder is gone. A running job does not hold these locks; its container's name is the lock
(`job`).
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import Popen, TimeoutExpired

from fashionseg.project import STATE_FOLDER
from fashionseg.storage.file_lock import file_lock
from remote.commands import script
from remote.failures import CommandFailed, WorkspaceBusy, explain_command
from remote.runner import Host

# $1 state folder, $2 note about the owner. The note begins with the holder's process id, for taking over. `9>&-`: the
# waiting `cat` must not keep the lock when the shell is killed.
HOLD = """
mkdir -p "$1" && exec 9>>"$1/lock" || exit 1
if flock -n 9; then
    printf '%s\\n%s\\n' "$$" "$2" > "$1/lock.owner" || exit 1
    echo locked
    cat > /dev/null 9>&-
else
    echo busy
    cat "$1/lock.owner"
fi
"""
BREAK = 'kill "$1" 2>/dev/null; sleep 0.2'


@dataclass(frozen=True)
class Owner:
    """User and checkout of a command, shown to other users."""

    user: str
    checkout: str

    def __str__(self) -> str:
        return f"{self.user} ({self.checkout})"


def this_owner() -> Owner:
    """User, machine and checkout of this command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        user = str(os.getuid())
    return Owner(f"{user}@{socket.gethostname()}", str(Path.cwd().resolve()))


@contextmanager
def checkout_lock() -> Iterator[None]:
    """Prevents two commands in this checkout from sending or fetching at the same time.

    Raises:
        WorkspaceBusy: another command holds the lock.
    """
    with file_lock(Path(STATE_FOLDER) / "dgx.lock") as is_locked:
        if not is_locked:
            raise WorkspaceBusy("another `fab` command is sending or fetching in this checkout; wait for it")
        yield


@contextmanager
def workspace_lock(host: Host, owner: Owner, purpose: str) -> Iterator[None]:
    """Prevents other commands from changing the workspace on the host; requires `checkout_lock`.

    Raises:
        WorkspaceBusy: another owner holds the lock; the message names owner, purpose and time.
    """
    note = json.dumps(asdict(owner) | {"purpose": purpose, "since": time.strftime("%Y-%m-%d %H:%M %Z")})
    words = script(HOLD, host.settings.state, note)
    for is_last in (False, True):
        holder = host.start(words)
        assert holder.stdin is not None and holder.stdout is not None
        answer = holder.stdout.readline().strip()
        if answer == "locked":
            try:
                yield
            finally:
                _end(holder)
            return
        holder_note = holder.stdout.read()
        _end(holder)
        if answer != "busy":
            raise _lock_failure(host)
        pid, held = _parse_note(holder_note)
        if is_last or {key: held.get(key) for key in ("user", "checkout")} != asdict(owner):
            raise WorkspaceBusy(
                f"{host.settings.host}:{host.settings.workspace} is locked by {held.get('user', 'unknown user')} "
                f"({held.get('checkout', '?')}): {held.get('purpose', '?')}, since {held.get('since', '?')}"
            )
        host.run(script(BREAK, pid), "taking over the lock", check=False)


def _lock_failure(host: Host) -> CommandFailed:
    """Runs the first step again for its error message, as the lock's own messages went to the terminal."""
    check = script('mkdir -p "$1" && : >> "$1/lock" && command -v flock', host.settings.state)
    result = host.run(check, "", check=False)
    reason = result.stderr or "command not found: flock (package util-linux)"
    what = f"locking {host.settings.workspace}"
    return explain_command(host.settings.host, what, result.status or 1, reason)


def _end(holder: Popen[str]) -> None:
    if holder.stdin:
        holder.stdin.close()
    try:
        holder.wait(10)
    except TimeoutExpired:
        holder.kill()
        holder.wait()
    if holder.stdout:
        holder.stdout.close()


def _parse_note(text: str) -> tuple[str, dict[str, str]]:
    """Process id and note of the lock's holder; empty if unreadable."""
    pid, _, note = text.partition("\n")
    try:
        return str(int(pid)), json.loads(note)
    except ValueError:
        return "", {}
