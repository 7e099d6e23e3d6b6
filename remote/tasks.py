"""The Fabric tasks `fab dgx-*`: settings, connection and locks, then calls into the other modules of this package.

Exit statuses: 0 success; 2 an error that the user can fix (settings, host key, unreachable host, image, disk); 3 the
workspace is in use; 75 connection lost, the job keeps running; 130 stopped, or Ctrl-C; otherwise that of the job.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fabric import task
from invoke import Collection, Context
from invoke.exceptions import Exit

from fashionseg.console import EXIT_FAULT, EXIT_USER_ERROR, say
from fashionseg.errors import UserError
from fashionseg.tracking.identity import git_commit
from remote import commands, doctor, failures, image, job, local, outcome, sync
from remote.dvc_files import stage_names
from remote.fetch import fetch
from remote.follow import follow, print_bytes
from remote.job import Job, Request, parse_request
from remote.lock import checkout_lock, this_owner, workspace_lock
from remote.runner import Host
from remote.settings import load_settings

DETACHED = "detached; the job keeps running. Follow it with `fab dgx-logs`, stop it with `fab dgx-stop`"

namespace = Collection()


def _task(**options: Any) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """A Fabric task with one-line errors, whose return value is the exit status of `fab`."""

    def decorate(body: Callable[..., int | None]) -> Callable[..., int | None]:
        @functools.wraps(body)
        def guarded(context: Context, *arguments: Any, **flags: Any) -> None:
            try:
                status = body(context, *arguments, **flags)
            except UserError as error:
                code = error.exit_code if isinstance(error, failures.RemoteError) else EXIT_USER_ERROR
                raise Exit(f"error: {error}", code=code) from None
            except KeyboardInterrupt:
                raise Exit("interrupted", code=failures.EXIT_INTERRUPTED) from None
            if status:
                raise Exit(code=status)

        # Invoke reads the flags from the signature, which the wrapper does not have.
        vars(guarded)["__signature__"] = inspect.signature(body)
        namespace.add_task(task(**options)(guarded))
        return body

    return decorate


@_task()
def dgx_doctor(context: Context) -> int:
    """Check host, disk, container engine, GPUs and image, with advice for each failure."""
    from rich.console import Console
    from rich.table import Table

    table = Table("check", "", "found", "what to do")
    colours = {"ok": "green", "bad": "red", "skipped": "yellow"}
    num_bad = 0
    for check in doctor.examine(load_settings()):
        num_bad += check.state == "bad"
        advice = "" if check.state == "ok" else check.advice
        table.add_row(check.name, f"[{colours[check.state]}]{check.state}[/]", check.found, advice)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return EXIT_FAULT if num_bad else 0


@_task(help={"force": "build even if the inputs have not changed"})
def dgx_build(context: Context, force: bool = False) -> int:
    """Build the GPU image on the host if its inputs have changed."""
    with Host(load_settings()) as host:
        sync.prepare(host)
        return EXIT_FAULT if image.build(host, force=force) else 0


@_task()
def dgx_sync(context: Context) -> None:
    """Make the workspace on the host equal to this checkout."""
    with Host(load_settings()) as host, checkout_lock():
        _refuse_others(host, job.find(host), running_too=True)
        with workspace_lock(host, this_owner(), "fab dgx-sync"):
            sync.prepare(host)
            sync.push(host)


@_task(
    iterable=["set"],
    help={
        "preset": "preset in presets/ to merge into params.yaml first",
        "set": "key=value to merge into params.yaml first; may be repeated",
        "stages": "stages separated by commas, with their dependencies; default: all",
        "detach": "do not follow the log",
        "no-models": "leave the models on the host",
    },
)
def dgx_train(
    context: Context,
    preset: str | None = None,
    set: Sequence[str] | None = None,
    stages: str = "",
    detach: bool = False,
    no_models: bool = False,
) -> int:
    """Sync, run the stages on the host, follow the log and fetch the results; attaches to a running job."""
    request = parse_request(preset, set or (), stages, stage_names(sync.read_pipeline()))
    with Host(load_settings()) as host:
        found = job.find(host)
        _refuse_others(host, found, running_too=False)
        if found and found.is_running:
            if not (request.is_plain or request == found.request):
                raise job.busy(host, found)
            say(f"attaching to the job of {found.describe()}")
        else:
            if found and (status := _collect_earlier(host, found, request, models=not no_models)) is not None:
                return status
            _start(host, request)
        if detach:
            say("the job is running; follow it with `fab dgx-logs`, fetch the results with `fab dgx-train`")
            return 0
        return _follow_and_collect(host, models=not no_models)


@_task()
def dgx_logs(context: Context) -> int:
    """Follow the log of the running job (Ctrl-C detaches), or show the log of the last job."""
    with Host(load_settings()) as host:
        found = _any_job(host)
        if not found.is_running:
            print_bytes(job.read_log(host).encode())
            say(found.describe())
            return 0
        with _detach_on_ctrl_c():
            follow(host, print_bytes)
        say("the job has ended; fetch the results with `fab dgx-train` or `fab dgx-fetch`")
        return 0


@_task()
def dgx_status(context: Context) -> None:
    """Show the job, its last log lines, GPU usage and free disk space."""
    with Host(load_settings()) as host:
        found = job.find(host)
        say(found.describe() if found else "no job")
        if found:
            print(job.read_log(host, tail=5), end="", flush=True)
        if host.settings.gpus != "none":
            query = "index,name,utilization.gpu,memory.used,memory.total"
            words = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
            print(host.run(words, "querying the GPUs", check=False).stdout, end="")
        disk = host.run(commands.script(doctor.FREE, host.settings.workspace), "", check=False).stdout
        say(f"disk: {doctor.check_disk(disk).found}")


@_task(
    help={"everything": "also fetch outputs over max_output_gb", "no-models": "leave the models on the host"},
)
def dgx_fetch(context: Context, everything: bool = False, no_models: bool = False) -> int:
    """Fetch the results of an ended job, or of the finished stages of a running job."""
    with Host(load_settings()) as host, checkout_lock():
        found = job.find(host)
        _refuse_others(host, found, running_too=False)
        if found and not found.is_running:
            outcome.collect(host, found, models=not no_models, everything=everything)
            return 0
        fetch(host, models=not no_models, everything=everything)
        return 0


@_task(help={"remove": "also discard the results that were not fetched"})
def dgx_stop(context: Context, remove: bool = False) -> None:
    """Stop the job; the training saves its state, and the next `fab dgx-train` resumes it."""
    with Host(load_settings()) as host:
        found = _any_job(host)
        if found.is_running:
            say(f"stopping the job of {found.owner}; it has {host.settings.stop_seconds} s to save its state")
            job.stop(host)
            say("stopped; fetch the finished stages with `fab dgx-fetch`, resume with `fab dgx-train`")
        elif not remove:
            say(f"no job is running. {found.describe()}; discard them with --remove")
        if remove:
            job.remove(host)
            say("removed; the workspace is free")


@_task()
def dgx_shell(context: Context) -> int:
    """Open a shell in the running job's container, or in a new one with the same flags."""
    with Host(load_settings()) as host:
        found = job.find(host)
        login = sync.prepare(host)
        is_running = found is not None and found.is_running
        words = commands.shell_command(host.settings, login, git_commit(), is_running=is_running)
        return host.terminal(words)


