"""requirements/*.lock: packages of one version each, with the hashes of their files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from fashionseg.errors import UserError

_PACKAGE = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[a-z0-9,._-]+\])?==(?P<version>[^\s;\\]+)(\s*;[^\\]*)?\s*\\?"
)
_HASH = re.compile(r"\s+--hash=sha256:(?P<hash>[0-9a-f]{64})\s*\\?")


@dataclass(frozen=True)
class Package:
    """`name` as the index writes it (lower case, hyphens), `sha256` of each file that may be installed."""

    name: str
    version: str
    sha256: tuple[str, ...]


def read_lock(path: Path) -> list[Package]:
    """The packages of a lock, in its order.

    Raises:
        UserError: the file is missing or empty, a line is none of a lock, or a package has no hash.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    found: list[tuple[str, str, list[str]]] = []
    for number, line in enumerate(lines, 1):
        if match := _PACKAGE.fullmatch(line):
            found.append((re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"], []))
        elif found and (match := _HASH.fullmatch(line)):
            found[-1][2].append(match["hash"])
        elif line.strip() and not line.lstrip().startswith("#"):
            raise UserError(
                f"{path}: line {number}: expected NAME==VERSION or --hash=sha256:..., got {line[:80]!r}"
            )
    for name, version, hashes in found:
        if not hashes:
            raise UserError(f"{path}: {name}=={version}: expected a hash, got none; `make lock` writes them")
    if not found:
        raise UserError(f"{path}: expected packages, got none")
    return [Package(name, version, tuple(hashes)) for name, version, hashes in found]
