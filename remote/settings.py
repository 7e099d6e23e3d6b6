"""The host file: machine, workspace, image and container flags, checked when read.

`remote/host.yaml` (not in Git; `remote/host.example.yaml` is the documented template), or the file named by the
environment variable FASHIONSEG_HOST_FILE.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from fashionseg.errors import UserError
from fashionseg.params import parse_section, read_yaml
from fashionseg.params.types import Count, NonNegativeInt, Positive, component
from fashionseg.project import STATE_FOLDER

HOST_FILE = Path("remote/host.yaml")
TEMPLATE = Path("remote/host.example.yaml")
HOST_FILE_VARIABLE = "FASHIONSEG_HOST_FILE"

# A unix socket's path has at most 107 characters, and the tunnel's socket is below the workspace.
MAX_WORKSPACE = 80

# No leading dash, which ssh and docker would parse as a flag; no blanks, colons and commas in the workspace, where
# rsync and `--mount` would split it.
HostName = Annotated[str, StringConstraints(pattern=r"^[^\s\-@][^\s@]*(@[^\s\-@][^\s@]*)?$")]
RemoteFolder = Annotated[str, StringConstraints(pattern=r"^(/[\w.@%+=-]+)+$", max_length=MAX_WORKSPACE)]
ImageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-zA-Z0-9._:/@-]*$")]


@component
class HostSettings:
    """One field per key of the host file; `remote/host.example.yaml` explains each."""

    host: HostName
    workspace: RemoteFolder
    ssh_config: str | None = None
    engine: Literal["docker", "podman"] = "docker"
    image: ImageName = "fashionseg-gpu"
    base_image: ImageName = "python:3.11-slim-bookworm"
    build_target: Literal["gpu", "bare"] = "gpu"
    gpus: Annotated[str, StringConstraints(pattern=r"^(all|none|\d+(,\d+)*)$")] = "all"
    docker_flags: tuple[str, ...] = ("--ipc=host", "--ulimit", "memlock=-1", "--ulimit", "stack=67108864")
    container_user: Annotated[str, StringConstraints(pattern=r"^(login|image|\d+:\d+)$")] = "login"
    env_file: RemoteFolder | None = None
    mlflow: Annotated[str, StringConstraints(pattern=r"^http://[\w.-]+:\d+/?$")] | None = (
        "http://127.0.0.1:5000"
    )
    max_output_gb: Positive = 2.0
    reconnect_seconds: NonNegativeInt = 300
    stop_seconds: Count = 120

    @property
    def state(self) -> str:
        """Folder on the host for locks, sockets and resume states."""
        return f"{self.workspace}/{STATE_FOLDER}"

    @property
    def job_name(self) -> str:
        """Name of the container. Names are unique per engine, so the name also prevents a second job."""
        folder = re.sub(r"[^A-Za-z0-9_.-]", "_", self.workspace.rsplit("/", 1)[-1])
        return f"fashionseg-{folder}-{hashlib.sha256(self.workspace.encode()).hexdigest()[:8]}"


def load_settings(environment: dict[str, str] | None = None) -> HostSettings:
    """The settings of the host file in use.

    Raises:
        UserError: no such file, or a key is missing, unknown or invalid.
    """
    named = (os.environ if environment is None else environment).get(HOST_FILE_VARIABLE)
    path = Path(named) if named else HOST_FILE
    if not path.exists():
        raise UserError(f"{path}: no such file; copy {TEMPLATE} to {HOST_FILE} and set host and workspace")
    return parse_settings(read_yaml(path), path)


def parse_settings(values: dict[str, Any], path: Path) -> HostSettings:
    """Checks `values`, which were read from `path`.

    Raises:
        UserError: a key is missing, unknown or invalid.
    """
    settings = parse_section(HostSettings, values, path)
    if any(part in (".", "..") for part in settings.workspace.split("/")):
        raise UserError(
            f"{path}: workspace: expected a path without `.` and `..`, got {settings.workspace!r}"
        )
    return settings