def _start(host: Host, request: Request) -> None:
    """Sends the checkout and starts the container, holding both locks."""
    owner = this_owner()
    with checkout_lock(), workspace_lock(host, owner, str(request)):
        _refuse_others(host, job.find(host), running_too=True)
        local.apply_preset(request.preset, request.changes)
        login = sync.prepare(host)
        sync.push(host)
        job.start(host, login, owner, request, git_commit())
    say(f"started: {request} in {host.settings.host}:{host.settings.workspace}")


def _collect_earlier(host: Host, ended: Job, request: Request, *, models: bool) -> int | None:
    """Fetches the results of our job that ended earlier; returns its exit status if that completes the request.

    None: start the request now, because it differs from the ended job, or the ended job was stopped and is resumed.
    """
    say(f"found the job of {ended.describe()}")
    with checkout_lock():
        status = outcome.collect(host, ended, models=models)
    is_same = request.is_plain or request == ended.request
    return status if is_same and status != failures.EXIT_INTERRUPTED else None


def _follow_and_collect(host: Host, *, models: bool) -> int:
    with _detach_on_ctrl_c():
        ended = follow(host, print_bytes)
    if ended is None:
        raise Exit("the job was stopped and removed by another command", code=failures.EXIT_INTERRUPTED)
    with checkout_lock():
        return outcome.collect(host, ended, models=models)


@contextmanager
def _detach_on_ctrl_c() -> Iterator[None]:
    """Ctrl-C stops following the log; the job keeps running."""
    try:
        yield
    except KeyboardInterrupt:
        raise Exit(f"\n{DETACHED}", code=failures.EXIT_INTERRUPTED) from None


def _refuse_others(host: Host, found: Job | None, *, running_too: bool) -> None:
    """Raises WorkspaceBusy for a job of another owner; with `running_too` also for our own."""
    if found and (running_too or found.owner != this_owner()):
        raise job.busy(host, found)


def _any_job(host: Host) -> Job:
    found = job.find(host)
    if found is None:
        raise UserError(f"no job in {host.settings.host}:{host.settings.workspace}")
    return found
