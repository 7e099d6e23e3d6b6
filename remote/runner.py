"""Runs the command lines of `commands` over one shared SSH connection, and raises failures as one-line errors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from remote import commands, failures
from remote.settings import HostSettings

# Exit statuses of rsync (manual page) for a broken stream, a signal and timeouts.
RSYNC_CONNECTION = (12, 20, 30, 35)
MAX_SOCKET_PATH = 80  # ssh appends 17 characters while it connects; 107 are allowed


@dataclass(frozen=True)
class Result:
    """Output and exit status of a command."""

    stdout: str
    stderr: str
    status: int


class Host:
    """An open connection to the host, used as `with Host(settings) as host`.

    Raises on entering:
        HostUnreachable: no connection, an unknown or changed host key, or a refused login.
    """

    def __init__(self, settings: HostSettings) -> None:
        self.settings = settings
        self.batch = not sys.stdin.isatty()
        self._folder = _socket_folder()
        self._control_path = str(self._folder / "s")

    def __enter__(self) -> Host:
        # A file, not a pipe, because the background process keeps it open.
        with (self._folder / "stderr").open("w+") as stderr:
            command = commands.master_command(self.settings, self._control_path, batch=self.batch)
            status = _call(command, stderr=stderr.fileno())
            stderr.seek(0)
            if status != 0:
                self.__exit__(None, None, None)
                raise failures.explain_ssh(self.settings.host, stderr.read())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        command = commands.close_command(self.settings, self._control_path)
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, words: Sequence[str], what: str, *, stdin: str = "", check: bool = True) -> Result:
        """Runs `words` on the host; `what` describes the command in errors.

        Raises:
            ConnectionLost, HostUnreachable: the command may or may not have run.
            CommandFailed: the command failed, and `check` is set.
        """
        command = self._ssh(words)
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, errors="replace")
        if done.returncode == failures.SSH_FAILED:
            raise failures.explain_ssh(self.settings.host, done.stderr)
        if check and done.returncode != 0:
            message = done.stderr or done.stdout
            raise failures.explain_command(self.settings.host, what, done.returncode, message)
        return Result(done.stdout, done.stderr, done.returncode)

    def start(self, words: Sequence[str]) -> subprocess.Popen[str]:
        """Starts `words` on the host with pipes for standard input and output."""
        return subprocess.Popen(self._ssh(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def show(self, words: Sequence[str]) -> int:
        """Runs `words` on the host and shows both output streams; returns the exit status.

        Raises:
            ConnectionLost: the connection was lost.
        """
        status = _call(self._ssh(words))
        if status == failures.SSH_FAILED:
            raise failures.ConnectionLost(f"{self.settings.host}: connection lost; run the command again")
        return status

    def terminal(self, words: Sequence[str]) -> int:
        """Runs `words` on the host with the user's terminal."""
        return _call(self._ssh(words, tty=True))

    def follow(self, words: Sequence[str], mlflow: str | None) -> subprocess.Popen[bytes]:
        """Starts `words` over a separate connection, with the reverse tunnel to `mlflow`."""
        command = commands.follow_command(self.settings, words, batch=self.batch, mlflow=mlflow)
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)

    def rsync(
        self, source: str, target: str, flags: Sequence[str], what: str, *, files: Sequence[str] | None = None
    ) -> str:
        """Copies `source` to `target` with rsync; a path that begins with `:` is on the host.

        Args:
            what: describes the transfer in errors.
            files: copies only these, relative to `source`.

        Returns:
            rsync's output; with the flag `--itemize-changes`, the list of changes.

        Raises:
            ConnectionLost: the connection was lost; the same call resumes the transfer.
            CommandFailed: no space, no permission, no rsync.
        """
        names = None
        if files is not None:
            flags = [*flags, "--files-from=-", "--from0"]
            names = "".join(f"{name}\0" for name in files)
        command = commands.rsync_command(
            self.settings, self._control_path, source, target, flags, batch=self.batch
        )
        try:
            done = subprocess.run(command, input=names, capture_output=True, text=True, errors="replace")
        except FileNotFoundError:
            raise failures.RemoteError("rsync: not installed on this machine") from None
        if done.returncode == failures.SSH_FAILED:
            raise failures.explain_ssh(self.settings.host, done.stderr)
        # A full disk and a missing rsync on the host give the same statuses.
        has_reason = failures.disk_full_line(done.stderr) or "not found" in done.stderr
        if done.returncode in RSYNC_CONNECTION and not has_reason:
            host = self.settings.host
            raise failures.ConnectionLost(
                f"{what}: connection to {host} lost ({failures.last_lines(done.stderr, 1)}); "
                "run the same command again to resume"
            )
        if done.returncode != 0:
            raise failures.explain_command(self.settings.host, what, done.returncode, done.stderr)
        return done.stdout

    def _ssh(self, words: Sequence[str], *, tty: bool = False) -> list[str]:
        return commands.ssh_command(self.settings, self._control_path, words, batch=self.batch, tty=tty)


def _call(command: Sequence[str], stderr: int | None = None) -> int:
    try:
        return subprocess.run(command, stderr=stderr).returncode
    except FileNotFoundError:
        raise failures.RemoteError(f"{command[0]}: not installed on this machine") from None


def _socket_folder() -> Path:
    """A private folder with a path short enough for a socket (the default of macOS is too long)."""
    folder = Path(tempfile.mkdtemp(prefix="fab-"))
    if len(str(folder)) > MAX_SOCKET_PATH and os.access("/tmp", os.W_OK):
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="fab-", dir="/tmp"))
    return folder
