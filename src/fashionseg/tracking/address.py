"""Where MLflow is: the tracking URI in force, made absolute, and whether anybody is there."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from fashionseg.project import STATE_FOLDER, checkout_root

CONNECT_SECONDS = 3.0
SQLITE = "sqlite:///"


def tracking_uri(configured: str | None) -> str:
    """MLFLOW_TRACKING_URI, else `tracking.uri`, else the store in this checkout; files made absolute.

    Absolute, because queued and temporary experiments run in another folder.
    """
    root = checkout_root().resolve()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or configured
    if not uri:
        return f"{SQLITE}{root / STATE_FOLDER / 'mlflow.db'}"
    relative = uri.removeprefix(SQLITE)
    if relative != uri and not relative.startswith("/"):
        return f"{SQLITE}{root / relative}"
    return uri


def sqlite_file(uri: str) -> Path | None:
    """The database file of an absolute SQLite URI; None where `uri` is a server's."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


def public_uri(uri: str) -> str:
    """`uri` without a password."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def is_listening(uri: str) -> bool:
    """Whether something accepts connections there; quick, and before the seconds that MLflow's import takes."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return True
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
