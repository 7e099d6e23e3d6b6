"""Sums over operations of a device; times in nanoseconds, calculated by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.bench.gpu_profile import Operation, busy_share, by_kind, write_profile

# Two streams: 0-40 and 20-60 overlap, nothing from 60 to 80, then 80-100.
OPERATIONS = [
    Operation("conv.1", 0, 40),
    Operation("conv.2", 20, 60),
    Operation("sort", 30, 35),
    Operation("conv.1", 80, 100),
]


def test_overlapping_operations_keep_the_device_busy_once() -> None:
    assert busy_share(OPERATIONS) == pytest.approx(0.8)
    assert busy_share(OPERATIONS[:2]) == pytest.approx(1.0)
    assert busy_share([]) == 0.0


def test_operations_are_summed_by_kind_the_longest_first() -> None:
    assert by_kind(OPERATIONS) == [
        ("conv", pytest.approx(100e-9), 3),
        ("sort", pytest.approx(5e-9), 1),
    ]


def test_the_table_shows_kinds_and_single_operations(tmp_path: Path) -> None:
    write_profile(OPERATIONS, 2, tmp_path / "profile.md")
    text = (tmp_path / "profile.md").read_text()
    assert "device busy 80.0% of the time" in text
    assert "| conv | 0.000 | 95.2% | 1.5 |" in text  # 100 of 105 ns, 3 runs in 2 steps
    assert "| conv.1 | 0.000 | 57.1% | 1.0 |" in text
