"""Command lines as lists of words, built by pure functions; nothing is run here.

A remote script takes its values as positional parameters (`$1`, ...), so no value is part of a script's text;
`ssh_command` quotes all words for the login shell on the host.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fashionseg.project import STATE_FOLDER
from remote.settings import HostSettings

WORKSPACE = "/workspace"  # the workspace inside the container
STATE = f"{WORKSPACE}/{STATE_FOLDER}"
SOCKET = "mlflow.sock"
CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Login:
    """The user's account on the host."""

    user: str
    uid: int
    gid: int


def ssh_options(settings: HostSettings, *, batch: bool) -> list[str]:
    """Options of all connections: strict host key checking, and keep-alives that detect a dead peer.

    Args:
        batch: never ask for a password or passphrase, as without a terminal.
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
    """Opens the background connection that short commands and rsync share."""
    # Closed a minute after the last command if `fab` was killed.
    options = ["-o", "ControlPersist=60", *ssh_options(settings, batch=batch)]
    return ["ssh", "-f", "-N", "-M", "-S", control_path, *options, *_no_forwards(), "--", settings.host]


def close_command(settings: HostSettings, control_path: str) -> list[str]:
    return ["ssh", "-S", control_path, "-O", "exit", "--", settings.host]


def ssh_command(
    settings: HostSettings, control_path: str, words: Sequence[str], *, batch: bool, tty: bool = False
) -> list[str]:
    """Runs `words` on the host through the shared connection, or a new one if the shared connection is gone."""
    terminal = "-tt" if tty else "-T"
    options = ["-S", control_path, *ssh_options(settings, batch=batch), *_no_forwards()]
    return ["ssh", terminal, *options, "--", settings.host, shlex.join(words)]


def follow_command(
    settings: HostSettings, words: Sequence[str], *, batch: bool, mlflow: str | None
) -> list[str]:
    """Runs `words` over a separate connection, with a reverse tunnel to the address `mlflow` (host:port) if given.

    Separate, because the tunnel must close when following the log ends.
    """
    tunnel = ["-R", f"{settings.state}/{SOCKET}:{mlflow}"] if mlflow else _no_forwards()
    options = ["-S", "none", *ssh_options(settings, batch=batch), *tunnel]
    return ["ssh", "-T", *options, "--", settings.host, shlex.join(words)]


def _no_forwards() -> list[str]:
    """Disables the forwards of the user's ssh config, which two connections cannot both open."""
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
    """rsync over the shared connection, from `source` to `target`; the remote path begins with `:`."""
    shell = shlex.join(["ssh", "-S", control_path, *ssh_options(settings, batch=batch), *_no_forwards()])
    source, target = (settings.host + path if path.startswith(":") else path for path in (source, target))
    return ["rsync", "--rsh", shell, "--timeout=120", *flags, "--", source, target]


def script(text: str, *arguments: str) -> list[str]:
    """A shell script with positional parameters, independent of the login shell on the host."""
    return ["sh", "-c", text, "fab", *arguments]


def gpu_flags(settings: HostSettings) -> list[str]:
    """Engine flags for `gpus` of the host file."""
    if settings.gpus == "none":
        return []
    if settings.engine == "podman":
        return [word for gpu in settings.gpus.split(",") for word in ("--device", f"nvidia.com/gpu={gpu}")]
    # Docker splits an unquoted value at commas.
    return ["--gpus", "all" if settings.gpus == "all" else f'"device={settings.gpus}"']


def container_flags(settings: HostSettings, login: Login, commit: str) -> list[str]:
    """Flags shared by the job and `dgx-shell`: GPUs, user, workspace, environment.

    Args:
        commit: Git commit for the tags of the runs, as the workspace has no Git.
    """
    environment = {
        "HOME": f"{STATE}/home",  # an unknown uid has none, and MLflow and DVC need it
        "USER": login.user,
        "LOGNAME": login.user,
        "PYTHONPATH": f"{WORKSPACE}/src",
        "PYTHONUNBUFFERED": "1",
        # DVC would hash `__pycache__` as part of the sources, with different contents on each machine.
        "PYTHONDONTWRITEBYTECODE": "1",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": f"{STATE}/dvc-site-cache",  # otherwise each job hashes all photos again
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
    """Starts `stages` (default: all) in a detached container."""
    words = [settings.engine, "run", "--detach", "--pull=never", "--name", settings.job_name]
    for name, value in labels.items():
        words += ["--label", f"{name}={value}"]
    words += [*container_flags(settings, login, commit), settings.image, "python", "remote/entrypoint.py"]
    if settings.mlflow:
        words += ["--mlflow-socket", f"{STATE}/{SOCKET}"]
    return [*words, "--", *stages]


def check_command(settings: HostSettings, login: Login) -> list[str]:
    """Runs a Python program from standard input in a temporary container."""
    words = [settings.engine, "run", "--rm", "--interactive", "--pull=never", *gpu_flags(settings)]
    if settings.container_user == "login":
        words += ["--user", f"{login.uid}:{login.gid}"]
    return [*words, *settings.docker_flags, "--env", "HOME=/tmp", settings.image, "python", "-"]


def shell_command(settings: HostSettings, login: Login, commit: str, *, is_running: bool) -> list[str]:
    """A shell in the running job's container, or in a new container with the same flags."""
    if is_running:
        return [settings.engine, "exec", "--interactive", "--tty", settings.job_name, "bash"]
    words = [settings.engine, "run", "--rm", "--interactive", "--tty", "--pull=never"]
    return [*words, *container_flags(settings, login, commit), settings.image, "bash"]
