"""MLflow's address: the tracking URI in force, made absolute, and whether a server listens there."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fashionseg.errors import UserError
from fashionseg.project import checkout_root, state_folder

CONNECT_SECONDS = 3.0
SQLITE = "sqlite:///"


def tracking_uri(configured: str | None) -> str:
    """MLFLOW_TRACKING_URI, else `tracking.uri`, else the SQLite store of this checkout, without login (`take_login`).

    File paths are absolute, because queued and temporary experiments run in another folder.
    """
    default = f"{SQLITE}{state_folder('mlflow.db').resolve()}"
    uri = take_login(os.environ.get("MLFLOW_TRACKING_URI") or configured or default)
    if uri.startswith(SQLITE):
        return f"{SQLITE}{checkout_root().resolve() / uri.removeprefix(SQLITE)}"
    return uri


def take_login(uri: str) -> str:
    """Moves user and password from a server's address to the environment variables that MLflow reads.

    MLflow's errors quote the full address and end up in logs.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.password is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username or "")
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password)
    return public_uri(uri)


def sqlite_file(uri: str) -> Path | None:
    """Database file of an absolute SQLite URI; None for a server."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


def public_uri(uri: str) -> str:
    """`uri` without user and password."""
    parts = urlsplit(uri)
    if parts.password is None:
        return uri
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def is_listening(uri: str) -> bool:
    """Whether a server accepts connections; checked before the seconds that importing MLflow takes."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return True
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def require_server(uri: str) -> None:
    """Raises UserError where no server listens at `uri`; a local store always passes."""
    if not is_listening(uri):
        raise UserError(
            f"MLflow: no server listens at {public_uri(uri)}; "
            "start it or correct the address (MLFLOW_TRACKING_URI, tracking.uri)"
        )
