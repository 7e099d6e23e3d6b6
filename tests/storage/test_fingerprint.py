"""Fingerprints of a stage's inputs, and the folder of its resume state."""

from __future__ import annotations

from pathlib import Path

import pytest

from fashionseg.errors import UserError
from fashionseg.storage import fingerprint as fingerprint_module
from fashionseg.storage.fingerprint import fingerprint, resume_folder


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    (folder / "below").mkdir(parents=True)
    (folder / "a").write_bytes(b"a")
    (folder / "below" / "bc").write_bytes(b"bc")
    return folder


def test_fingerprint_changes_with_parameters_inputs_and_code(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "losses.py").write_text("1")
    monkeypatch.setattr(fingerprint_module, "PACKAGE", tmp_path)

    def now(rate: float = 0.1) -> str:
        return fingerprint({"train": {"rate": rate}}, [inputs], ["package"])

    seen = [now()]
    seen.append(now(rate=0.2))
    (inputs / "a").write_bytes(b"ab")
    seen.append(now())
    (inputs / "below" / "bc").write_bytes(b"c")
    seen.append(now())
    (inputs / "a").rename(inputs / "z")
    seen.append(now())
    (package / "losses.py").write_text("2")
    seen.append(now())
    assert len(set(seen)) == 6


def test_fingerprint_ignores_key_order_and_location(inputs: Path, tmp_path: Path) -> None:
    before = fingerprint({"a": 1, "b": 2}, [inputs])
    moved = inputs.rename(tmp_path / "elsewhere")
    assert fingerprint({"b": 2, "a": 1}, [moved]) == before


def test_missing_input_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing: no such file or folder"):
        fingerprint({}, [tmp_path / "nothing"])


def test_state_lies_in_the_checkout_during_a_run_in_a_temporary_copy(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", "/checkout")
    assert resume_folder("finetune", "abc") == Path("/checkout/.fashionseg/resume/finetune-abc")
