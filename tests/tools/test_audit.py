"""The SBOM and the audit of the locks, without network."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tools.__main__ import main
from tools.audit.sbom import read_lock
from tools.audit.vulnerabilities import Finding, parse_answer

from fashionseg.errors import UserError


@pytest.fixture
def locked(project: Path, repo: Path) -> Path:
    """A project with the committed locks."""
    (project / "requirements").mkdir()
    for lock in (repo / "requirements").glob("*.lock"):
        (project / "requirements" / lock.name).write_bytes(lock.read_bytes())
    return project


def test_the_sbom_holds_every_locked_package_with_version_and_hashes(locked: Path, capsys) -> None:
    """Compared with the text of the locks, without our reader."""
    assert main(["audit", "--sbom-only"]) == 0
    path = locked / ".fashionseg" / "sbom.json"
    components = json.loads(path.read_text())["components"]
    assert capsys.readouterr().out.startswith(f"{len(components)} packages of cpu.lock, gpu.lock, uv.lock")
    by_key = {(one["name"], one["version"]): {h["content"] for h in one["hashes"]} for one in components}
    assert len(by_key) == len(components)
    lines = num_hashes = 0
    for lock in (locked / "requirements").glob("*.lock"):
        for entry in re.split(r"\n(?=\S)", lock.read_text().strip()):
            name, version = re.match(r"([^=\[ ]+)[^=]*==(\S+)", entry).groups()
            hashes = set(re.findall(r"sha256:([0-9a-f]{64})", entry))
            assert hashes
            assert hashes <= by_key[name.lower(), version]
            lines += 1
            num_hashes += len(hashes)
    assert len(components) <= lines
    assert sum(map(len, by_key.values())) <= num_hashes


def test_the_sbom_is_valid_cyclonedx(locked: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator, MissingOptionalDependencyException

    assert main(["audit", "--sbom-only"]) == 0
    text = (locked / ".fashionseg" / "sbom.json").read_text()
    try:
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    except MissingOptionalDependencyException:
        from cyclonedx.model.bom import Bom

        assert len(Bom.from_json(json.loads(text)).components) == len(json.loads(text)["components"])


def test_the_same_locks_give_the_same_bytes(locked: Path) -> None:
    written = []
    for _ in range(2):
        main(["audit", "--sbom-only"])
        written.append((locked / ".fashionseg" / "sbom.json").read_bytes())
    assert written[0] == written[1]


def test_a_lock_is_read_by_name_version_and_hash(tmp_path: Path) -> None:
    one, other = "a" * 64, "b" * 64
    path = tmp_path / "cpu.lock"
    path.write_text(
        f"# made by make lock\nFoo_Bar[s3]==1.0 ; python_version < '4' \\\n    --hash=sha256:{one} \\\n"
        f"    --hash=sha256:{other}\nb==2\\\n    --hash=sha256:{one}\n"
    )
    packages = read_lock(path)
    assert list(packages) == ["pkg:pypi/foo-bar@1.0", "pkg:pypi/b@2"]
    hashes = [sorted(found.content for found in package.hashes) for package in packages.values()]
    assert hashes == [[one, other], [one]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected packages, got none"),
        ("foo==1.0\n", "expected NAME==VERSION --hash=sha256:..., got 'foo==1.0'"),
        ("foo>=1.0 --hash=sha256:00\n", "expected NAME==VERSION"),
        ("foo --hash=sha256:00\n", "expected NAME==VERSION"),
        ("foo==1.0,<2 --hash=sha256:00\n", "expected NAME==VERSION"),
        ("-r other.lock\n", "expected NAME==VERSION"),
        ("foo==1.0 \\\n    --hash=md6:00\n", "expected NAME==VERSION"),
    ],
)
def test_an_invalid_lock_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "cpu.lock").write_text(text)
    with pytest.raises(UserError, match=message):
        read_lock(tmp_path / "cpu.lock")


VULNERABLE = {
    "name": "foo",
    "version": "1",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"], "aliases": []}],
}
CLEAN = {"name": "bar", "version": "1", "vulns": []}
UNKNOWN = {"name": "baz", "skip_reason": "Dependency not found"}


def answer(*dependencies: dict) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_answers_of_the_service() -> None:
    assert parse_answer(answer(CLEAN), "") == Finding()
    assert parse_answer(answer(VULNERABLE, CLEAN), "") == Finding(("foo 1: PYSEC-1, fixed in 2",))
    assert parse_answer(answer(CLEAN, UNKNOWN), "") == Finding(unknown=("baz",))
    assert (
        parse_answer("", "Traceback\n  ...\nConnectionError: no route\n").failure
        == "ConnectionError: no route"
    )


@pytest.mark.parametrize(
    ("finding", "status", "line"),
    [
        (Finding(), 0, "no known vulnerability"),
        (Finding(("foo 1: PYSEC-1, fixed in 2",)), 1, "foo 1: PYSEC-1"),
        (Finding(unknown=("baz",)), 2, "the service does not know 1 of"),
        (Finding(failure="ConnectionError"), 2, "vulnerabilities not looked up: ConnectionError"),
    ],
)
def test_the_sbom_is_written_whatever_the_service_answers(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys, finding: Finding, status: int, line: str
) -> None:
    monkeypatch.setattr("tools.audit.vulnerabilities.find_vulnerabilities", lambda lock: finding)
    assert main(["audit"]) == status
    assert (locked / ".fashionseg" / "sbom.json").is_file()
    captured = capsys.readouterr()
    lines = (captured.out + captured.err).splitlines()
    assert len(lines) == 4  # the SBOM, and one for each lock
    assert line in lines[-1]
    assert captured.err == "" or captured.err.startswith("error: cpu.lock: ")


def test_no_connection_is_one_line(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip-audit itself, with a proxy on a port where nothing listens."""
    from tools.audit.vulnerabilities import find_vulnerabilities

    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    finding = find_vulnerabilities(locked / "requirements" / "uv.lock")
    assert finding.failure is not None
    assert "\n" not in finding.failure
