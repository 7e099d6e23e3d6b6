"""The reference: outputs of Matterport's own code, beside the repository where it is worked on."""

from __future__ import annotations

from pathlib import Path

import pytest

REFERENCE = Path(__file__).resolve().parents[3].parent / "shared" / "reference"


@pytest.fixture(scope="session")
def reference_directory() -> Path:
    """The folder, or a skip with the reason."""
    if not (REFERENCE / "make_weights.py").is_file():
        pytest.skip("no ../shared/reference beside the repository: outputs of Matterport's code are needed")
    return REFERENCE
