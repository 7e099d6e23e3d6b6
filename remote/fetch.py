"""Transfer from the host: dvc.lock, outputs, metrics, plots and journals, as if the stages had run here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from fashionseg.console import say
from fashionseg.params import read_yaml
from fashionseg.storage.atomic import atomic_write
from remote import dvc_files, local
from remote.dvc_files import GIGABYTE, Output
from remote.runner import Host
from remote.sync import JOURNAL, JOURNAL_FLAGS, LOCK, PARAMS, SENT, read_pipeline

FROM_HOST = SENT / "from-host"
PARTIAL = SENT / "partial"


def fetch(host: Host, *, models: bool = True, everything: bool = False) -> bool:
    """Fetches the results of the finished stages; returns whether the local `dvc status` is clean afterwards.

    Requires `checkout_lock`. An interrupted fetch leaves dvc.lock unchanged and is resumed by the next call.

    Args:
        models: fetch models of any size; False leaves them on the host.
        everything: also fetch outputs over `max_output_gb`.
    """
    _fetch_journals(host)
    theirs = FROM_HOST / LOCK.name
    for name in (LOCK.name, PARAMS.name):
        (FROM_HOST / name).unlink(missing_ok=True)
    _copy_here(host, "", FROM_HOST, [LOCK.name, PARAMS.name], "fetching dvc.lock")
    if not theirs.exists():
        say("fetch: no finished stage yet")
        local.import_journals()
        return False
    found = dvc_files.locked_outputs(read_yaml(theirs), read_pipeline())
    max_gb = float("inf") if everything else host.settings.max_output_gb
    wanted, unwanted = dvc_files.choose(found, max_gb, models=models)
    cache = local.cache_folder()
    num_objects = _fetch_objects(host, cache, wanted)
    _fetch_uncached(host, [output.path for output in wanted if not output.is_cached])
    _replace_lock(theirs)
    complete = [output.path for output in wanted if output.is_cached and _is_complete(cache, output)]
    local.checkout_outputs(complete)
    local.import_journals()
    say(f"fetch: {len(wanted)} outputs are up to date ({num_objects} cache objects fetched)")
    for output in unwanted:
        if not (cache / dvc_files.object_path(output.md5)).exists():
            say(
                f"fetch: {output.path} ({output.size / GIGABYTE:.2f} GB) stays on {host.settings.host}; "
                "fetch it with `fab dgx-fetch --everything`"
            )
    return _report(is_complete=len(complete) == sum(output.is_cached for output in found))


def merge_lines(ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    """Lines of `theirs` missing in `ours`, in order, to be appended to a journal.

    Records have their time in milliseconds, so equal lines are the same record.
    """
    known = set(ours)
    return [line for line in theirs if line not in known]


def _fetch_journals(host: Host) -> None:
    incoming = FROM_HOST / "journal"
    incoming.mkdir(parents=True, exist_ok=True)
    source = f":{host.settings.workspace}/{JOURNAL}"
    host.rsync(source, f"{incoming}/", JOURNAL_FLAGS, "fetching the journals")
    for journal in sorted(incoming.glob("*/journal.jsonl")):
        target = Path(JOURNAL) / journal.parent.name / journal.name
        target.parent.mkdir(parents=True, exist_ok=True)
        ours = target.read_text().splitlines(keepends=True) if target.exists() else []
        theirs = [line for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]
        files = journal.parent / "files"
        if files.is_dir():
            shutil.copytree(files, target.parent / "files", dirs_exist_ok=True)
        with target.open("a") as file:
            file.write("".join(merge_lines(ours, theirs)))


def _fetch_objects(host: Host, cache: Path, wanted: Sequence[Output]) -> int:
    """Fetches missing objects, folder listings first, because they name the other objects."""
    listings = [dvc_files.object_path(output.md5) for output in wanted if output.is_cached]
    num_objects = _fetch_missing(host, cache, listings)
    return num_objects + _fetch_missing(host, cache, dvc_files.needed_objects(cache, wanted))


def _fetch_missing(host: Host, cache: Path, objects: Sequence[str]) -> int:
    missing = [path for path in objects if not (cache / path).exists()]
    _copy_here(host, ".dvc/cache/", cache, missing, "fetching results", "--ignore-existing")
    return sum((cache / path).exists() for path in missing)


def _copy_here(
    host: Host, folder: str, target: Path, files: Sequence[str], what: str, *more_flags: str
) -> None:
    """Copies `files` below `folder` of the workspace to `target`; missing files are skipped."""
    if not files:
        return
    target.mkdir(parents=True, exist_ok=True)
    PARTIAL.mkdir(parents=True, exist_ok=True)
    flags = ["--times", "--perms", "--ignore-missing-args", f"--partial-dir={PARTIAL.resolve()}", *more_flags]
    host.rsync(f":{host.settings.workspace}/{folder}", f"{target}/", flags, what, files=files)


def _fetch_uncached(host: Host, paths: Sequence[str]) -> None:
    """Copies metrics and plots, which are kept in Git, and deletes other files in their folders, which would change the
    folder's hash.
    """
    if not paths:
        return
    rules = [f"--include=/{parent}/" for path in paths for parent in Path(path).parents if str(parent) != "."]
    rules += [f"--include=/{path}{end}" for path in paths for end in ("", "/***")]
    flags = ["--recursive", "--times", "--perms", "--delete", *dict.fromkeys(rules), "--exclude=*"]
    host.rsync(f":{host.settings.workspace}/", "./", flags, "fetching metrics and plots")


def _replace_lock(theirs: Path) -> None:
    """Installs the host's dvc.lock; a local dvc.lock that has changed since it was sent is backed up."""
    text = theirs.read_bytes()
    sent = SENT / LOCK.name
    if LOCK.exists():
        ours = LOCK.read_bytes()
        if ours == text:
            return
        if not sent.exists() or sent.read_bytes() != ours:
            kept = SENT / "dvc.lock.before-fetch"
            kept.write_bytes(ours)
            say(f"fetch: the local dvc.lock had changed since it was sent; backup: {kept}")
    with atomic_write(LOCK) as temporary:
        temporary.write_bytes(text)
    shutil.copyfile(theirs, sent)


def _is_complete(cache: Path, output: Output) -> bool:
    return all((cache / path).exists() for path in dvc_files.needed_objects(cache, [output]))


def _report(*, is_complete: bool) -> bool:
    theirs = FROM_HOST / PARAMS.name
    if theirs.exists() and theirs.read_bytes() != PARAMS.read_bytes():
        say(f"fetch: the local params.yaml has changed since the job started; the job's parameters: {theirs}")
    if not is_complete:
        say("dvc status: skipped, outputs are missing; `dvc repro --allow-missing` works without them")
        return False
    changed = local.changed_outputs()
    say(f"{changed}\ndvc status: not clean" if changed else "dvc status: clean")
    return not changed
