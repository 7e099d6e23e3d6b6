"""Where MLflow is: the tracking URI in force, made absolute, and whether anybody is there."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fashionseg.project import checkout_root, state_folder

CONNECT_SECONDS = 3.0
SQLITE = "sqlite:///"


def tracking_uri(configured: str | None) -> str:
    """MLFLOW_TRACKING_URI, else `tracking.uri`, else the store in this checkout; files made absolute.

    Absolute, because queued and temporary experiments run in another folder. Without login: see `take_login`.
    """
    root = checkout_root().resolve()
    uri = take_login(os.environ.get("MLFLOW_TRACKING_URI") or configured or "")
    if not uri:
        return f"{SQLITE}{state_folder('mlflow.db').resolve()}"
    relative = uri.removeprefix(SQLITE)
    if relative != uri and not relative.startswith("/"):
        return f"{SQLITE}{root / relative}"
    return uri


def take_login(uri: str) -> str:
    """Moves user and password of a server's address into the variables that MLflow reads them from.

    MLflow's own errors quote the whole address, and they end in logs.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.password is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username or "")
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password)
    return public_uri(uri)


def sqlite_file(uri: str) -> Path | None:
    """The database file of an absolute SQLite URI; None where `uri` is a server's."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


def public_uri(uri: str) -> str:
    """`uri` without user and password."""
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
