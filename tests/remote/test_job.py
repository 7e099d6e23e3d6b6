"""Jobs parsed from containers, requests, outcomes and error messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from remote.job import Job, Request, make_labels, parse_job, parse_request
from remote.lock import Owner
from remote.outcome import explain

from fashionseg.errors import UserError
from remote import failures

ANNA = Owner("anna@laptop", "/home/anna/fashionseg")
REQUEST = Request("kaggle-dgx", ("seed=1",), ("finetune", "submit"))


def inspected(**state: object) -> dict[str, object]:
    """The parts of a `docker inspect` entry that are read."""
    times = {"StartedAt": "2026-11-23T22:18:26.33Z", "FinishedAt": "0001-01-01T00:00:00Z"}
    return {
        "State": {"Running": True, "ExitCode": 0, **times, **state},
        "Config": {"Labels": make_labels(ANNA, REQUEST)},
    }


@pytest.mark.fault(
    table="processes",
    case="two trainings in one workspace of the GPU host",
    outcome="the second is refused, exit status 3",
)
def test_running_job_describes_owner_request_and_start() -> None:
    job = parse_job(inspected())
    assert (job.owner, job.request) == (ANNA, REQUEST)
    assert job.describe() == (
        "anna@laptop (/home/anna/fashionseg): `fab dgx-train --preset kaggle-dgx --set seed=1 "
        "--stages finetune,submit`, running since 2026-11-23 22:18 UTC"
    )


def test_ended_job_describes_end_and_fault() -> None:
    job = parse_job(inspected(Running=False, ExitCode=137, OOMKilled=True, FinishedAt="2026-11-24T01:00:00Z"))
    assert not job.is_running
    assert "ended 2026-11-24 01:00 UTC with exit code 137 (out of memory)" in job.describe()


@pytest.mark.parametrize(
    ("exit_code", "printed", "expected"),
    [
        (0, "", "job finished"),
        (130, "", "job stopped; resume with `fab dgx-train`"),
        (137, "", "job killed (out of memory, or kill -9); log: job.log"),
        (
            3,
            "OSError: No space left on device",
            "job failed with exit code 3 (the host's disk is full); log: job.log",
        ),
        (3, "Traceback", "job failed with exit code 3; log: job.log"),
    ],
)
def test_outcome_of_each_exit_code(exit_code: int, printed: str, expected: str) -> None:
    ended = Job(ANNA, REQUEST, False, "", "", exit_code, "")
    assert explain(ended, printed, Path("job.log")) == expected


def test_request_is_parsed_from_flags() -> None:
    assert parse_request("kaggle-dgx", ["seed=1"], "finetune,submit", ["finetune", "submit"]) == REQUEST
    assert parse_request(None, [], "", ["finetune"]).is_plain
    assert not REQUEST.is_plain


@pytest.mark.parametrize(
    ("preset", "changes", "stages", "words"),
    [
        ("--help", [], "", "--preset: expected the name of a file in presets/, got '--help'"),
        ("../x", [], "", "--preset: "),
        (None, ["seed"], "", "--set: expected key=value, got 'seed'"),
        (None, ["--x=1"], "", "--set: "),
        (None, [], "train", "--stages: expected stages out of finetune, got 'train'"),
    ],
)
def test_invalid_flags_are_refused(preset: str | None, changes: list[str], stages: str, words: str) -> None:
    with pytest.raises(UserError, match=f"^{words}"):
        parse_request(preset, changes, stages, ["finetune"])


@pytest.mark.parametrize(
    ("stderr", "kind", "words"),
    [
        ("ssh: connect to host dgx port 22: Connection timed out", failures.HostUnreachable, "not reachable"),
        (
            "ssh: Could not resolve hostname dgx: Name or service not known",
            failures.HostUnreachable,
            "not reachable",
        ),
        ("anna@dgx: Permission denied (publickey).", failures.HostUnreachable, "login refused"),
        (
            "No ED25519 host key is known for dgx and you have requested strict",
            failures.HostUnreachable,
            "unknown",
        ),
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @",
            failures.HostUnreachable,
            "differs from known_hosts",
        ),
        ("client_loop: send disconnect: Broken pipe", failures.ConnectionLost, "connection lost"),
    ],
)
def test_ssh_failures_are_explained(stderr: str, kind: type[failures.RemoteError], words: str) -> None:
    error = failures.explain_ssh("dgx", stderr)
    assert type(error) is kind
    assert str(error).startswith("dgx: ")
    assert words in str(error)


def test_command_failures_are_explained() -> None:
    denied = (
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"
    )
    assert "docker` group" in str(failures.explain_command("dgx", "looking for a job", 1, denied))
    full = "rsync: write failed: No space left on device (28)"
    assert "no space left" in str(failures.explain_command("dgx", "sending the tree", 11, full))
    missing = failures.explain_command("dgx", "starting the job", 127, "sh: 1: docker: not found")
    assert "a program is missing on dgx" in str(missing)


@pytest.mark.parametrize(
    "stderr",
    [
        "Error: local/none: image not known",
        "docker: Error response from daemon: No such image: local/none:latest.",
        "Unable to find image 'local/none:latest' locally",
    ],
)
def test_missing_image_is_recognised_for_both_engines(stderr: str) -> None:
    assert failures.is_missing_image(stderr)
