"""Fixtures: a GPU host on loopback, checkouts that drive it, and the user's MLflow server."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkouts import Checkout, NewCheckout, make_project
from gpu_host import GpuHost, missing_requirement
from mlflow_server import MlflowServer


@pytest.fixture(scope="session")
def host() -> Iterator[GpuHost]:
    """A running host with the base image."""
    if reason := missing_requirement():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="gpu-", dir="/tmp"))  # short, because sockets are below
    gpu_host = GpuHost(folder)
    try:
        gpu_host.start()
        gpu_host.import_base_image()
        yield gpu_host
    finally:
        gpu_host.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_checkout(host: GpuHost, tmp_path: Path) -> Iterator[NewCheckout]:
    """Factory of clones of the small project, or of `origin`; all clones of a test share one workspace."""
    small = host.folder / "origin"
    if not small.exists():
        make_project(small)
    workspace = tempfile.mkdtemp(prefix="ws-", dir=host.folder)
    made = []

    def make(name: str = "clone", mlflow: str | None = None, origin: Path = small) -> Checkout:
        subprocess.run(["git", "clone", "-q", origin, tmp_path / name], check=True)
        made.append(Checkout(tmp_path / name, host, workspace, mlflow))
        return made[-1]

    yield make
    for checkout in made:
        checkout.close()
    host.run("docker rm -f -a -t 0", check=False)


@pytest.fixture
def checkout(new_checkout: NewCheckout) -> Checkout:
    """A fresh clone with a new workspace."""
    return new_checkout()


@pytest.fixture(scope="session")
def mlflow_server(host: GpuHost) -> Iterator[MlflowServer]:
    """One server for the tests of live losses."""
    folder = host.folder / "mlflow"
    folder.mkdir()
    server = MlflowServer(folder)
    try:
        server.wait()
        yield server
    finally:
        server.close()
