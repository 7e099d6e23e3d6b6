"""The competition's data and submissions through Kaggle's own client.

The client is imported only when used: its import looks for credentials and may use the network.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.project import state_folder
from fashionseg.sources.archive import unpack
from fashionseg.sources.folder import FOLDERS, SAMPLE_SUBMISSION, TRAIN_CSV, check_layout
from fashionseg.storage.disk import full_disk_errno, full_disk_names, require_space

SITE = "https://www.kaggle.com"
CREDENTIALS_HELP = (
    f"create a token at {SITE}/settings/api and set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY, "
    "or save it as ~/.kaggle/kaggle.json"
)
CREDENTIAL_FILES = ("kaggle.json", "access_token", "access_token.txt", "credentials.json")
POLL_SECONDS = 5.0
LISTED_ATTEMPTS = 12  # until an accepted submission is listed
SCORED_ATTEMPTS = 60  # until it is scored
TOLERATED_MISSING = 0.01  # share of photos named in a csv that Kaggle's archive may lack


def fetch_competition(competition: str, folder: Path) -> None:
    """Downloads the competition's archive (or resumes an interrupted download) and unpacks it into the empty `folder`.

    The archive stays in `.fashionseg/kaggle`, so that a later run needs no second download.

    Raises:
        UserError: no or wrong credentials, rules not accepted, no network, a full disk, or a broken archive.
    """
    downloads = state_folder("kaggle")
    downloads.mkdir(parents=True, exist_ok=True)
    archive = download_archive(competition, downloads)
    unpack(archive, folder)
    _unpack_nested(folder)
    check_layout(folder)
    for photos, table in zip(FOLDERS, (TRAIN_CSV, SAMPLE_SUBMISSION), strict=True):
        _check_count(folder / photos, folder / table)
    say(f"kaggle: kept {archive} for later runs; delete it to free {archive.stat().st_size / 1e9:.1f} GB")


def download_archive(competition: str, folder: Path) -> Path:
    """`competition`.zip in `folder`; a partial one is completed, a complete and current one kept."""
    api = _authenticated_api(folder)
    with full_disk_names(folder), _clear_errors(competition):
        api.competition_download_files(competition, path=str(folder), quiet=not os.isatty(2))
    archive = folder / f"{competition}.zip"
    if not archive.exists():
        found = sorted(path.name for path in folder.glob(f"{competition}.*"))
        raise UserError(f"kaggle: expected {archive.name}, got {found}")
    return archive


def upload_submission(file: Path, message: str, competition: str) -> str:
    """Submits `file`, then waits until Kaggle lists it; returns its status and public score.

    Raises:
        UserError: the file is missing, or as `fetch_competition`, or the upload failed, or the submission is not listed
            afterwards, or was listed as faulty.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such file")
    api = _authenticated_api(file.parent)
    with _clear_errors(competition, f"{file} was not submitted; run again to upload it"):
        before = {submission.ref for submission in _list_submissions(api, competition)}
        answer = api.competition_submit(str(file), message, competition, quiet=not os.isatty(2))
    said = _one_line(answer.message or "") or "nothing"
    # The client reports a failed upload in the answer only.
    if answer.message == api.COMPETITION_SUBMIT_UPLOAD_FAILED_MESSAGE:
        raise UserError(f"kaggle: the upload of {file} failed: {said}")
    page = f"{SITE}/competitions/{competition}/submissions"
    found = None
    with _clear_errors(competition, f"{file} was uploaded, whether it was accepted is unknown; see {page}"):
        for attempt in range(SCORED_ATTEMPTS):
            new = [each for each in _list_submissions(api, competition) if each.ref not in before]
            found = next((each for each in new if each.ref == answer.ref), new[0] if new else None)
            if (found is None and attempt + 1 >= LISTED_ATTEMPTS) or (
                found and found.status.name != "PENDING"
            ):
                break
            time.sleep(POLL_SECONDS)
    if found is None:
        raise UserError(
            f"kaggle: {file} was not accepted: it is not among the submissions to {competition} after the upload, "
            f"which Kaggle answered with {said!r}; see {page}"
        )
    match found.status.name:
        case "ERROR":
            reason = _one_line(found.error_description or "") or "no reason given"
            raise UserError(f"kaggle: {file} was not accepted: {reason}; see {page}")
        case "PENDING":
            return f"listed, not scored yet; see {page}"
        case status:
            return f"{status.lower()}, public score {found.public_score or 'none'}"


def _list_submissions(api: Any, competition: str) -> list[Any]:
    """The user's newest submissions."""
    return [each for each in api.competition_submissions(competition) or [] if each is not None]


