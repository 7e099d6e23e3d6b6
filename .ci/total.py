"""Prints one closing line for several pytest runs, from their JUnit files. A run without a file is an error."""

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(paths: list[str]) -> int:
    """Returns the exit status: 1 if anything failed."""
    counts = {"failed": 0, "passed": 0, "skipped": 0, "error": 0}
    seconds = 0.0
    for path in map(Path, paths):
        if not path.is_file():
            counts["error"] += 1
            continue
        for suite in ElementTree.parse(path).iter("testsuite"):
            tests, failed, errors, skipped = (
                int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
            )
            counts["passed"] += tests - failed - errors - skipped
            counts["failed"] += failed
            counts["error"] += errors
            counts["skipped"] += skipped
            seconds += float(suite.get("time", 0))
    parts = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no tests ran"
    print(f"==== {parts} in {seconds:.2f}s ====")
    return 1 if counts["failed"] or counts["error"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
