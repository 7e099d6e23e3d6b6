"""Every command line, as a list of words built by a pure function; nothing is run here.

A remote script takes its values as positional parameters (`$1`, ...), so no value is ever part of a script's text;
`ssh_command` quotes all words for the login shell on the other side.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remote.settings import HostSettings

WORKSPACE = "/workspace"  # the workspace as the container sees it
STATE = f"{WORKSPACE}/.fashionseg"
SOCKET = "mlflow.sock"
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Login:
    """Who we are on the host."""

    user: str
    uid: int
    gid: int


def ssh_options(settings: HostSettings, *, batch: bool) -> list[str]:
    """What every connection has: checked host keys, and an end to waiting for a peer that is gone.

    batch: never ask for a password or passphrase, as where nobody sits at the terminal.
    """
    options = ["-F", settings.ssh_config] if settings.ssh_config else []
    for option in (
        "StrictHostKeyChecking=yes",
        f"ConnectTimeout={CONNECT_SECONDS}",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=4",
        "RemoteCommand=none",  # the user's config may start tmux at login
        "ControlMaster=no",
        *(["BatchMode=yes"] if batch else []),
    ):
        options += ["-o", option]
    return options


def master_command(settings: HostSettings, control_path: str, *, batch: bool) -> list[str]:
    """Opens the connection that the short commands and rsync share, in the background."""
    # A minute after the last command, should `fab` have been killed.
    options = ["-o", "ControlPersist=60", *ssh_options(settings, batch=batch)]
    return ["ssh", "-f", "-N", "-M", "-S", control_path, *options, *_no_forwards(), "--", settings.host]


def close_command(settings: HostSettings, control_path: str) -> list[str]:
    return ["ssh", "-S", control_path, "-O", "exit", "--", settings.host]


def ssh_command(
    settings: HostSettings, control_path: str, words: Sequence[str], *, batch: bool, tty: bool = False
) -> list[str]:
    """Runs `words` on the host through the shared connection, or its own where that is gone."""
    terminal = "-tt" if tty else "-T"
    options = ["-S", control_path, *ssh_options(settings, batch=batch), *_no_forwards()]
    return ["ssh", terminal, *options, "--", settings.host, shlex.join(words)]


def follow_command(
    settings: HostSettings, words: Sequence[str], *, batch: bool, mlflow: str | None
) -> list[str]:
    """Runs `words` over a connection of its own; with the address `mlflow` (host:port) also the reverse tunnel.

    Of its own, because the tunnel must end when the following ends.
    """
    tunnel = ["-R", f"{settings.state}/{SOCKET}:{mlflow}"] if mlflow else _no_forwards()
    options = ["-S", "none", *ssh_options(settings, batch=batch), *tunnel]
    return ["ssh", "-T", *options, "--", settings.host, shlex.join(words)]


def _no_forwards() -> list[str]:
    """Two connections cannot both open the forwards of the user's ssh config."""
    return ["-o", "ClearAllForwardings=yes"]


def rsync_command(
    settings: HostSettings,
    control_path: str,
    source: str,
    target: str,
    flags: Sequence[str],
    *,
    batch: bool,
) -> list[str]:
    """rsync over the shared connection. `source` and `target` are paths; the remote one begins with `:`."""
    shell = shlex.join(["ssh", "-S", control_path, *ssh_options(settings, batch=batch), *_no_forwards()])
    source, target = (settings.host + path if path.startswith(":") else path for path in (source, target))
    return ["rsync", "--rsh", shell, "--timeout=120", *flags, "--", source, target]


def script(text: str, *arguments: str) -> list[str]:
    """A shell script with its positional parameters, for whatever login shell the user has there."""
    return ["sh", "-c", text, "fab", *arguments]


def gpu_flags(settings: HostSettings) -> list[str]:
    """How `gpus` of the host file is said to the engine."""
    if settings.gpus == "none":
        return []
    if settings.engine == "podman":
        return [word for gpu in settings.gpus.split(",") for word in ("--device", f"nvidia.com/gpu={gpu}")]
    # Docker splits the value at commas unless it is quoted inside.
    return ["--gpus", "all" if settings.gpus == "all" else f'"device={settings.gpus}"']


def container_flags(settings: HostSettings, login: Login, commit: str) -> list[str]:
    """What the job, `dgx-shell` and the checks of `dgx-doctor` have in common: GPUs, user, workspace, environment.

    commit: what the runs are tagged with, as the workspace there has no Git.
    """
    environment = {
        "HOME": f"{STATE}/home",  # an unknown uid has none, and MLflow and DVC ask for it
        "USER": login.user,
        "LOGNAME": login.user,
        "PYTHONPATH": f"{WORKSPACE}/src",
        "PYTHONUNBUFFERED": "1",
        # DVC would take `__pycache__` for a part of the sources, and find others here than there.
        "PYTHONDONTWRITEBYTECODE": "1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": f"{STATE}/dvc-site-cache",  # else every job hashes all photos again
        "GIT_PYTHON_REFRESH": "quiet",  # no Git in the image
        "FASHIONSEG_GIT_COMMIT": commit,
    }
    flags = [*gpu_flags(settings), *settings.docker_flags]
    if settings.container_user != "image":
        is_login = settings.container_user == "login"
        flags += ["--user", f"{login.uid}:{login.gid}" if is_login else settings.container_user]
    flags += ["--mount", f"type=bind,source={settings.workspace},target={WORKSPACE}", "--workdir", WORKSPACE]
    if settings.env_file:
        flags += ["--env-file", settings.env_file]
    for name, value in environment.items():
        flags += ["--env", f"{name}={value}"]
    return flags


def job_command(
    settings: HostSettings, login: Login, labels: Mapping[str, str], commit: str, stages: Sequence[str]
) -> list[str]:
    """Starts the stages (all, when none are named) in a detached container."""
    words = [settings.engine, "run", "--detach", "--pull=never", "--name", settings.job_name]
    for name, value in labels.items():
        words += ["--label", f"{name}={value}"]
    words += [*container_flags(settings, login, commit), settings.image, "python", "remote/entrypoint.py"]
    if settings.mlflow:
        words += ["--mlflow-socket", f"{STATE}/{SOCKET}"]
    return [*words, "--", *stages]


def check_command(settings: HostSettings, login: Login) -> list[str]:
    """Runs the Python program on standard input in a throw-away container."""
    words = [settings.engine, "run", "--rm", "--interactive", "--pull=never", *gpu_flags(settings)]
    if settings.container_user == "login":
        words += ["--user", f"{login.uid}:{login.gid}"]
    return [*words, *settings.docker_flags, "--env", "HOME=/tmp", settings.image, "python", "-"]


def shell_command(settings: HostSettings, login: Login, commit: str, *, is_running: bool) -> list[str]:
    """A shell beside the running job, or in a container like the job's."""
    if is_running:
        return [settings.engine, "exec", "--interactive", "--tty", settings.job_name, "bash"]
    flags = container_flags(settings, login, commit)
    return [
        settings.engine,
        *("run", "--rm", "--interactive", "--tty", "--pull=never"),
        *flags,
        settings.image,
        "bash",
    ]
