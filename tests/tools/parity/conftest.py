"""The reference: outputs of Matterport's code, a folder next to the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

REFERENCE = Path(__file__).resolve().parents[3].parent / "shared" / "reference"


@pytest.fixture(scope="session")
def reference_directory() -> Path:
    """The reference folder; the test is skipped where there is none."""
    if not (REFERENCE / "make_weights.py").is_file():
        pytest.skip("no ../shared/reference beside the repository: outputs of Matterport's code are needed")
    return REFERENCE