def _authenticated_api(folder: Path) -> Any:
    """The client, signed in; it checks the space in `folder` before it downloads."""
    _refuse_readable_credentials()
    # It prints a page of help and exits when it finds no credentials.
    with contextlib.redirect_stdout(io.StringIO()), _clear_errors(None):
        from kaggle.api.kaggle_api_extended import KaggleApi
        from kagglesdk import get_access_token_from_env

        class SpaceCheckingApi(KaggleApi):
            def download_file(self, response: Any, outfile: str, *rest: Any, **options: Any) -> None:
                present = Path(outfile).stat().st_size if Path(outfile).exists() else 0
                left = int(response.headers.get("Content-Length") or 0) - present
                require_space(folder, left, f"downloading {Path(outfile).name}")
                super().download_file(response, outfile, *rest, **options)

        api = SpaceCheckingApi()
        try:
            api.authenticate()
        except SystemExit:
            what = "the API token was refused" if get_access_token_from_env()[0] else "no credentials"
            raise UserError(f"kaggle: {what}; {CREDENTIALS_HELP}") from None
    return api


def _refuse_readable_credentials() -> None:
    """Raises UserError where others may read a file in which Kaggle's client looks for credentials."""
    home = Path.home() / ".kaggle"
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kaggle"
    folders = {home, settings, Path(os.environ.get("KAGGLE_CONFIG_DIR") or home)}
    paths = [folder / name for folder in sorted(folders) for name in CREDENTIAL_FILES]
    token = os.environ.get("KAGGLE_API_TOKEN")
    if token and os.sep in token:  # the token itself, or a file with it
        paths.append(Path(token))
    for path in paths:
        if path.is_file() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UserError(f"{path}: others on this machine can read these credentials; `chmod 600 {path}`")


def _one_line(error: object) -> str:
    """Without the query of an address: Kaggle's download links are signed there."""
    return re.sub(r"\?\S+", "?...", " ".join(str(error).split()))[:200]


@contextlib.contextmanager
def _clear_errors(
    competition: str | None, advice: str = "run again to resume the download"
) -> Iterator[None]:
    """Turns each failure of the client into one line that says what to do; `advice` if the connection fails."""
    import requests
    from urllib3.exceptions import HTTPError as TransportError

    try:
        yield
    except requests.HTTPError as error:
        raise UserError(_explain_status(error, competition)) from None
    except (requests.RequestException, TransportError) as error:
        raise UserError(
            f"kaggle: no connection; {advice} ({type(error).__name__}: {_one_line(error)})"
        ) from None
    except ValueError as error:
        raise UserError(f"kaggle: {_one_line(error)}; run again") from None
    except OSError as error:
        if full_disk_errno(error) is not None:
            raise
        raise UserError(f"kaggle: {_one_line(error)}") from None


def _explain_status(error: Any, competition: str | None) -> str:
    status = getattr(error.response, "status_code", None)
    reason = _one_line(error)
    match status:
        case 401:
            return f"kaggle: the credentials were refused (401); {CREDENTIALS_HELP}"
        case 403 if competition:
            rules = f"{SITE}/competitions/{competition}/rules"
            return f"kaggle: access refused (403: {reason}); unless it is closed, accept its rules at {rules}"
        case 404:
            return f"kaggle: there is no competition {competition!r} (404)"
        case 429:
            return "kaggle: too many requests (429); try again later"
        case _:
            return f"kaggle: the server answered {status}: {reason}"


def _unpack_nested(folder: Path) -> None:
    """Some archives of Kaggle hold archives: train.zip, test.zip, train.csv.zip."""
    for archive in sorted(folder.glob("*.zip")):
        target = folder / f".{archive.stem}"
        target.mkdir()
        unpack(archive, target)
        archive.unlink()
        name = archive.stem
        if name in FOLDERS and not (folder / name).exists() and not (target / name).exists():
            target.rename(folder / name)
            continue
        for path in target.iterdir():
            path.rename(folder / path.name)
        target.rmdir()


def _check_count(photos: Path, table: Path) -> None:
    """Compares the photos with those that the csv names; unpacking has checked sizes and CRCs.

    Raises:
        UserError: the csv names many photos that are not there, or has no ImageId column.
    """
    named = _image_ids(table)
    present = {path.name for path in photos.iterdir()}
    missing = sorted(named - present)
    if len(missing) > TOLERATED_MISSING * len(named):
        raise UserError(
            f"{photos}: {len(missing)} of the {len(named)} photos of {table.name} are missing, the first {missing[0]}"
        )
    lacking = f", {len(missing)} of them missing" if missing else ""
    say(f"kaggle: {len(present)} photos in {photos.name}/, {len(named)} in {table.name}{lacking}")


def _image_ids(table: Path) -> set[str]:
    """The distinct ImageIds, the first column. Only the start of a line is read: rows hold megabytes of pixels."""
    with table.open("rb") as lines:
        header = next(lines, b"").split(b",", 1)[0].strip()
        if header.removeprefix(b"\xef\xbb\xbf") != b"ImageId":
            raise UserError(f"{table}: expected the first column ImageId, got {header[:40]!r}")
        ids = {line.split(b",", 1)[0].strip() for line in lines}
    return {image_id.decode("utf-8", "replace") for image_id in ids if image_id}
