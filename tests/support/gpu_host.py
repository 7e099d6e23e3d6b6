"""A GPU host on loopback: a real sshd and a real container engine (podman behind the name docker).

sshd runs in a separate mount namespace with a fresh cgroup mount, so containers also start inside a container. All
files are in one folder with a short name below /tmp.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

BASE_IMAGE = "local/base"
PATIENCE = 120.0  # seconds; far more than any step takes


def missing_requirement() -> str | None:
    """Why the host cannot be set up on this machine; None if it can."""
    if os.geteuid() != 0:
        return "needs root, for a mount namespace"
    for program in ("sshd", "podman", "crun", "rsync", "ssh", "unshare", "flock"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            return f"needs {program} (.ci/install-system-packages)"
    return None


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Waits until `condition` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"timeout while waiting for {what}"
        time.sleep(0.1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class GpuHost:
    """The loopback host. `folder` holds keys, configuration, container storage and workspaces."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._sshd: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None  # holds the mount namespace while sshd is stopped
        for key in ("host_key", "other_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        self._write_known_hosts("host_key")
        self._write_ssh_config()
        self._write_engine()
        self._write_sshd()
        (folder / "job.env").write_text("FASHIONSEG_TRACKING=off\n")
        (folder / "job.env").chmod(0o600)

    def start(self) -> None:
        """Starts sshd (and its namespace at the first call); returns when sshd accepts connections."""
        if self._keeper is None:
            Path("/run/sshd").mkdir(exist_ok=True)
            mounts = "umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup"
            command = ["unshare", "-m", "sh", "-c", f"{mounts}; echo ready; exec sleep infinity"]
            self._keeper = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert self._keeper.stdout is not None
            assert self._keeper.stdout.readline() == b"ready\n"
        enter = ["nsenter", f"--mount=/proc/{self._keeper.pid}/ns/mnt"]
        with (self.folder / "sshd.log").open("ab") as log:
            command = [*enter, "/usr/sbin/sshd", "-D", "-e", "-f", str(self.folder / "sshd.conf")]
            self._sshd = subprocess.Popen(command, stdout=log, stderr=log)

        def is_up() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            return False

        eventually(is_up, "sshd")

    def run(self, command: str, *, check: bool = True, data: bytes | None = None) -> str:
        """Runs a shell command over SSH."""
        words = ["ssh", "-F", str(self.folder / "ssh_config"), "gpu", command]
        done = subprocess.run(words, input=data or b"", capture_output=True)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def import_base_image(self) -> None:
        """An image of a few folders, into which containers.conf mounts this machine's /usr and Python."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name in ("etc", "tmp", "proc", "sys", "dev", "usr", "var", "root", "run"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
                tar.addfile(entry)
            for name in ("bin", "sbin", "lib", "lib64"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{name}"
                tar.addfile(entry)
            for name in ("etc/passwd", "etc/group"):
                tar.add(f"/{name}", name)
        path = f"ENV PATH={Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin"
        self.run(f"docker import --change '{path}' - {BASE_IMAGE}:latest", data=buffer.getvalue())

    def cut_connections(self) -> None:
        """Kills all sshd children, as a network failure does."""
        assert self._sshd is not None
        for pid in _children(self._sshd.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop_sshd(self) -> None:
        """Makes the host unreachable; its containers keep running."""
        assert self._sshd is not None
        self.cut_connections()
        self._sshd.kill()
        self._sshd.wait()

    def close(self) -> None:
        """Removes all containers and processes."""
        if self._sshd is not None:
            if self._sshd.poll() is None:
                self.run("docker rm -f -a -t 0", check=False)
            self.stop_sshd()
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper.communicate()

    def _write_known_hosts(self, key: str) -> None:
        kind, text, *_ = (self.folder / f"{key}.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {kind} {text}\n")
        _, other, *_ = (self.folder / "other_key.pub").read_text().split()
        (self.folder / "changed_hosts").write_text(f"[127.0.0.1]:{self.port} {kind} {other}\n")
        (self.folder / "no_hosts").write_text("")

    def _write_ssh_config(self) -> None:
        """Hosts: `gpu` through an Include, `gpu-behind` through a jump host, and three unreachable hosts."""
        common = (
            f"IdentityFile {self.folder}/user_key\n    IdentitiesOnly yes\n    User root\n    LogLevel ERROR"
        )
        known = f"UserKnownHostsFile {self.folder}/known_hosts"
        there = f"Hostname 127.0.0.1\n    Port {self.port}\n    {common}"
        included = f"""
            Host gpu gpu-behind
                {there}
                {known}
            Host gpu-behind
                ProxyJump gpu
            Host gpu-changed
                {there}
                UserKnownHostsFile {self.folder}/changed_hosts
            Host gpu-unknown
                {there}
                UserKnownHostsFile {self.folder}/no_hosts
            Host gpu-away
                Hostname 127.0.0.1
                Port {free_port()}
                {common}
            """
        (self.folder / "ssh_config.d").mkdir()
        (self.folder / "ssh_config.d" / "gpu.conf").write_text(textwrap.dedent(included))
        (self.folder / "ssh_config").write_text(f"Include {self.folder}/ssh_config.d/*.conf\n")

    def _write_engine(self) -> None:
        prefixes = {"/usr", sys.prefix, sys.base_prefix}
        mounts = sorted(p for p in prefixes if p == "/usr" or not p.startswith("/usr/"))
        volumes = json.dumps([f"{mount}:{mount}:ro" for mount in mounts])
        (self.folder / "containers.conf").write_text(
            f"""[containers]
default_ulimits = ["nofile=1000:1000", "nproc=30000:30000"]
cgroups = "disabled"
netns = "host"
log_driver = "k8s-file"
volumes = {volumes}
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
tmp_dir = "{self.folder}/engine"
[network]
network_backend = "netavark"
"""
        )
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{self.folder}/images"\nrunroot = "{self.folder}/run"\n'
        )
        docker = self.folder / "bin" / "docker"
        docker.parent.mkdir()
        # Any --ulimit on the command line replaces the configured limits, which this machine needs.
        docker.write_text(
            '#!/bin/sh\nif [ "$1" = run ]; then\n    shift\n'
            '    exec podman run --ulimit nofile=1000:1000 --ulimit nproc=30000:30000 "$@"\nfi\nexec podman "$@"\n'
        )
        docker.chmod(0o755)

    def _write_sshd(self) -> None:
        environment = {
            "PATH": f"{self.folder}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "CONTAINERS_CONF": f"{self.folder}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf",
            "BUILDAH_ISOLATION": "chroot",
        }
        (self.folder / "sshd.conf").write_text(
            f"""Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/authorized_keys
PidFile {self.folder}/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
SetEnv {" ".join(f"{name}={value}" for name, value in environment.items())}
"""
        )


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):  # gone
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
