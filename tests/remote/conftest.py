"""A GPU host on loopback: a real sshd, a real container engine (podman behind the name docker), and checkouts to drive
it from.

sshd lives in a mount namespace of its own with a fresh cgroup mount, so containers start also where this machine is
itself a container. All of it lies in one short-named folder below /tmp and goes with it.
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
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
BASE_IMAGE = "local/base"
PATIENCE = 120.0  # seconds for what usually takes a few; only to fail at all


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with the `host` fixture are the ones that need sshd and podman."""
    for item in items:
        if "host" in getattr(item, "fixturenames", ()):
            item.add_marker("remote")


def missing_requirement() -> str | None:
    """Why the host cannot be set up on this machine; None when it can."""
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
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.1)


class GpuHost:
    """The loopback host. `folder` holds keys, configuration, container storage and workspaces."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self._sshd: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None  # keeps the mount namespace while sshd is stopped
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
        """Starts sshd, the first time also its namespace; returns when it answers."""
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
        """Kills every sshd child: what a network does when it fails."""
        assert self._sshd is not None
        for pid in _children(self._sshd.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop_sshd(self) -> None:
        """The host is away; its containers run on."""
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
        """`gpu` through an Include, as people have it; `gpu-behind` through a jump host; and three broken ones."""
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
                Port {_free_port()}
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
        # Any --ulimit on the line drops the configured ones, which this machine needs.
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


class Fab:
    """A running `fab`, output and errors in one stream."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.output = ""

    def read_until(self, words: str) -> None:
        """Reads the output up to the line that has `words`."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line
            if words in line:
                return
        self._process.wait()
        raise AssertionError(f"{words!r} never came:\n{self.output}")

    def interrupt(self) -> None:
        """Ctrl-C: the signal reaches `fab` and its ssh."""
        os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """The laptop's battery is empty."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def finish(self, expect: int = 0, patience: float = PATIENCE) -> str:
        """Waits for the end; returns the whole output."""
        rest, _ = self._process.communicate(timeout=patience)
        self.output += rest
        assert self._process.returncode == expect, f"exit {self._process.returncode}:\n{self.output}"
        return self.output


