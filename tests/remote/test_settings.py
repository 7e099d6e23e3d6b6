"""The host file: valid values, and the template's defaults."""

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


def test_template_has_all_keys_with_their_defaults() -> None:
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
def test_invalid_values_are_refused_by_key(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=f"^host.yaml: {words}"):
        parse_settings(LEAST | changes, Path("host.yaml"))


def test_missing_host_file_error_names_the_template() -> None:
    with pytest.raises(UserError, match=r"^nowhere.yaml: no such file; copy remote/host.example.yaml"):
        load_settings({"FASHIONSEG_HOST_FILE": "nowhere.yaml"})
