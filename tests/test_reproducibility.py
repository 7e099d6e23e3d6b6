"""Fingerprints, seeds, and the comparison of two runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.commands.reproducible import CLONES, TINY, differing, output_hashes

from fashionseg.backend import make_reproducible
from fashionseg.errors import UserError
from fashionseg.params import flatten, load_params, read_yaml
from fashionseg.storage import fingerprint as fingerprint_module
from fashionseg.storage.fingerprint import fingerprint, resume_folder


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    (folder / "below").mkdir(parents=True)
    (folder / "a").write_bytes(b"a")
    (folder / "below" / "bc").write_bytes(b"bc")
    return folder


def test_the_fingerprint_changes_with_everything_that_counts(
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


def test_the_fingerprint_ignores_order_place_and_other_files(inputs: Path, tmp_path: Path) -> None:
    before = fingerprint({"a": 1, "b": 2}, [inputs])
    moved = inputs.rename(tmp_path / "elsewhere")
    assert fingerprint({"b": 2, "a": 1}, [moved]) == before


def test_a_missing_input_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing: no such file or folder"):
        fingerprint({}, [tmp_path / "nothing"])


def test_the_state_of_a_killed_stage_survives_a_temporary_copy(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", "/checkout")
    assert resume_folder("finetune", "abc") == Path("/checkout/.fashionseg/resume/finetune-abc")


def test_a_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    import keras

    def draw(seed: int) -> list[float]:
        make_reproducible(seed, deterministic=False)
        return keras.ops.convert_to_numpy(keras.random.normal((4,))).tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_every_output_is_compared(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text(
        "stages:\n"
        "  decode:\n    outs:\n    - {path: data/decoded, md5: 1.dir}\n"
        "  evaluate:\n    outs:\n    - {path: a, md5: 2}\n    - {path: b, md5: 3}\n"
        "  other:\n    cmd: x\n"
    )
    first = output_hashes(lock)
    assert first == {"data/decoded": "1.dir", "a": 2, "b": 3}
    assert differing(first, dict(first)) == []
    assert differing(first, {"data/decoded": "1.dir", "a": "other", "c": "4"}) == ["a", "b", "c"]


def test_the_tiny_run_changes_parameters_that_exist(project: Path) -> None:
    keys = flatten(read_yaml(project / "params.yaml"))
    changes = [*TINY, *(change.partition("=")[0] for _, _, workers in CLONES for change in workers)]
    assert [key for key in changes if key not in keys] == []
    assert load_params().train.deterministic
