"""Comparison of the outputs of two runs by `make reproducible`."""

from __future__ import annotations

from pathlib import Path

from tools.commands.reproducible import CLONES, TINY, differing, output_hashes

from fashionseg.params import flatten, load_params, read_yaml


def test_hashes_of_all_outputs_are_compared(tmp_path: Path) -> None:
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


def test_tiny_run_changes_existing_parameters(project: Path) -> None:
    keys = flatten(read_yaml(project / "params.yaml"))
    changes = [*TINY, *(change.partition("=")[0] for _, _, workers in CLONES for change in workers)]
    assert [key for key in changes if key not in keys] == []
    assert load_params().train.deterministic
