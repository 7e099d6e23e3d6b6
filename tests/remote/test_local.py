"""Commands on this machine."""

from __future__ import annotations

import json
import subprocess

import pytest

from remote import local


@pytest.mark.parametrize(
    ("status", "changed"),
    [
        ({}, ""),
        ({"source": ["always changed"]}, ""),
        (
            {"source": ["always changed"], "decode": [{"changed outs": {"data/decoded": "deleted"}}]},
            'decode: [{"changed outs": {"data/decoded": "deleted"}}]',
        ),
    ],
)
def test_a_stage_that_runs_every_time_does_not_make_the_status_unclean(
    status: dict[str, list[object]], changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.CompletedProcess([], 0, stdout=json.dumps(status), stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert local.changed_outputs() == changed
