"""Prints the closing line of several pytest runs together, from their JUnit files; one that is missing is an error."""

import sys
from pathlib import Path
from xml.etree import ElementTree

PARTS = ("failed", "passed", "skipped", "error")


def main(paths: list[str]) -> int:
    counts = dict.fromkeys(PARTS, 0)
    seconds = 0.0
    for path in map(Path, paths):
        for suite in ElementTree.parse(path).iter("testsuite"):
            failed, errors, skipped = (int(suite.get(name, 0)) for name in ("failures", "errors", "skipped"))
            counts["failed"] += failed
            counts["error"] += errors
            counts["skipped"] += skipped
            counts["passed"] += int(suite.get("tests", 0)) - failed - errors - skipped
            seconds += float(suite.get("time", 0))
    said = ", ".join(f"{counts[part]} {part}" for part in PARTS if counts[part])
    print(f"==== {said} in {seconds:.2f}s ====")
    return 1 if counts["failed"] or counts["error"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
