"""Checkouts with a small DVC pipeline, driven through `fab`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from gpu_host import BASE_IMAGE, PATIENCE, GpuHost

REPOSITORY = Path(__file__).parents[2]


class Fab:
    """A running `fab` with output and errors in one stream."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.output = ""

    def read_until(self, words: str) -> None:
        """Reads the output up to the line that contains `words`."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.output += line
            if words in line:
                return
        self._process.wait()
        raise AssertionError(f"{words!r} was not printed:\n{self.output}")

    def interrupt(self) -> None:
        """Ctrl-C for `fab` and its ssh."""
        os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """kill -9 for `fab` and its ssh, as after a power failure."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def finish(self, expect: int = 0, patience: float = PATIENCE) -> str:
        """Waits for the end; returns all output."""
        rest, _ = self._process.communicate(timeout=patience)
        self.output += rest
        assert self._process.returncode == expect, f"exit {self._process.returncode}:\n{self.output}"
        return self.output


class Checkout:
    """A Git clone with the tasks and a small DVC pipeline, whose training waits while a file `hold` exists."""

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
            "gpus": "all",  # ignored by podman, as there are none
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
        # Without MLflow nothing is imported: no server listens at the discard port.
        self._environment["MLFLOW_TRACKING_URI"] = mlflow or "http://127.0.0.1:9"
        if not mlflow:
            self.settings["env_file"] = str(host.folder / "job.env")

    def start_fab(self, *words: str, **settings: Any) -> Fab:
        """Starts `fab WORDS` with changed keys in the host file."""
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
        """Kills commands left running by a failed test."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def fab(self, *words: str, expect: int = 0, patience: float = PATIENCE, **settings: Any) -> str:
        """Runs `fab WORDS`; returns the output."""
        return self.start_fab(*words, **settings).finish(expect, patience)

    def run(self, *words: str) -> str:
        """Runs a Python module such as `dvc status`; returns the output."""
        command = [sys.executable, "-m", *words]
        done = subprocess.run(command, cwd=self.folder, env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def hold(self) -> Path:
        """The file that makes the training wait at the end of each epoch."""
        return self.workspace / ".fashionseg" / "hold"

    def hold_training(self) -> None:
        self.hold.parent.mkdir(parents=True, exist_ok=True)
        self.hold.touch()


NewCheckout = Callable[..., Checkout]  # value of the fixture `new_checkout`


def make_project(folder: Path) -> None:
    """A Git repository with the tasks, parameters and package, and stand-in stages."""
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
    stages = REPOSITORY / "tests" / "remote" / "small_pipeline"
    # Renamed: DVC would treat a dvc.yaml in tests/ as part of this repository's pipeline.
    shutil.copy(stages / "pipeline.yaml", folder / "dvc.yaml")
    shutil.copy(stages / "stages.py", folder / "stages.py")
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(folder)], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "A small project"], check=True)
