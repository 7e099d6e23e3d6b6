"""The software bill of materials: every locked package with its version and hashes, as CycloneDX 1.6 JSON.

Made from the locks alone, so it needs no network, and the same locks give the same bytes. cyclonedx-py itself reads
requirement files too, but it drops a line that it cannot parse without a word and lists a package once per lock.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from fashionseg.errors import UserError
from fashionseg.storage.atomic import atomic_write

LOCK_PROPERTY = "fashionseg:lock"


def read_lock(path: Path) -> dict[str, Component]:
    """The packages of a lock by package URL.

    Raises:
        UserError: the file is missing or empty, or an entry is not `NAME==VERSION --hash=sha256:...`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    packages = {}
    for entry in text.replace("\\\n", " ").splitlines():
        if entry.strip() and not entry.startswith("#"):
            component = _component(entry, path)
            packages[str(component.purl)] = component
    if not packages:
        raise UserError(f"{path}: expected packages, got none; `make lock` writes them")
    return packages


def _component(entry: str, lock: Path) -> Component:
    pinned, *hashes = entry.split("--hash=sha256:")
    try:
        requirement = Requirement(pinned.strip())
    except InvalidRequirement:
        requirement = None
    specifiers = [] if requirement is None else list(requirement.specifier)
    if requirement is None or [specifier.operator for specifier in specifiers] != ["=="] or not hashes:
        raise UserError(
            f"{lock}: expected NAME==VERSION --hash=sha256:..., got {' '.join(entry.split())[:80]!r}; "
            "`make lock` writes it"
        )
    name, version = canonicalize_name(requirement.name), specifiers[0].version
    purl = PackageURL("pypi", name=name, version=version)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=text.strip()) for text in hashes],
        properties=[Property(name=LOCK_PROPERTY, value=lock.name)],
    )


def write_sbom(locks: Iterable[dict[str, Component]], path: Path) -> int:
    """Writes the document and returns the number of components; a package of two locks is one that names both."""
    merged: dict[str, Component] = {}
    for purl, component in itertools.chain.from_iterable(lock.items() for lock in locks):
        known = merged.setdefault(purl, component)
        known.hashes = {*known.hashes, *component.hashes}
        known.properties = {*known.properties, *component.properties}
    application = Component(name="fashionseg", type=ComponentType.APPLICATION, bom_ref="fashionseg")
    bom = Bom(components=merged.values(), metadata=BomMetaData(component=application))
    bom.register_dependency(application, merged.values())
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # Two random or timed values, which would make equal locks differ.
    del document["serialNumber"], document["metadata"]["timestamp"]
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return len(merged)
