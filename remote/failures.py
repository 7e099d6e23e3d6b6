"""What goes wrong between here and the host, as exceptions whose one line says what to do; and their exit statuses."""

from __future__ import annotations

import re

from fashionseg.errors import UserError

EXIT_BUSY = 3
EXIT_CONNECTION_LOST = 75  # EX_TEMPFAIL of sysexits.h: try again later
EXIT_INTERRUPTED = 130

SSH_FAILED = 255  # ssh's own failures; a remote command's status is below
COMMAND_NOT_FOUND = 127


class RemoteError(UserError):
    """A failure the user can mend; `exit_code` is what `fab` ends with."""

    exit_code = 2


class HostUnreachable(RemoteError):
    """No connection to the host: refused, timed out, unknown name, unknown key."""


class WorkspaceBusy(RemoteError):
    """Somebody else's job or transfer holds the workspace."""

    exit_code = EXIT_BUSY


class ConnectionLost(RemoteError):
    """The connection ended in the middle; what runs on the host goes on."""

    exit_code = EXIT_CONNECTION_LOST


class CommandFailed(RemoteError):
    """A command ran on the host and failed."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def last_words(stderr: str, lines: int = 3) -> str:
    """The last lines that are no warnings, in one."""
    kept = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("Warning:")]
    return " / ".join(kept[-lines:]) or "no message"


def explain_ssh(host: str, stderr: str) -> RemoteError:
    """Why ssh itself failed (its exit status was 255)."""
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in stderr:
        return HostUnreachable(
            f"{host}: its host key is not the one in known_hosts. Either the host was set up anew or "
            "somebody sits in between: ask its administrator for the fingerprint before you remove the old key "
            f"with `ssh-keygen -R`. {_offending(stderr)}"
        )
    if re.search(r"No \S+ host key is known for|Host key verification failed", stderr):
        return HostUnreachable(
            f"{host}: its host key is unknown, and unknown keys are not accepted. Connect once by hand "
            f"(`ssh {host}`), compare the fingerprint with the administrator's, then try again"
        )
    if "Permission denied" in stderr:
        return HostUnreachable(f"{host}: login refused ({last_words(stderr, 1)}). Does `ssh {host}` work?")
    unreachable = (
        r"Connection refused|Could not resolve|timed out|No route to host|Network is unreachable"
        r"|kex_exchange_identification|Connection closed by|not known"
    )
    if re.search(unreachable, stderr):
        return HostUnreachable(
            f"{host}: not reachable ({last_words(stderr, 1)}). Network, VPN and the host file's `host` right?"
        )
    return ConnectionLost(f"{host}: connection lost ({last_words(stderr, 1)})")


def explain_command(host: str, what: str, status: int, stderr: str) -> CommandFailed:
    """Why `what` failed on the host, with advice for what happens to everybody."""
    if "No space left on device" in stderr or "Disk quota exceeded" in stderr:
        return CommandFailed(
            f"{what}: no space left ({_line_with(stderr, 'space left', 'quota')}). Make room (`fab dgx-status` shows "
            "the host's), then give the same command again; nothing is lost",
            status,
        )
    if status == COMMAND_NOT_FOUND or "command not found" in stderr:
        return CommandFailed(f"{what}: a program is missing on {host}: {last_words(stderr, 1)}", status)
    if re.search(r"permission denied.*(docker|podman)", stderr, re.IGNORECASE):
        return CommandFailed(
            f"{what}: your account on {host} may not use the container engine ({last_words(stderr, 1)}). "
            "Ask for membership in its `docker` group, or set `engine: podman`",
            status,
        )
    return CommandFailed(f"{what}: failed on {host} with status {status}: {last_words(stderr)}", status)


def is_missing_image(stderr: str) -> bool:
    """Whether `docker run --pull=never` (or podman's) failed because it has no such image."""
    return bool(
        re.search(r"image not known|No such image|does not resolve to an image|unable to find", stderr, re.I)
    )


def is_name_taken(stderr: str) -> bool:
    """Whether a container of this name exists already: somebody was faster."""
    return "already in use" in stderr


def _offending(stderr: str) -> str:
    found = re.search(r"Offending .* key in (\S+)", stderr)
    return f"(Old key: {found.group(1)})" if found else ""


def _line_with(stderr: str, *words: str) -> str:
    return next((line.strip() for line in stderr.splitlines() if any(word in line for word in words)), "")
