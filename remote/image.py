"""`fab dgx-build`: builds the GPU image on the host when its inputs have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError
from remote.runner import Host
from remote.settings import HostSettings

DOCKERFILE = Path("remote/Dockerfile")
LOCK = Path("requirements/gpu.lock")
LABEL = "fashionseg.inputs"
CONTEXT = (DOCKERFILE, LOCK)


def read_inputs() -> dict[str, bytes]:
    """Contents of the files that the image is built from, by name.

    Raises:
        UserError: a file is missing.
    """
    for path in CONTEXT:
        if not path.is_file():
            raise UserError(f"{path}: no such file")
    return {path.name: path.read_bytes() for path in CONTEXT}


def digest(settings: HostSettings, inputs: Mapping[str, bytes]) -> str:
    """Hash of everything that the image depends on."""
    sha = hashlib.sha256()
    for part in (settings.base_image, settings.build_target, *sorted(inputs)):
        sha.update(part.encode() + b"\0")
        sha.update(inputs.get(part, b""))
    return sha.hexdigest()


def build_command(settings: HostSettings, inputs_digest: str) -> list[str]:
    """Builds the image from the files in `build_folder`."""
    folder = build_folder(settings)
    return [
        *(settings.engine, "build", "--tag", settings.image, "--target", settings.build_target),
        *("--build-arg", f"BASE_IMAGE={settings.base_image}", "--label", f"{LABEL}={inputs_digest}"),
        *("--file", f"{folder}/{DOCKERFILE.name}", folder),
    ]


def label_command(settings: HostSettings) -> list[str]:
    """Prints the input digest that the image on the host was built with."""
    template = f'{{{{ index .Config.Labels "{LABEL}" }}}}'
    return [settings.engine, "image", "inspect", "--format", template, settings.image]


def build_folder(settings: HostSettings) -> str:
    return f"{settings.state}/build"


def build(host: Host, *, force: bool) -> int:
    """Builds the image if needed and shows the engine's output; returns the exit status."""
    settings = host.settings
    wanted = digest(settings, read_inputs())
    present = host.run(label_command(settings), "inspecting the image", check=False)
    if present.status == 0 and present.stdout.strip() == wanted and not force:
        say(f"build: {settings.image} on {settings.host} is up to date")
        return 0
    host.run(["mkdir", "-p", build_folder(settings)], "creating the build folder")
    names = [path.name for path in CONTEXT]
    for path in CONTEXT:
        target = f":{build_folder(settings)}/"
        host.rsync(f"{path.parent}/", target, ["--times"], f"sending {path}", files=[path.name])
    say(f"build: {settings.image} on {settings.host} from {', '.join(names)}")
    status = host.show(build_command(settings, wanted))
    say(f"build: {settings.image} is ready" if status == 0 else f"build: failed with status {status}")
    return status
