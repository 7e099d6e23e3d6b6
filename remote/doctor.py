"""`fab dgx-doctor`: checks the host for everything that a training needs, with advice for each failure."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fashionseg.errors import UserError
from remote import commands, image, sync
from remote.commands import Login, script
from remote.follow import answers
from remote.runner import Host
from remote.settings import HostSettings

MIN_DRIVER = 525  # CUDA 12
MIN_CAPABILITY = 6.0  # the oldest with code in TensorFlow's wheels
MIN_FREE_GB = 20.0

State = Literal["ok", "bad", "skipped"]

# $1 workspace, which may not exist yet: free kilobytes of the disk it is or will be on.
FREE = 'd=$1; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; df -Pk "$d"'
QUERY_GPUS = [
    "nvidia-smi",
    "--query-gpu=name,driver_version,compute_cap,memory.total",
    "--format=csv,noheader",
]


@dataclass(frozen=True)
class Check:
    """One row of the table."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(settings: HostSettings) -> Iterator[Check]:
    """Runs all checks; checks that depend on a failed one are skipped."""
    yield check_local()
    try:
        with Host(settings) as host:
            yield Check("SSH", "ok", settings.host)
            yield from _examine_host(host)
    except UserError as error:
        yield Check("SSH", "bad", str(error), f"check that `ssh {settings.host}` works")


def _examine_host(host: Host) -> Iterator[Check]:
    settings = host.settings
    tools = host.run(
        script('for t in rsync flock; do command -v "$t" || echo "no $t"; done'), "", check=False
    )
    yield check_tools(tools.stdout)
    yield check_disk(host.run(script(FREE, settings.workspace), "", check=False).stdout)
    try:
        login = sync.prepare(host)
        yield Check("workspace", "ok", f"{settings.workspace}, as {login.user} ({login.uid}:{login.gid})")
    except UserError as error:
        yield Check(
            "workspace",
            "bad",
            str(error),
            "you must own the folder; or change `workspace`",
        )
        return
    engine = host.run([settings.engine, "info"], "", check=False)
    version = host.run([settings.engine, "--version"], "", check=False)
    yield check_engine(settings, engine.status, version.stdout, engine.stderr)
    if settings.gpus == "none":
        yield Check("driver", "skipped", "`gpus: none`")
    else:
        query = host.run(QUERY_GPUS, "", check=False)
        yield check_gpus(query.status, query.stdout)
    if engine.status == 0:
        yield from _examine_image(host, login)
    yield check_mlflow(settings.mlflow)


def _examine_image(host: Host, login: Login) -> Iterator[Check]:
    present = host.run(image.label_command(host.settings), "", check=False)
    checked = check_image(host.settings, present.status, present.stdout.strip())
    yield checked
    if present.status != 0:
        return
    program = Path(__file__).with_name("gpu_check.py").read_text()
    printed = host.run(commands.check_command(host.settings, login), "", stdin=program, check=False)
    yield from parse_inside(host.settings, printed.stdout, printed.stderr)


def check_local() -> Check:
    missing = [name for name in ("ssh", "rsync", "git") if shutil.which(name) is None]
    if missing:
        return Check("this machine", "bad", f"no {', '.join(missing)}", "install them")
    return Check("this machine", "ok", "ssh, rsync, git")


def check_tools(stdout: str) -> Check:
    missing = [line.removeprefix("no ") for line in stdout.splitlines() if line.startswith("no ")]
    if missing:
        return Check(
            "host tools", "bad", f"no {', '.join(missing)}", "packages rsync and util-linux on the host"
        )
    return Check("host tools", "ok", "rsync, flock")


def check_disk(stdout: str) -> Check:
    """Free space from the output of `df -Pk`: fourth column of the last line, in kilobytes."""
    try:
        free_gb = int(stdout.splitlines()[-1].split()[3]) * 1024 / 1e9
    except (IndexError, ValueError):
        return Check("disk", "bad", "no output of `df`", "check that the workspace's disk exists")
    state: State = "ok" if free_gb >= MIN_FREE_GB else "bad"
    advice = f"the full data set needs about {MIN_FREE_GB:.0f} GB, the sample 1 GB"
    return Check("disk", state, f"{free_gb:.1f} GB free", advice)


def check_engine(settings: HostSettings, status: int, version: str, stderr: str) -> Check:
    if status == 0:
        return Check(settings.engine, "ok", version.strip())
    if status == 127:
        return Check(settings.engine, "bad", "not installed", "install it, or set `engine`")
    advice = "check that the service is running and that you are in the `docker` group"
    return Check(settings.engine, "bad", stderr.strip()[-200:], advice)


def check_gpus(status: int, stdout: str) -> Check:
    """GPUs and driver from the CSV output of nvidia-smi: name, driver, compute capability, memory."""
    rows = [
        [cell.strip() for cell in line.split(",")] for line in stdout.splitlines() if line.count(",") == 3
    ]
    if status != 0 or not rows:
        return Check("driver", "bad", "nvidia-smi finds no GPU", "for a host without GPUs set `gpus: none`")
    driver, capabilities = rows[0][1], sorted({row[2] for row in rows})
    found = (
        f"{len(rows)} x {rows[0][0]} ({rows[0][3]}), driver {driver}, capability {', '.join(capabilities)}"
    )
    if int(driver.split(".")[0]) < MIN_DRIVER:
        return Check("driver", "bad", found, f"CUDA 12 needs driver {MIN_DRIVER} or later, or cuda-compat")
    if float(capabilities[0]) < MIN_CAPABILITY:
        return Check("driver", "bad", found, "TensorFlow has no code for this GPU: select others with `gpus`")
    return Check("driver", "ok", found)


def check_image(settings: HostSettings, status: int, label: str) -> Check:
    if status != 0:
        return Check("image", "bad", f"no {settings.image}", "`fab dgx-build`")
    if label != image.digest(settings, image.read_inputs()):
        found = f"{settings.image} was built from other versions of its input files"
        return Check("image", "bad", found, "`fab dgx-build`")
    return Check("image", "ok", settings.image)


def check_mlflow(address: str | None) -> Check:
    if address is None:
        return Check("local MLflow", "skipped", "`mlflow: null`")
    if answers(address):
        return Check("local MLflow", "ok", address)
    return Check(
        "local MLflow", "skipped", f"no server at {address}", "`make ui` starts one, for live losses"
    )


def parse_inside(settings: HostSettings, stdout: str, stderr: str) -> Iterator[Check]:
    """Checks printed by gpu_check.py; those of GPUs are skipped with `gpus: none`."""
    checks = []
    for line in stdout.splitlines():
        try:
            checks.append(Check(**json.loads(line)))
        except (ValueError, TypeError):
            continue  # a banner of the base image
    if not checks:
        yield Check("inside the image", "bad", stderr.strip()[-300:] or "no output", "`fab dgx-build`")
    for check in checks:
        is_about_gpus = check.name not in ("python", "packages")
        if settings.gpus == "none" and is_about_gpus:
            yield Check(check.name, "skipped", "`gpus: none`")
        else:
            yield check
