"""Command lines, compared word by word without running them."""

from __future__ import annotations

import shlex
from dataclasses import replace

from remote.commands import Login
from remote.settings import HostSettings

from remote import commands

SETTINGS = HostSettings(host="dgx", workspace="/raid/anna/fashionseg")
ANNA = Login("anna", 1001, 100)
NASTY = "a b'; rm -rf / #$(reboot)"


def test_all_connections_check_host_keys_and_detect_a_dead_peer() -> None:
    for command in (
        commands.master_command(SETTINGS, "/tmp/s", batch=True),
        commands.ssh_command(SETTINGS, "/tmp/s", ["true"], batch=True),
        commands.follow_command(SETTINGS, ["true"], batch=True, mlflow=None),
        shlex.split(commands.rsync_command(SETTINGS, "/tmp/s", "./", ":/x/", [], batch=True)[2]),
    ):
        assert "StrictHostKeyChecking=yes" in command
        assert "ServerAliveInterval=15" in command
        assert "BatchMode=yes" in command
    assert "BatchMode=yes" not in commands.master_command(SETTINGS, "/tmp/s", batch=False)


def test_words_are_quoted_for_the_login_shell() -> None:
    command = commands.ssh_command(SETTINGS, "/tmp/s", ["echo", NASTY], batch=True)
    assert command[-3:-1] == ["--", "dgx"]
    assert shlex.split(command[-1]) == ["echo", NASTY]


def test_script_takes_values_as_parameters() -> None:
    assert commands.script('ls "$1"', NASTY) == ["sh", "-c", 'ls "$1"', "fab", NASTY]


def test_tunnel_is_a_socket_in_the_workspace() -> None:
    command = commands.follow_command(SETTINGS, ["true"], batch=True, mlflow="127.0.0.1:5000")
    assert command[command.index("-R") + 1] == "/raid/anna/fashionseg/.fashionseg/mlflow.sock:127.0.0.1:5000"
    assert "ClearAllForwardings=yes" not in command  # it would clear the tunnel as well


def test_job_has_the_dgx_flags_by_default() -> None:
    command = commands.job_command(SETTINGS, ANNA, {"fashionseg.user": NASTY}, "c0ffee", ["finetune"])
    assert command[:6] == ["docker", "run", "--detach", "--pull=never", "--name", SETTINGS.job_name]
    text = " ".join(command)
    assert "--gpus all --ipc=host --ulimit memlock=-1 --ulimit stack=67108864 --user 1001:100" in text
    assert "--mount type=bind,source=/raid/anna/fashionseg,target=/workspace" in text
    assert command[command.index("--label") + 1] == f"fashionseg.user={NASTY}"
    assert "FASHIONSEG_GIT_COMMIT=c0ffee" in command
    assert command[-7:] == [
        *("fashionseg-gpu", "python", "remote/entrypoint.py"),
        *("--mlflow-socket", "/workspace/.fashionseg/mlflow.sock", "--", "finetune"),
    ]


def test_gpu_flags_of_each_engine() -> None:
    some = replace(SETTINGS, gpus="0,3")
    assert commands.gpu_flags(some) == ["--gpus", '"device=0,3"']
    assert commands.gpu_flags(replace(some, engine="podman")) == [
        *("--device", "nvidia.com/gpu=0"),
        *("--device", "nvidia.com/gpu=3"),
    ]
    assert commands.gpu_flags(replace(SETTINGS, gpus="none")) == []


def test_container_user() -> None:
    assert "--user" not in commands.container_flags(replace(SETTINGS, container_user="image"), ANNA, "c")
    flags = commands.container_flags(replace(SETTINGS, container_user="7:8"), ANNA, "c")
    assert flags[flags.index("--user") + 1] == "7:8"


def test_workspaces_have_different_job_names() -> None:
    other = replace(SETTINGS, workspace="/raid/bert/fashionseg")
    assert SETTINGS.job_name != other.job_name
    assert SETTINGS.job_name.startswith("fashionseg-fashionseg-")
