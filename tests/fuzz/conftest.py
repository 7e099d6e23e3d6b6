"""Figures of a long run, printed at its end."""

from __future__ import annotations

from typing import Any

from tests.fuzz import harness


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not harness.TOTAL:
        return
    terminalreporter.section("cases by target")
    for name, counts in harness.COUNTS.items():
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(counts.items()))
        terminalreporter.line(f"{name:<40} {counts.total():>8,}: {outcomes}")
    total = sum(counts.total() for counts in harness.COUNTS.values())
    terminalreporter.line(f"{'all':<40} {total:>8,}")
