"""The software bill of materials: every locked package with its version and hashes, as CycloneDX 1.6 JSON.

Made from the locks alone, so it needs no network, and the same locks give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fashionseg.storage.atomic import atomic_write
from tools.audit.lock_file import Package


def describe_packages(locks: Mapping[str, Sequence[Package]]) -> dict[str, Any]:
    """The document; `locks` by file name. A package of two locks is one component that names both."""
    hashes: dict[tuple[str, str], set[str]] = {}
    places: dict[tuple[str, str], list[str]] = {}
    for lock, packages in locks.items():
        for package in packages:
            key = (package.name, package.version)
            hashes.setdefault(key, set()).update(package.sha256)
            places.setdefault(key, []).append(lock)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "fashionseg", "bom-ref": "fashionseg"}},
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{name}@{version}",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                "hashes": [{"alg": "SHA-256", "content": sha256} for sha256 in sorted(hashes[name, version])],
                "properties": [{"name": "fashionseg:lock", "value": lock} for lock in places[name, version]],
            }
            for name, version in sorted(hashes)
        ],
    }


def write_sbom(locks: Mapping[str, Sequence[Package]], path: Path) -> int:
    """Writes the document; returns the number of components."""
    document = describe_packages(locks)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return len(document["components"])
