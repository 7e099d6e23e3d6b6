"""The end of a job: fetches results and log, removes the container, and reports the outcome in one line."""

from __future__ import annotations

from pathlib import Path

from fashionseg.console import say
from remote import job
from remote.failures import EXIT_INTERRUPTED, disk_full_line
from remote.fetch import fetch
from remote.job import Job
from remote.runner import Host
from remote.sync import SENT

EXIT_KILLED = 137


def explain(ended: Job, printed: str, log: Path) -> str:
    """The outcome in one line; `printed` is the job's output, stored in `log`."""
    if ended.exit_code == 0:
        return "job finished"
    if ended.exit_code == EXIT_INTERRUPTED:
        return "job stopped; resume with `fab dgx-train`"
    if ended.exit_code == EXIT_KILLED:
        return f"job killed ({ended.fault or 'out of memory, or kill -9'}); log: {log}"
    fault = "the host's disk is full" if disk_full_line(printed) else ended.fault
    return f"job failed with exit code {ended.exit_code}{f' ({fault})' if fault else ''}; log: {log}"


def collect(host: Host, ended: Job, *, models: bool, everything: bool = False) -> int:
    """Fetches results and log, then removes the container; returns the job's exit code.

    Requires `checkout_lock`. After an error the container is kept, and the same command collects again. The finished
    stages of a failed job are fetched as well.
    """
    log = SENT / f"job-{ended.started.replace(' UTC', '').replace(':', '').replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    printed = job.read_log(host)
    log.write_text(printed)
    fetch(host, models=models, everything=everything)
    job.remove(host)
    say(explain(ended, printed, log))
    return ended.exit_code
