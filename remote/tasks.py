"""The Fabric tasks `fab dgx-*`. Each is a doorway: settings, connection, locks, then the modules beside this one.

Exit statuses: 0 well; 2 something to mend (settings, host key, host away, image, disk); 3 the workspace is somebody
else's just now; 75 connection lost, the job goes on; 130 stopped, or Ctrl-C; else the job's own.
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
from remote import commands, doctor, failures, image, job, local, outcome, sync
from remote.dvc_files import stage_names
from remote.fetch import fetch
from remote.follow import follow, print_bytes
from remote.job import Job, Request, parse_request
from remote.lock import checkout_lock, this_owner, workspace_lock
from remote.runner import Host
from remote.settings import load_settings

LEFT = "left; the job goes on. `fab dgx-logs` follows it again, `fab dgx-stop` stops it"

namespace = Collection()


def _task(**options: Any) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """A Fabric task whose failures are one line and whose result is `fab`'s exit status."""

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

        # Invoke reads flags from the signature; functions have no such attribute until one is given.
        vars(guarded)["__signature__"] = inspect.signature(body)
        namespace.add_task(task(**options)(guarded))
        return body

    return decorate


@_task()
def dgx_doctor(context: Context) -> int:
    """Check host, disk, container engine, GPUs and image; say what to do about each failure."""
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


@_task(help={"force": "also when its inputs have not changed"})
def dgx_build(context: Context, force: bool = False) -> int:
    """Build the GPU image on the host, when its inputs have changed."""
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
        "preset": "a preset of presets/, merged into params.yaml first",
        "set": "key=value, merged into params.yaml first; may be repeated",
        "stages": "stages separated by commas, with what they need; default: all",
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
    """Sync, run the stages on the host, follow the log, bring the results back; re-attach when they run already."""
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
            say(
                "the job runs on; `fab dgx-logs` follows it, `fab dgx-train` follows it and brings the results"
            )
            return 0
        return _follow_and_collect(host, models=not no_models)


@_task()
def dgx_logs(context: Context) -> int:
    """Follow the log of the running job (Ctrl-C leaves it running), or show that of the last."""
    with Host(load_settings()) as host:
        found = _any_job(host)
        if not found.is_running:
            print_bytes(job.read_log(host).encode())
            say(found.describe())
            return 0
        with _leaving():
            follow(host, print_bytes)
        say("the job has ended; `fab dgx-train` or `fab dgx-fetch` brings the results")
        return 0


@_task()
def dgx_status(context: Context) -> None:
    """Show the job, its last lines, GPU use and free disk."""
    with Host(load_settings()) as host:
        found = job.find(host)
        say(found.describe() if found else "no job")
        if found:
            print(job.read_log(host, tail=5), end="", flush=True)
        if host.settings.gpus != "none":
            query = "index,name,utilization.gpu,memory.used,memory.total"
            words = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
            print(host.run(words, "asking for the GPUs", check=False).stdout, end="")
        disk = host.run(commands.script(doctor.FREE, host.settings.workspace), "", check=False).stdout
        say(f"disk: {doctor.check_disk(disk).found}")


@_task(
    help={"everything": "also outputs over max_output_gb", "no-models": "leave the models on the host"},
)
def dgx_fetch(context: Context, everything: bool = False, no_models: bool = False) -> int:
    """Bring the results back: of an ended job, or of the stages that a running one has finished."""
    with Host(load_settings()) as host, checkout_lock():
        found = job.find(host)
        _refuse_others(host, found, running_too=False)
        if found and not found.is_running:
            outcome.collect(host, found, models=not no_models, everything=everything)
            return 0
        fetch(host, models=not no_models, everything=everything)
        return 0


@_task(help={"remove": "also give up the results of an ended job that were not fetched"})
def dgx_stop(context: Context, remove: bool = False) -> None:
    """Stop the job; the training saves its state, and the next `fab dgx-train` goes on from there."""
    with Host(load_settings()) as host:
        found = _any_job(host)
        if found.is_running:
            say(f"stopping the job of {found.owner}; it has {host.settings.stop_seconds} s to save its state")
            job.stop(host)
            say("stopped; `fab dgx-fetch` brings what is finished, `fab dgx-train` goes on")
        elif not remove:
            say(f"nothing runs. {found.describe()}; --remove gives them up")
        if remove:
            job.remove(host)
            say("removed; the workspace is free")


@_task()
def dgx_shell(context: Context) -> int:
    """Open a shell in the running job's container, or in one like it."""
    with Host(load_settings()) as host:
        found = job.find(host)
        login = sync.prepare(host)
        is_running = found is not None and found.is_running
        words = commands.shell_command(host.settings, login, local.commit(), is_running=is_running)
        return host.terminal(words)


def _start(host: Host, request: Request) -> None:
    """Sends the checkout and starts the container, both locks held."""
    owner = this_owner()
    with checkout_lock(), workspace_lock(host, owner, str(request)):
        _refuse_others(host, job.find(host), running_too=True)
        local.apply_preset(request.preset, request.changes)
        login = sync.prepare(host)
        sync.push(host)
        job.start(host, login, owner, request, local.commit())
    say(f"started: {request} in {host.settings.host}:{host.settings.workspace}")


def _collect_earlier(host: Host, ended: Job, request: Request, *, models: bool) -> int | None:
    """Brings the results of our job that ended while nobody watched; returns its status when that was all to do.

    None: start the request now, as it is another one, or the old job was stopped and goes on.
    """
    say(f"found the job of {ended.describe()}")
    with checkout_lock():
        status = outcome.collect(host, ended, models=models)
    is_same = request.is_plain or request == ended.request
    return status if is_same and status != failures.EXIT_INTERRUPTED else None


def _follow_and_collect(host: Host, *, models: bool) -> int:
    with _leaving():
        ended = follow(host, print_bytes)
    if ended is None:
        raise Exit("the job was stopped and removed by another command", code=failures.EXIT_INTERRUPTED)
    with checkout_lock():
        return outcome.collect(host, ended, models=models)


@contextmanager
def _leaving() -> Iterator[None]:
    """Ctrl-C leaves the log, not the job."""
    try:
        yield
    except KeyboardInterrupt:
        raise Exit(f"\n{LEFT}", code=failures.EXIT_INTERRUPTED) from None


def _refuse_others(host: Host, found: Job | None, *, running_too: bool) -> None:
    """Raises WorkspaceBusy for somebody else's job; with `running_too` also for one of ours."""
    if found and (running_too or found.owner != this_owner()):
        raise job.busy(host, found)


def _any_job(host: Host) -> Job:
    found = job.find(host)
    if found is None:
        raise UserError(f"no job in {host.settings.host}:{host.settings.workspace}")
    return found
