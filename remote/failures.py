"""Failures of ssh, rsync and the container engine as exceptions with a one-line message, and their exit statuses."""

from __future__ import annotations

import re

from fashionseg.errors import UserError

EXIT_BUSY = 3
EXIT_CONNECTION_LOST = 75  # EX_TEMPFAIL of sysexits.h: try again later
EXIT_INTERRUPTED = 130

SSH_FAILED = 255  # ssh itself failed; a remote command's status is lower
COMMAND_NOT_FOUND = 127
# Messages of Linux, SQLite and NFS.
DISK_FULL = ("No space left on device", "disk is full", "Disk quota exceeded")


class RemoteError(UserError):
    """A failure that the user can fix; `exit_code` is the exit status of `fab`."""

    exit_code = 2


class HostUnreachable(RemoteError):
    """No connection to the host: refused, timed out, unknown name, unknown or changed key."""


class WorkspaceBusy(RemoteError):
    """Another job or transfer uses the workspace."""

    exit_code = EXIT_BUSY


class ConnectionLost(RemoteError):
    """The connection was lost; the job on the host keeps running."""

    exit_code = EXIT_CONNECTION_LOST


class CommandFailed(RemoteError):
    """A command ran on the host and failed."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def last_lines(stderr: str, lines: int = 3) -> str:
    """The last lines of `stderr` in one, without warnings."""
    kept = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("Warning:")]
    return " / ".join(kept[-lines:]) or "no message"


def explain_ssh(host: str, stderr: str) -> RemoteError:
    """The error for exit status 255, a failure of ssh itself."""
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in stderr:
        return HostUnreachable(
            f"{host}: the host key differs from known_hosts{_known_hosts_line(stderr)}. Either the host was "
            "reinstalled or the connection is intercepted: ask the administrator for the fingerprint before you "
            "remove the old key with `ssh-keygen -R`"
        )
    if re.search(r"No \S+ host key is known for|Host key verification failed", stderr):
        return HostUnreachable(
            f"{host}: the host key is unknown, and unknown keys are not accepted. Connect once with `ssh {host}`, "
            "compare the fingerprint with the administrator's, then try again"
        )
    if "Permission denied" in stderr:
        return HostUnreachable(
            f"{host}: login refused ({last_lines(stderr, 1)}). Check that `ssh {host}` works"
        )
    unreachable = (
        r"Connection refused|Could not resolve|timed out|No route to host|Network is unreachable"
        r"|kex_exchange_identification|Connection closed by|not known"
    )
    if re.search(unreachable, stderr):
        return HostUnreachable(
            f"{host}: not reachable ({last_lines(stderr, 1)}). Check network, VPN and `host` in the host file"
        )
    return ConnectionLost(f"{host}: connection lost ({last_lines(stderr, 1)})")


def explain_command(host: str, what: str, status: int, stderr: str) -> CommandFailed:
    """The error for a failed command on the host, with advice for the common causes."""
    if full := disk_full_line(stderr):
        return CommandFailed(
            f"{what}: no space left ({full}). Free some space (`fab dgx-status` shows the host's disk), then run "
            "the same command again; nothing is lost",
            status,
        )
    if status == COMMAND_NOT_FOUND or "command not found" in stderr:
        return CommandFailed(f"{what}: a program is missing on {host}: {last_lines(stderr, 1)}", status)
    if re.search(r"permission denied.*(docker|podman)", stderr, re.IGNORECASE):
        return CommandFailed(
            f"{what}: your account on {host} may not use the container engine ({last_lines(stderr, 1)}). "
            "Ask to be added to the `docker` group, or set `engine: podman`",
            status,
        )
    return CommandFailed(f"{what}: failed on {host} with status {status}: {last_lines(stderr)}", status)


def disk_full_line(printed: str) -> str:
    """The first line that reports a full disk; empty (false) if there is none."""
    return next(
        (line.strip() for line in printed.splitlines() if any(text in line for text in DISK_FULL)), ""
    )


def is_missing_image(stderr: str) -> bool:
    """Whether `docker run --pull=never` or `podman run` failed because the image does not exist."""
    return bool(
        re.search(r"image not known|No such image|does not resolve to an image|unable to find", stderr, re.I)
    )


def is_name_taken(stderr: str) -> bool:
    """Whether a container with this name exists: another command was faster."""
    return "already in use" in stderr


def _known_hosts_line(stderr: str) -> str:
    found = re.search(r"Offending .* key in (\S+)", stderr)
    return f" ({found.group(1)})" if found else ""
