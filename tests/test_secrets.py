"""Planted credentials must turn up nowhere: no message, no journal, no MLflow, nothing that is sent to the host."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fashionseg import tracking
from fashionseg.cli import main
from fashionseg.errors import UserError
from fashionseg.params import load_params, parse_params, read_yaml
from fashionseg.sources import kaggle
from fashionseg.tracking import mirror
from kaggle_server import serving

CANARY = "c4n4ry"
SECRETS = {
    "KAGGLE_USERNAME": "someone",
    "KAGGLE_KEY": f"{CANARY}-kaggle-key",
    "MLFLOW_TRACKING_USERNAME": f"{CANARY}-mlflow-user",
    "MLFLOW_TRACKING_PASSWORD": f"{CANARY}-mlflow-password",
    "AWS_SECRET_ACCESS_KEY": f"{CANARY}-aws",
}
# MLflow's own use of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture
def planted(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose user has secrets in the environment and at home."""
    home = project.parent / f"{project.name}-home"
    (home / ".kaggle").mkdir(parents=True)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("KAGGLE_CONFIG_DIR", raising=False)
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return project


def leaks(folder: Path) -> list[str]:
    """Files below `folder` with the canary in their bytes or name."""
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if CANARY in path.name or (path.is_file() and CANARY.encode() in path.read_bytes())
    ]


def test_the_search_for_leaks_finds_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0" + CANARY.encode())
    assert leaks(tmp_path) == ["a"]


# --- Kaggle --------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(planted: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Kaggle, which knows the planted key."""
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(planted / "config"))
    with serving() as running:
        environment = importlib.import_module("kagglesdk.kaggle_env")
        monkeypatch.setitem(environment._env_to_endpoint, environment.KaggleEnv.PROD, running.url)
        client = importlib.import_module("kaggle.api.kaggle_api_extended")
        monkeypatch.setattr(client.KaggleApi, "config", str(planted / "config" / "kaggle.json"))
        monkeypatch.setattr(client.time, "sleep", lambda seconds: None)
        running.username, running.key = SECRETS["KAGGLE_USERNAME"], SECRETS["KAGGLE_KEY"]
        running.files["/files/fashion.zip"] = b"x" * 1000
        yield running


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
@pytest.mark.fault(
    table="secrets",
    case="Kaggle's key; signed download links",
    outcome="in no message, whatever the answer (401, 403, 429, 500, 503)",
)
def test_no_answer_of_kaggle_brings_the_key_or_a_signed_link_into_a_message(
    server: Any, planted: Path, capfd: pytest.CaptureFixture[str], status: int
) -> None:
    if status == 401:
        server.key = "another"
    elif status == 403:
        server.rules_accepted = False
    else:
        server.refusals = [status] * 50
    (planted / "raw").mkdir()
    with pytest.raises(UserError, match=str(status)) as raised:
        kaggle.fetch_competition("fashion", planted / "raw")
    said = str(raised.value) + "".join(capfd.readouterr())
    assert CANARY not in said
    assert "signed=" not in said
    assert leaks(planted) == []


@pytest.mark.parametrize("name", kaggle.CREDENTIAL_FILES)
@pytest.mark.parametrize("mode", [0o640, 0o604])
@pytest.mark.fault(
    table="secrets",
    case="`kaggle.json`, `access_token`, `credentials.json` that others can read",
    outcome="refused: `chmod 600 FILE`",
)
def test_credentials_that_others_can_read_are_refused_with_the_command_that_mends_it(
    planted: Path, name: str, mode: int
) -> None:
    path = Path.home() / ".kaggle" / name
    path.write_text(CANARY)
    path.chmod(mode)
    with pytest.raises(UserError) as raised:
        kaggle.download_archive("fashion", planted)
    assert str(raised.value) == (
        f"{path}: others on this machine can read these credentials; `chmod 600 {path}`"
    )
    path.chmod(0o600)
    kaggle._refuse_readable_credentials()


def test_a_token_file_named_in_the_environment_is_looked_at_too(
    planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = planted / "token"
    path.write_text(CANARY)
    path.chmod(0o644)
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(path))
    with pytest.raises(UserError, match=f"chmod 600 {path}"):
        kaggle.download_archive("fashion", planted)


# --- MLflow --------------------------------------------------------------------------------------------------------