class Checkout:
    """A Git clone with the tasks and a small DVC pipeline, whose training waits while a file `hold` is there."""

    def __init__(self, folder: Path, host: GpuHost, workspace: str, mlflow: str | None = None) -> None:
        self.folder = folder
        self.workspace = Path(workspace)
        self._started: list[subprocess.Popen[str]] = []
        self.settings: dict[str, Any] = {
            "host": "gpu",
            "workspace": workspace,
            "ssh_config": str(host.folder / "ssh_config"),
            "image": BASE_IMAGE,
            "base_image": BASE_IMAGE,
            "build_target": "bare",
            "gpus": "all",  # podman passes over it, as there are none
            "docker_flags": ["--ipc=host", "--ulimit", "stack=67108864"],
            "mlflow": mlflow,
        }
        self._environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DVC_", "MLFLOW_", "SSH_"))
        }
        self._environment |= {
            "FASHIONSEG_HOST_FILE": str(folder.with_name(f"{folder.name}-host.yaml")),
            "DVC_SITE_CACHE_DIR": str(host.folder / "dvc-site-cache"),
            "PYTHONPATH": str(folder / "src"),
            "PYTHONUNBUFFERED": "1",
        }
        # Without MLflow nothing is imported either: nobody listens at the discard port.
        self._environment["MLFLOW_TRACKING_URI"] = mlflow or "http://127.0.0.1:9"
        if not mlflow:
            self.settings["env_file"] = str(host.folder / "job.env")

    def start_fab(self, *words: str, **settings: Any) -> Fab:
        """Starts `fab WORDS`, with changed keys of the host file; output and errors in one pipe."""
        Path(self._environment["FASHIONSEG_HOST_FILE"]).write_text(yaml.safe_dump(self.settings | settings))
        process = subprocess.Popen(
            [sys.executable, "-m", "fabric", *words],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return Fab(process)

    def close(self) -> None:
        """Ends what a failed test left running."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def fab(self, *words: str, expect: int = 0, patience: float = PATIENCE, **settings: Any) -> str:
        """Runs `fab WORDS`; returns what it printed."""
        return self.start_fab(*words, **settings).finish(expect, patience)

    def run(self, *words: str) -> str:
        """Runs a program of this Python, such as `dvc status`."""
        command = [sys.executable, "-m", *words]
        done = subprocess.run(command, cwd=self.folder, env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def hold(self) -> Path:
        """While this file is there the training waits at the end of each epoch."""
        return self.workspace / ".fashionseg" / "hold"

    def hold_training(self) -> None:
        self.hold.parent.mkdir(parents=True, exist_ok=True)
        self.hold.touch()


@pytest.fixture(scope="session")
def host() -> Iterator[GpuHost]:
    """A running host with the base image; taken down whatever happens."""
    if reason := missing_requirement():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="gpu-", dir="/tmp"))  # short: sockets lie below
    gpu_host = GpuHost(folder)
    try:
        gpu_host.start()
        gpu_host.import_base_image()
        yield gpu_host
    finally:
        gpu_host.close()
        shutil.rmtree(folder, ignore_errors=True)


NewCheckout = Callable[..., Checkout]


@pytest.fixture
def new_checkout(host: GpuHost, tmp_path: Path) -> Iterator[NewCheckout]:
    """Makes clones of the small project, or of `origin`; all those of a test share its own workspace."""
    small = host.folder / "origin"
    if not small.exists():
        _make_project(small)
    own_workspace = tempfile.mkdtemp(prefix="ws-", dir=host.folder)
    made = []

    def make(name: str = "clone", mlflow: str | None = None, origin: Path = small) -> Checkout:
        subprocess.run(["git", "clone", "-q", origin, tmp_path / name], check=True)
        made.append(Checkout(tmp_path / name, host, own_workspace, mlflow))
        return made[-1]

    yield make
    for checkout in made:
        checkout.close()
    host.run("docker rm -f -a -t 0", check=False)


@pytest.fixture
def checkout(new_checkout: NewCheckout) -> Checkout:
    """A fresh clone, and a workspace of its own."""
    return new_checkout()


class MlflowServer:
    """The MLflow that the user watches."""

    def __init__(self, folder: Path) -> None:
        self.address = f"http://127.0.0.1:{_free_port()}"
        store = f"sqlite:///{folder}/mlflow.db"
        command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store, "--workers", "1"]
        command += ["--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1"]
        command += ["--port", self.address.rpartition(":")[2]]
        environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (folder / "mlflow.log").open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Until it answers."""

        def is_up() -> bool:
            assert self._process.poll() is None, "the MLflow server has died"
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}/health", timeout=5):
                return True
            return False

        eventually(is_up, "the MLflow server")

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def newest_run(self) -> dict[str, Any]:
        """The run that was started last; empty without one."""
        found = self._ask("experiments/get-by-name?experiment_name=fashionseg", None)
        if not found:
            return {}
        query = {"experiment_ids": [found["experiment"]["experiment_id"]], "max_results": 1}
        return next(iter(self._ask("runs/search", query).get("runs", [])), {})

    def tags(self) -> dict[str, str]:
        """Of the newest run."""
        return {tag["key"]: tag["value"] for tag in self.newest_run()["data"]["tags"]}

    def losses(self) -> list[float]:
        """Every stored point of the newest run's loss, by step; a duplicate would show."""
        run = self.newest_run()
        if not run:
            return []
        history = self._ask(f"metrics/get-history?run_id={run['info']['run_id']}&metric_key=loss", None)
        return [
            point["value"] for point in sorted(history.get("metrics", []), key=lambda point: point["step"])
        ]

    def wait_for_losses(self, expected: list[float]) -> None:
        eventually(lambda: self.losses() == expected, f"losses {expected} in MLflow")

    def _ask(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.address}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return {}


@pytest.fixture(scope="session")
def mlflow_server(host: GpuHost) -> Iterator[MlflowServer]:
    """One server for the tests that look at losses; taken down whatever happens."""
    folder = host.folder / "mlflow"
    folder.mkdir()
    server = MlflowServer(folder)
    try:
        server.wait()
        yield server
    finally:
        server.close()


def _make_project(folder: Path) -> None:
    """A Git repository with our tasks, parameters and package, but stages of seconds."""
    folder.mkdir()
    for name in ("fabfile.py", "params.yaml", ".gitignore", ".dvcignore", "remote", "src", "presets"):
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "host.yaml", "*.egg-info")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    (folder / ".dvc").mkdir()
    shutil.copy(REPOSITORY / ".dvc" / "config", folder / ".dvc" / "config")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / "requirements").mkdir()
    (folder / "requirements" / "gpu.lock").write_text("# nothing\n")
    stages = Path(__file__).parent / "small_pipeline"
    # Not kept under that name: DVC would take it for a part of this repository's pipeline.
    shutil.copy(stages / "pipeline.yaml", folder / "dvc.yaml")
    shutil.copy(stages / "stages.py", folder / "stages.py")
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "A small project"], check=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):  # gone
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
