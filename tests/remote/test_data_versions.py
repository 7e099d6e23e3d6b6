"""Data, models and scores are versioned with the commit: push, pull in another clone, return to an earlier commit.

The project's graph with stand-in stages that only write their outputs: tests dvc.yaml, .gitignore and the DVC remote.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fashionseg.params import read_yaml
from fashionseg.tracking.dvc_lock import dvc_md5

REPO = Path(__file__).parents[2]
STUB = """
import pathlib, sys
params = pathlib.Path("params.yaml").read_text()
for out in map(pathlib.Path, sys.argv[1:]):
    inside = {"raw": "test/content", "decoded": "taxonomy.json"}.get(out.name, "content")
    file = out if out.suffix else out / inside
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(out) + params if out.suffix != ".json" else "{}" + params.replace("\\n", " "))
pathlib.Path("ran").touch()
"""


class Project:
    """A clone and commands run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str) -> str:
        return _run(words, self.folder)

    def dvc(self, *words: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *words)

    def git(self, *words: str) -> str:
        return self.run("git", "-c", "user.name=t", "-c", "user.email=t@t", *words)

    def outputs(self) -> dict[str, bytes]:
        """Contents of all outputs in dvc.lock, by path."""
        stages: dict[str, Any] = read_yaml(self.folder / "dvc.lock")["stages"]
        roots = [self.folder / out["path"] for stage in stages.values() for out in stage["outs"]]
        files = [file for root in roots for file in (root, *root.rglob("*")) if file.is_file()]
        return {file.relative_to(self.folder).as_posix(): file.read_bytes() for file in files}

    def clone(self, folder: Path) -> Project:
        self.git("clone", "-q", str(self.folder), str(folder))
        return Project(folder)


def _run(words: tuple[str, ...], folder: Path) -> str:
    # A separate site cache: otherwise DVC remembers the hashes of the other clone.
    environment = os.environ | {"DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "site")}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A committed pipeline run."""
    project = Project(tmp_path / "here")
    project.folder.mkdir()
    definition = read_yaml(REPO / "dvc.yaml")
    for stage in definition["stages"].values():
        outs = [*stage.get("outs", []), *stage.get("metrics", [])]
        stage["cmd"] = (
            f"{sys.executable} stub.py {' '.join(o if isinstance(o, str) else next(iter(o)) for o in outs)}"
        )
        stage["deps"] = [path for path in stage["deps"] if not path.startswith("src/")]
        stage.pop("always_changed", None)  # here a stage that runs shows that an output was missing
    (project.folder / "dvc.yaml").write_text(json.dumps(definition))
    (project.folder / "stub.py").write_text(STUB)
    shutil.copy(REPO / "params.yaml", project.folder)
    ours = (REPO / ".gitignore").read_text()
    (project.folder / ".gitignore").write_text(f"{ours}\nran\n")
    project.git("init", "-q")
    project.dvc("init", "-q")
    shutil.copy(REPO / ".dvc/config", project.folder / ".dvc/config")
    with (project.folder / ".dvc/.gitignore").open("a") as file:
        file.write("/site\n")
    project.dvc("repro", "-q")
    project.git("add", "-A")
    project.git("commit", "-qm", "first")
    return project


def set_remote(project: Project, url: str) -> None:
    """Runs the command of `make remote URL=...`."""
    printed = _run(("make", "--no-print-directory", "-n", "remote", f"URL={url}"), REPO)
    words = printed.strip().splitlines()[-1].replace('"', "").split()
    assert words[:3] == ["dvc", "remote", "add"]
    project.dvc(*words[1:])
    project.git("commit", "-qam", "remote")


def check_clone_has_all_without_running(there: Project, project: Project) -> None:
    expected = project.outputs()
    assert len(expected) >= 10
    assert there.outputs() == expected
    assert not (there.folder / "ran").exists()
    there.dvc("repro", "-q")
    assert not (there.folder / "ran").exists()


@pytest.mark.slow
def test_pushed_outputs_are_pulled_by_another_clone_and_at_earlier_commits(
    project: Project, tmp_path: Path
) -> None:
    set_remote(project, str(tmp_path / "storage"))
    project.dvc("push", "-q")
    first = project.outputs()
    project.git("tag", "-am", "version 1", "finetuned@v1.0.0")  # DVC reads annotated tags only

    text = (project.folder / "params.yaml").read_text()
    (project.folder / "params.yaml").write_text(text.replace("seed: 2019", "seed: 2020"))
    project.dvc("repro", "-q")
    project.git("add", "-A")
    project.git("commit", "-qm", "second")
    project.dvc("push", "-q")
    second = project.outputs()
    assert {path for path in first if first[path] != second[path]} >= {
        "models/finetuned/content",
        "data/splits/content",
        "reports/metrics.json",
    }

    there = project.clone(tmp_path / "there")
    there.dvc("pull", "-q")
    check_clone_has_all_without_running(there, project)

    there.git("checkout", "-q", "finetuned@v1.0.0")
    there.dvc("pull", "-q")  # new to this clone; otherwise `dvc checkout` is enough
    assert there.outputs() == first
    there.git("checkout", "-q", "-")
    there.dvc("checkout", "-q")
    assert there.outputs() == second

    # The model by artifact name and version, from any folder.
    words = ("artifacts", "get", str(project.folder), "finetuned", "--rev", "v1.0.0", "-o", "model")
    Project(tmp_path).dvc(*words)
    assert (tmp_path / "model/content").read_bytes() == first["models/finetuned/content"]


@pytest.mark.slow
def test_dvc_md5_matches_dvc_lock(project: Project) -> None:
    for stage in read_yaml(project.folder / "dvc.lock")["stages"].values():
        for out in stage["outs"]:
            assert dvc_md5(project.folder / out["path"]) == out["md5"], out["path"]


def test_push_and_pull_over_ssh(project: Project, host: Any, tmp_path: Path) -> None:
    set_remote(project, f"ssh://root@127.0.0.1:{host.port}{tmp_path}/storage")
    project.dvc("remote", "modify", "storage", "keyfile", str(host.folder / "user_key"))
    project.git("commit", "-qam", "key")
    project.dvc("push", "-q")
    there = project.clone(tmp_path / "there")
    there.dvc("pull", "-q")
    check_clone_has_all_without_running(there, project)


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a local S3 server with the bucket `bucket`."""
    from moto.server import ThreadedMotoServer

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "no-account").touch()
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "no-account"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    try:
        put(f"{address}/bucket")
        yield address
    finally:
        server.stop()


def put(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(urllib.request.Request(url, method="PUT")).close()


def use_s3_server(project: Project, address: str) -> None:
    """Configures an S3 server other than Amazon's as documented; the settings are not committed."""
    for key, value in {"endpointurl": address, "access_key_id": "me", "secret_access_key": "secret"}.items():
        project.dvc("remote", "modify", "--local", "storage", key, value)
    assert not project.git("status", "--porcelain", "--untracked-files=no")


@pytest.mark.slow
def test_push_and_pull_over_s3(project: Project, s3: str, tmp_path: Path) -> None:
    set_remote(project, "s3://bucket/fashionseg")
    use_s3_server(project, s3)
    project.dvc("push", "-q")
    there = project.clone(tmp_path / "there")
    use_s3_server(there, s3)
    there.dvc("pull", "-q")
    check_clone_has_all_without_running(there, project)