class Failing(BaseHTTPRequestHandler):
    """An MLflow that fails and repeats who asked."""

    def do_GET(self) -> None:
        body = f"Internal error for {self.path} by {self.headers.get('Authorization')}".encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def failing() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.fault(table="network", case="MLflow unreachable, hanging, or answering 500")
@pytest.mark.fault(
    table="secrets",
    case="MLflow's login, in variables or in `MLFLOW_TRACKING_URI`",
    outcome="in no message, journal, log or command line",
)
def test_a_failing_mlflow_learns_the_password_and_nobody_else_does(
    planted: Path, failing: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    popen = subprocess.Popen

    class Recorded(popen):  # type: ignore[valid-type, misc]
        def __init__(self, words: list[str], *rest: Any, **options: Any) -> None:
            started.append(words)
            super().__init__(words, *rest, **options)

    monkeypatch.setattr(mirror.subprocess, "Popen", Recorded)
    monkeypatch.setenv("FASHIONSEG_TRACKING", "on")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:{CANARY}-in-address@127.0.0.1:{failing}")
    with tracking.stage_run("finetune", load_params()) as run:
        run.log_metrics({"loss": 1.0}, step=1)
        run.log_artifacts(planted / "params.yaml")
    assert main(["import-journals"]) == 2
    said = "".join(capfd.readouterr())
    assert "MLflow: not reached" in said and f"127.0.0.1:{failing}" in said
    assert CANARY not in said
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == f"{CANARY}-in-address"  # where MLflow looks for it
    assert started and not any(CANARY in word for words in started for word in words)
    assert leaks(planted) == []


@pytest.mark.fault(
    table="secrets", case="a password in `tracking.uri`", outcome="refused: params.yaml is committed and sent"
)
def test_a_password_in_params_yaml_is_refused_and_not_repeated(planted: Path) -> None:
    values = read_yaml(planted / "params.yaml")
    values["tracking"]["uri"] = f"http://user:{CANARY}@mlflow.example.org"
    with pytest.raises(
        UserError, match=r"^params.yaml: tracking.uri: expected an address without a password"
    ) as raised:
        parse_params(values, Path("params.yaml"))
    assert CANARY not in str(raised.value)


@pytest.mark.slow
@pytest.mark.fault(
    table="secrets",
    case="outputs, journals, MLflow's database and artifacts of a run",
    outcome="no secret of the environment",
)
def test_a_small_run_leaves_no_secret_in_outputs_journals_and_mlflow(
    planted: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["preset", "sample", "download.sample.train_photos=10", "decode.long_side=64"]) == 0
    flags = {
        "download": ["--raw", "data/raw"],
        "pretrained": ["--pretrained", "models/pretrained"],
        "decode": ["--raw", "data/raw", "--decoded", "data/decoded"],
        "split": ["--decoded", "data/decoded", "--splits", "data/splits"],
    }
    for stage, words in flags.items():
        subprocess.run([sys.executable, "-m", f"fashionseg.stages.{stage}", *words], check=True)
    with tracking.stage_run("evaluate", load_params()) as run:
        run.log_metrics({"competition_score": 0.5})
        run.log_artifacts(planted / "params.yaml")
        run.log_artifacts(planted / "data" / "splits", "splits")
    assert main(["import-journals"]) == 0
    assert (planted / ".fashionseg" / "mlflow.db").stat().st_size > 0
    assert CANARY not in "".join(capfd.readouterr())
    assert leaks(planted) == []


# --- the GPU host --------------------------------------------------------------------------------------------------


@pytest.mark.remote
@pytest.mark.skipif(shutil.which("rsync") is None, reason="no rsync")
@pytest.mark.fault(
    table="secrets",
    case="what `fab dgx-sync` sends",
    outcome="no credential file, whether Git ignores it or not",
)
def test_what_goes_to_the_host_has_no_secret(planted: Path) -> None:
    """The real rules, by the real rsync."""
    from remote import tree

    hidden = (
        *(
            ".env",
            "job.env",
            ".netrc",
            "remote/host.yaml",
            ".dvc/config.local",
            "keys/id_ed25519",
            "server.pem",
        ),
        *(
            ".kaggle/kaggle.json",
            ".kaggle/access_token",
            "kaggle.json",
            ".aws/credentials",
            "credentials.json",
        ),
    )
    for name in hidden:
        (planted / name).parent.mkdir(parents=True, exist_ok=True)
        (planted / name).write_text(CANARY)
    (planted / "src").mkdir()
    (planted / "src" / "code.py").write_text("")
    subprocess.run(["git", "init", "-q", str(planted)], check=True)
    assert len(leaks(planted)) == len(hidden)
    rules = planted.parent / "rules"
    rules.write_text(tree.filter_rules(tree.checkout_files(), []))
    target = planted.parent / "workspace"
    subprocess.run(["rsync", "--recursive", f"--filter=merge {rules}", "./", f"{target}/"], check=True)
    assert (target / "src" / "code.py").exists()
    assert leaks(target) == []


@pytest.mark.fault(
    table="secrets", case="the image and the command line that starts a job", outcome="two files, no secret"
)
def test_no_word_of_a_job_or_an_image_is_a_secret(planted: Path, repo: Path) -> None:
    from remote.settings import parse_settings

    from remote import commands, image

    settings = parse_settings(
        {"host": "dgx", "workspace": "/raid/anna/fashionseg", "env_file": "/home/anna/job.env"},
        Path("host.yaml"),
    )
    login = commands.Login("anna", 1000, 1000)
    words = [
        *commands.job_command(settings, login, {}, "abc", []),
        *commands.shell_command(settings, login, "abc", is_running=False),
        *image.build_command(settings, "digest"),
    ]
    assert not any(CANARY in word for word in words)
    assert [path.as_posix() for path in image.CONTEXT] == ["remote/Dockerfile", "requirements/gpu.lock"]
    dockerfile = (repo / "remote" / "Dockerfile").read_text()
    assert not re.search(r"(?i)^\s*(ADD|COPY)\s+\.\s|KEY=|TOKEN=|PASSWORD=", dockerfile, re.MULTILINE)


@pytest.mark.parametrize(("mode", "is_refused"), [(0o600, False), (0o640, True), (0o606, True)])
@pytest.mark.fault(
    table="secrets",
    case="the host's `env_file` that others can read",
    outcome="refused before a job or shell starts",
)
def test_the_env_file_of_the_host_must_be_its_users_alone(
    tmp_path: Path, mode: int, is_refused: bool
) -> None:
    """The real script, run here instead of there, before a job or a shell is started."""
    from remote.settings import parse_settings

    from remote import sync

    class Here:
        def run(self, words: list[str], doing: str) -> Any:
            if "id -un" in words[2]:
                return SimpleNamespace(stdout="anna\n1000\n1000\n")
            return subprocess.run(words, capture_output=True, text=True, check=True)

    path = tmp_path / "job.env"
    path.write_text(CANARY)
    path.chmod(mode)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    link = tmp_path / "link"
    link.symlink_to(path)
    for name in (path, link):
        host: Any = Here()
        values = {"host": "dgx", "workspace": "/raid/anna/fashionseg", "env_file": str(name)}
        host.settings = parse_settings(values, Path("host.yaml"))
        if is_refused:
            expected = f"^env_file: other users of dgx can read {name}; run `chmod 600 {name}` there$"
            with pytest.raises(UserError, match=expected):
                sync.prepare(host)
        else:
            assert sync.prepare(host).user == "anna"


# --- servers -------------------------------------------------------------------------------------------------------


@pytest.mark.fault(table="secrets", case="`make ui`, `make serve`", outcome="listen on 127.0.0.1")
def test_every_server_listens_on_the_loopback_address_alone(repo: Path) -> None:
    from fashionseg.registry.server import listen

    makefile = (repo / "Makefile").read_text()
    (server,) = re.findall(r"mlflow server(?:.*\\\n)*.*", makefile)
    assert "--host 127.0.0.1 " in server
    with listen(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    sources = [
        *repo.glob("src/**/*.py"),
        *repo.glob("remote/**/*.py"),
        repo / "Makefile",
        repo / "fabfile.py",
    ]
    assert [path for path in sources if re.search(r"0\.0\.0\.0|\"::\"", path.read_text())] == []


def test_a_port_that_is_taken_is_one_line() -> None:
    from fashionseg.registry.server import listen

    with listen(0) as listener, pytest.raises(UserError, match=r"^--port \d+: Address already in use$"):
        listen(listener.getsockname()[1])
