"""The job: a detached, labelled container that runs the stages and outlives all connections.

The container's name is derived from the workspace's path and unique in the engine, so two commands cannot start two
jobs in one workspace. The container is kept until its results have been fetched or it is removed explicitly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fashionseg.errors import UserError
from remote import commands, failures
from remote.commands import Login
from remote.lock import Owner
from remote.runner import Host

LABEL = "fashionseg."
OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class Request:
    """The request of a job: `fab dgx-train --preset P --set k=v --stages a,b`."""

    preset: str | None = None
    changes: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        return self == Request()

    def __str__(self) -> str:
        words = ["fab dgx-train"]
        words += ["--preset", self.preset] if self.preset else []
        words += [word for change in self.changes for word in ("--set", change)]
        words += ["--stages", ",".join(self.stages)] if self.stages else []
        return " ".join(words)


def parse_request(
    preset: str | None, changes: Sequence[str], stages: str, known_stages: Sequence[str]
) -> Request:
    """Parses the flags of `fab dgx-train`; `stages` is separated by commas.

    Raises:
        UserError: an invalid flag. Keys and values are checked by `fashionseg preset`.
    """
    if preset is not None and not re.fullmatch(r"\w[\w.-]*", preset):
        raise UserError(f"--preset: expected the name of a file in presets/, got {preset!r}")
    for change in changes:
        if not re.match(r"\w[\w.]*=", change):
            raise UserError(f"--set: expected key=value, got {change!r}")
    names = tuple(name for name in stages.split(",") if name)
    for name in names:
        if name not in known_stages:
            raise UserError(f"--stages: expected stages out of {', '.join(known_stages)}, got {name!r}")
    return Request(preset or None, tuple(changes), names)


@dataclass(frozen=True)
class Job:
    """The workspace's container as described by the engine. Times are UTC on the host's clock, to the minute."""

    owner: Owner
    request: Request
    is_running: bool
    started: str
    finished: str
    exit_code: int
    fault: str

    def describe(self) -> str:
        """`anna@laptop (/home/anna/fashionseg): fab dgx-train, running since ...`"""
        if self.is_running:
            state = f"running since {self.started}"
        else:
            state = f"ended {self.finished} with exit code {self.exit_code}"
            state += f" ({self.fault})" if self.fault else ""
            state += ", results not fetched yet"
        return f"{self.owner}: `{self.request}`, {state}"


def make_labels(owner: Owner, request: Request) -> dict[str, str]:
    """Labels of the container, read by `parse_job`."""
    return {
        f"{LABEL}user": owner.user,
        f"{LABEL}checkout": owner.checkout,
        f"{LABEL}request": json.dumps([request.preset, request.changes, request.stages]),
    }


def parse_job(inspected: Mapping[str, Any]) -> Job:
    """A job from one entry of `docker inspect` or `podman inspect`, which have the same fields."""
    state = inspected["State"]
    labels = inspected["Config"]["Labels"] or {}
    preset, changes, stages = json.loads(labels.get(f"{LABEL}request", "[null, [], []]"))
    fault = state.get("Error") or (OUT_OF_MEMORY if state.get("OOMKilled") else "")
    return Job(
        owner=Owner(labels.get(f"{LABEL}user", "unknown user"), labels.get(f"{LABEL}checkout", "?")),
        request=Request(preset, tuple(changes), tuple(stages)),
        is_running=bool(state.get("Running")),
        started=_minutes(state.get("StartedAt", "")),
        finished=_minutes(state.get("FinishedAt", "")),
        exit_code=int(state.get("ExitCode", 0)),
        fault=fault,
    )


def find(host: Host) -> Job | None:
    """The workspace's job, running or ended; None if there is none.

    Raises:
        CommandFailed: the container engine is missing or not permitted.
    """
    settings = host.settings
    words = [settings.engine, "container", "inspect", settings.job_name]
    result = host.run(words, "inspecting the job", check=False)
    if result.status == 0:
        return parse_job(json.loads(result.stdout)[0])
    if re.search(r"no such (container|object)|no container with name", result.stderr, re.IGNORECASE):
        return None
    raise failures.explain_command(settings.host, "inspecting the job", result.status, result.stderr)


def start(host: Host, login: Login, owner: Owner, request: Request, commit: str) -> None:
    """Starts the container.

    Raises:
        WorkspaceBusy: another command started a job meanwhile.
        CommandFailed: no such image, or the engine failed.
    """
    settings = host.settings
    remove_tunnel(host)
    words = commands.job_command(settings, login, make_labels(owner, request), commit, request.stages)
    result = host.run(words, "starting the job", check=False)
    if result.status == 0:
        return
    if failures.is_missing_image(result.stderr):
        raise failures.CommandFailed(
            f"image {settings.image} is not on {settings.host}; build it with `fab dgx-build`", result.status
        )
    if failures.is_name_taken(result.stderr):
        found = find(host)
        raise (
            busy(host, found)
            if found
            else failures.WorkspaceBusy("another job has just been started; try again")
        )
    remove(host)  # docker keeps a container that could not start, and it would look like a job
    raise failures.explain_command(settings.host, "starting the job", result.status, result.stderr)


def busy(host: Host, found: Job) -> failures.WorkspaceBusy:
    """The error for a second job in the workspace."""
    place = f"{host.settings.host}:{host.settings.workspace}"
    if found.is_running:
        advice = "Follow it with `fab dgx-logs`, stop it with `fab dgx-stop`, or use another workspace"
    else:
        advice = "The owner can fetch them with `fab dgx-fetch`; `fab dgx-stop --remove` discards them"
    return failures.WorkspaceBusy(f"{place} is in use by {found.describe()}. {advice}")


def stop(host: Host) -> None:
    """Stops the container: the training saves its state, and is killed after `stop_seconds`."""
    settings = host.settings
    words = [settings.engine, "stop", "--time", str(settings.stop_seconds), settings.job_name]
    host.run(words, "stopping the job")


def remove(host: Host) -> None:
    """Removes the container, which frees the workspace."""
    words = [host.settings.engine, "rm", "--force", host.settings.job_name]
    host.run(words, "removing the container", check=False)


def remove_tunnel(host: Host) -> None:
    """Removes the socket file of a dead connection, which would block the new tunnel."""
    host.run(["rm", "-f", f"{host.settings.state}/{commands.SOCKET}"], "removing the old tunnel")


def read_log(host: Host, tail: int | None = None) -> str:
    """Output of the job so far, or the last `tail` lines."""
    return host.run(log_words(host, ["--tail", str(tail)] if tail else []), "reading the log").stdout


def log_words(host: Host, flags: Sequence[str]) -> list[str]:
    """`docker logs` with both output streams merged."""
    words = [host.settings.engine, "logs", *flags, host.settings.job_name]
    return commands.script('exec "$@" 2>&1', *words)


def _minutes(stamp: str) -> str:
    """`2026-11-23T22:18:26.334592606Z` as `2026-11-23 22:18 UTC`; the engine's zero time as an empty text."""
    found = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)", stamp)
    return f"{found[1]} {found[2]} UTC" if found and not stamp.startswith("0001") else ""
