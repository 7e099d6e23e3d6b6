"""One command at a time changes a workspace, or a checkout.

Two locks, each held by a living process and therefore gone with it, even after a power cut:

- here, on `.fashionseg/dgx.lock` of the checkout;
- there, by `flock` in a shell that waits for its input to close, which is when our connection ends.

A laptop whose lid was closed leaves the shell there waiting (nobody told it), so the same checkout may take its own
old lock over: the lock here has proved that its holder is gone. A running job is no matter of these locks; its
container's name is its lock (`job`).
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fashionseg.project import STATE_FOLDER
from remote.commands import script
from remote.failures import CommandFailed, WorkspaceBusy, explain_command
from remote.runner import Host

# $1 state folder, $2 who. The holder's process id comes first in the note, for taking over. `9>&-`: the waiting `cat`
# must not keep the lock when the shell is killed.
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
    """Who gives a command: shown to others, and told apart from them."""

    user: str
    checkout: str

    def __str__(self) -> str:
        return f"{self.user} ({self.checkout})"


def this_owner() -> Owner:
    """The user, machine and checkout of this command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        user = str(os.getuid())
    return Owner(f"{user}@{socket.gethostname()}", str(Path.cwd().resolve()))


@contextmanager
def checkout_lock() -> Iterator[None]:
    """Keeps a second command in this checkout from sending or fetching at the same time."""
    STATE_FOLDER.mkdir(exist_ok=True)
    with (STATE_FOLDER / "dgx.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceBusy(
                "another `fab` command is sending or fetching in this checkout; wait for it"
            ) from None
        yield


@contextmanager
def workspace_lock(host: Host, owner: Owner, purpose: str) -> Iterator[None]:
    """Keeps others from changing the workspace on the host; needs `checkout_lock` around it.

    Raises:
        WorkspaceBusy: somebody else holds it; says who, for what and since when.
    """
    note = json.dumps(asdict(owner) | {"purpose": purpose, "since": _now()})
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
        left = holder.stdout.read()
        _end(holder)
        if answer != "busy":
            raise _no_lock(host)
        pid, held = _parse_note(left)
        if is_last or {key: held.get(key) for key in ("user", "checkout")} != asdict(owner):
            raise WorkspaceBusy(
                f"{host.settings.host}:{host.settings.workspace} is held by {held.get('user', 'somebody')} "
                f"({held.get('checkout', '?')}): {held.get('purpose', '?')}, since {held.get('since', '?')}"
            )
        host.run(script(BREAK, pid), "taking over the lock", check=False)


def _no_lock(host: Host) -> CommandFailed:
    """Asks again for the reason, as the lock's own words went to the terminal."""
    result = host.run(
        script('mkdir -p "$1" && : >> "$1/lock" && command -v flock', host.settings.state), "", check=False
    )
    reason = result.stderr or "command not found: flock (package util-linux)"
    return explain_command(
        host.settings.host, f"locking {host.settings.workspace}", result.status or 1, reason
    )


def _end(holder: object) -> None:
    from subprocess import Popen, TimeoutExpired

    assert isinstance(holder, Popen)
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
    """Process id and note of the holder; empty where it cannot be read."""
    pid, _, note = text.partition("\n")
    try:
        return str(int(pid)), json.loads(note)
    except ValueError:
        return "", {}


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M %Z")
