"""The host file: what it may say, and that its template says what the code does."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from remote.settings import HostSettings, load_settings, parse_settings

from fashionseg.errors import UserError
from fashionseg.params import read_yaml

TEMPLATE = Path(__file__).parents[2] / "remote" / "host.example.yaml"
LEAST: dict[str, Any] = {"host": "dgx", "workspace": "/raid/anna/fashionseg"}


def test_template_names_every_key_with_its_default() -> None:
    values = read_yaml(TEMPLATE)
    assert list(values) == [field.name for field in fields(HostSettings)]
    defaults = parse_settings(LEAST, TEMPLATE)
    for name in set(values) - set(LEAST):
        value = tuple(values[name]) if isinstance(values[name], list) else values[name]
        assert value == getattr(defaults, name), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "-oProxyCommand=reboot"}, "host: "),
        ({"host": "anna@dgx rm"}, "host: "),
        ({"workspace": "raid/anna"}, "workspace: "),
        ({"workspace": "/raid/anna's files"}, "workspace: "),
        ({"workspace": "/raid/../etc"}, "workspace: "),
        ({"workspace": "/"}, "workspace: "),
        ({"workspace": "/" + "a" * 80}, "workspace: "),
        ({"image": "--privileged"}, "image: "),
        ({"gpus": "some"}, "gpus: "),
        ({"engine": "rkt"}, "engine: "),
        ({"docker_flags": "--ipc=host"}, "docker_flags: "),
        ({"prot": 22}, "prot: "),
    ],
)
def test_wrong_values_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=f"^host.yaml: {words}"):
        parse_settings(LEAST | changes, Path("host.yaml"))


def test_no_host_file_says_how_to_get_one() -> None:
    with pytest.raises(UserError, match=r"^nowhere.yaml: no such file. Copy remote/host.example.yaml"):
        load_settings({"FASHIONSEG_HOST_FILE": "nowhere.yaml"})
