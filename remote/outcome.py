"""The end of a job: results and log brought here, the container removed, and what it all means in one line."""

from __future__ import annotations

from pathlib import Path

from fashionseg.console import say
from remote import job
from remote.failures import EXIT_INTERRUPTED
from remote.fetch import fetch
from remote.job import Job
from remote.runner import Host
from remote.sync import SENT

EXIT_KILLED = 137
DISK_FULL = (
    "No space left on device",
    "disk is full",
    "Disk quota exceeded",
)  # Python's, SQLite's, NFS's words


def explain(ended: Job, printed: str, log: Path) -> str:
    """What an exit code means to the user; `printed` is the job's output, `log` where it is kept."""
    if ended.exit_code == 0:
        return "the job has ended well"
    if ended.exit_code == EXIT_INTERRUPTED:
        return "the job was stopped; `fab dgx-train` goes on from the saved state"
    if ended.exit_code == EXIT_KILLED:
        return f"the job was killed ({ended.fault or 'out of memory, or by hand'}); its log: {log}"
    is_full = any(words in printed for words in DISK_FULL)
    fault = "the host's disk is full" if is_full else ended.fault
    return f"the job failed with exit code {ended.exit_code}{f' ({fault})' if fault else ''}; its log: {log}"


def collect(host: Host, ended: Job, *, models: bool, everything: bool = False) -> int:
    """Brings everything here, then removes the container; returns the job's exit code.

    Needs `checkout_lock`. When something goes wrong before the end, the container stays and the same command
    collects again; also after a failed job the finished stages come back.
    """
    log = SENT / f"job-{ended.started.replace(' UTC', '').replace(':', '').replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    printed = job.read_log(host)
    log.write_text(printed)
    fetch(host, models=models, everything=everything)
    job.remove(host)
    say(explain(ended, printed, log))
    return ended.exit_code
