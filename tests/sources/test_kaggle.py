"""Kaggle's real client against a loopback server: download, resume, submission, and one clear line per failure."""

import contextlib
import importlib
import io
import shutil
import socket
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fashionseg.errors import UserError
from fashionseg.sources import kaggle
from fashionseg.sources.archive import unpack
from kaggle_server import serving

NOISE = bytes(3_000_000)
CHUNK = 1_048_576  # the client writes whole chunks; what arrived of a cut one is lost


def competition_zip(**extra: bytes) -> bytes:
    members = {
        "train/a.jpg": NOISE,
        "train/b.jpg": b"photo b",
        "test/c.jpg": b"photo c",
        "train.csv": b"ImageId,EncodedPixels,Height,Width,ClassId\na.jpg,1 1,9,9,6\na.jpg,2 1,9,9,0\nb.jpg,1 1,9,9,6\n",
        "label_descriptions.json": b"{}",
        "sample_submission.csv": b"ImageId,EncodedPixels,ClassId\nc.jpg,1 1,23\n",
    }
    return zip_of({**members, **extra})


def zip_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The server, and a user with right credentials who works in an empty repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    with serving() as running:
        environment = importlib.import_module("kagglesdk.kaggle_env")
        monkeypatch.setitem(environment._env_to_endpoint, environment.KaggleEnv.PROD, running.url)
        monkeypatch.setenv("KAGGLE_USERNAME", running.username)
        monkeypatch.setenv("KAGGLE_KEY", running.key)
        client = importlib.import_module("kaggle.api.kaggle_api_extended")
        monkeypatch.setattr(client.KaggleApi, "config", str(tmp_path / "config" / "kaggle.json"))
        monkeypatch.setattr(client.time, "sleep", lambda seconds: None)  # its pauses between attempts
        running.files["/files/fashion.zip"] = competition_zip()
        yield running


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    return folder


def test_the_archive_is_fetched_unpacked_and_counted(
    server: Any, raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kaggle.fetch_competition("fashion", raw)
    assert (raw / "train/a.jpg").read_bytes() == NOISE
    assert sorted(path.name for path in raw.iterdir()) == [
        *("label_descriptions.json", "sample_submission.csv", "test", "train", "train.csv")
    ]
    printed = capsys.readouterr().out
    assert "2 photos in train/, 2 in train.csv" in printed
    assert "1 photos in test/, 1 in sample_submission.csv" in printed


def test_a_second_run_downloads_nothing_again(server: Any, raw: Path, tmp_path: Path) -> None:
    first = kaggle.download_archive("fashion", tmp_path)
    before = first.stat().st_mtime_ns
    server.cuts = [0]  # whoever reads the body now fails
    assert kaggle.download_archive("fashion", tmp_path) == first
    assert first.stat().st_mtime_ns == before


@pytest.mark.fault(table="network", case="an interrupted download", outcome="resumes where it stopped")
def test_a_lost_connection_resumes_the_download(server: Any, raw: Path, tmp_path: Path) -> None:
    server.cuts = [2 * CHUNK + 999]
    archive = kaggle.download_archive("fashion", tmp_path)
    assert archive.read_bytes() == server.files["/files/fashion.zip"]
    assert server.ranges == [None, f"bytes={2 * CHUNK}-"]


def test_the_next_run_resumes_an_interrupted_download(server: Any, raw: Path, tmp_path: Path) -> None:
    server.cuts = [CHUNK + 999, *[0] * 5]  # all attempts of the first run
    with pytest.raises(UserError, match="no connection; run again to resume the download"):
        kaggle.fetch_competition("fashion", raw)
    part = tmp_path / ".fashionseg/kaggle/fashion.zip"
    assert part.stat().st_size == CHUNK
    server.ranges.clear()
    kaggle.fetch_competition("fashion", raw)
    assert server.ranges == [None, f"bytes={CHUNK}-"]
    assert part.read_bytes() == server.files["/files/fashion.zip"]


def test_archives_inside_the_archive_are_unpacked_too(server: Any, raw: Path) -> None:
    whole = {}
    with zipfile.ZipFile(io.BytesIO(competition_zip())) as archive:
        whole = {name: archive.read(name) for name in archive.namelist()}
    server.files["/files/fashion.zip"] = zip_of(
        {
            "train.zip": zip_of({"a.jpg": NOISE, "b.jpg": b"photo b"}),
            "test.zip": zip_of({"test/c.jpg": b"photo c"}),
            "train.csv.zip": zip_of({"train.csv": whole["train.csv"]}),
            "label_descriptions.json": b"{}",
            "sample_submission.csv": whole["sample_submission.csv"],
        }
    )
    kaggle.fetch_competition("fashion", raw)
    files = sorted(path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file())
    assert files == sorted(whole)


def test_photos_that_the_csv_names_must_be_there(server: Any, raw: Path) -> None:
    table = b"ImageId,EncodedPixels,Height,Width,ClassId\na.jpg,1 1,9,9,6\nlost.jpg,1 1,9,9,6\n"
    server.files["/files/fashion.zip"] = competition_zip(**{"train.csv": table})
    with pytest.raises(UserError, match=r"1 of the 2 photos of train.csv are missing, the first lost.jpg"):
        kaggle.fetch_competition("fashion", raw)


def test_an_archive_that_leads_out_of_the_folder_is_refused(server: Any, raw: Path, tmp_path: Path) -> None:
    server.files["/files/fashion.zip"] = competition_zip(**{"../../evil.jpg": b"bad"})
    with pytest.raises(UserError, match="leads out of the folder"):
        kaggle.fetch_competition("fashion", raw)
    assert not any(raw.iterdir())


def test_no_credentials(server: Any, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    with pytest.raises(
        UserError, match=r"no credentials; create a token at https://www.kaggle.com/settings/api"
    ):
        kaggle.fetch_competition("fashion", raw)


def test_wrong_credentials(server: Any, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_KEY", "wrong")
    with pytest.raises(UserError, match=r"credentials were refused \(401\); create a token"):
        kaggle.fetch_competition("fashion", raw)


def test_a_refused_token_is_not_reported_as_missing_credentials(
    server: Any, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAGGLE_USERNAME")
    monkeypatch.delenv("KAGGLE_KEY")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "wrong")
    with pytest.raises(UserError, match="refused"):
        kaggle.fetch_competition("fashion", raw)


def test_rules_not_accepted_names_the_page(server: Any, raw: Path) -> None:
    server.rules_accepted = False
    with pytest.raises(UserError, match=r"accept .* at https://www.kaggle.com/competitions/fashion/rules"):
        kaggle.fetch_competition("fashion", raw)


def test_an_unknown_competition(server: Any, raw: Path) -> None:
    with pytest.raises(UserError, match="no competition 'fashon'"):
        kaggle.fetch_competition("fashon", raw)


def test_network_down(server: Any, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    environment = importlib.import_module("kagglesdk.kaggle_env")
    monkeypatch.setitem(environment._env_to_endpoint, environment.KaggleEnv.PROD, f"http://127.0.0.1:{port}")
    with pytest.raises(UserError, match="no connection"):
        kaggle.fetch_competition("fashion", raw)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, r"^kaggle: too many requests \(429\); try again later$"),
        (503, r"^kaggle: the server answered 503: "),
    ],
)
@pytest.mark.fault(
    table="network", case="Kaggle answers 429 or 503", outcome="one line; the next run continues"
)
def test_a_busy_server_is_one_line_and_the_next_run_succeeds(
    server: Any, raw: Path, tmp_path: Path, status: int, expected: str
) -> None:
    server.refusals = [status] * 50
    with pytest.raises(UserError, match=expected):
        kaggle.fetch_competition("fashion", raw)
    assert list(raw.iterdir()) == []
    server.refusals = [status]  # once: the client tries again by itself, or the next run does
    with contextlib.suppress(UserError):
        kaggle.fetch_competition("fashion", raw)
    if not any(raw.iterdir()):
        kaggle.fetch_competition("fashion", raw)
    assert (raw / "train" / "a.jpg").read_bytes() == NOISE


@pytest.mark.fault(
    table="disk",
    case="disk full before a download or copy, as far as its size is known",
    outcome="refused before the first byte",
)
def test_disk_full_is_noticed_before_the_download(
    server: Any, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 1000))
    with pytest.raises(UserError, match=r"disk full: downloading fashion.zip needs 3.0 MB"):
        kaggle.fetch_competition("fashion", raw)
    assert not (tmp_path / ".fashionseg/kaggle/fashion.zip").exists()


def test_a_submission_arrives_with_its_message(server: Any, tmp_path: Path) -> None:
    file = tmp_path / "submission.csv"
    file.write_text("ImageId,EncodedPixels,ClassId\nc.jpg,1 1,23\n")
    assert kaggle.upload_submission(file, "first try", "fashion") == "complete, public score 0.1234"
    assert server.uploads == [file.read_bytes()]
    assert server.submissions[0]["submissionDescription"] == "first try"
    assert server.submissions[0]["blobFileTokens"] == "blob-1"


def test_a_failed_upload_is_an_error_though_the_client_raises_none(server: Any, tmp_path: Path) -> None:
    file = tmp_path / "submission.csv"
    file.write_text("ImageId,EncodedPixels,ClassId\n")
    server.upload_status = 400
    with pytest.raises(UserError, match=r"the upload of .*submission.csv failed"):
        kaggle.upload_submission(file, "m", "fashion")
    assert server.submissions == []


@pytest.mark.parametrize("answer", [{"message": ""}, {}, {"message": "Submissions are closed", "ref": 0}])
@pytest.mark.fault(
    table="network",
    case="Kaggle answers an upload but does not list the submission",
    outcome="one line: not accepted, with Kaggle's words",
)
def test_a_submission_that_is_not_listed_was_not_accepted(
    server: Any, submission: Path, answer: dict[str, Any]
) -> None:
    server.answer, server.listings = answer, []
    said = answer.get("message") or "nothing"
    with pytest.raises(
        UserError, match=rf"submission\.csv was not accepted: .* Kaggle answered with '{said}'"
    ):
        kaggle.upload_submission(submission, "m", "fashion")
    assert server.num_listings > 2  # it may take a while until one is listed


def test_a_submission_with_an_empty_answer_counts_once_it_is_listed(server: Any, submission: Path) -> None:
    server.answer = {}
    server.listings = [
        {"status": "PENDING"},
        {"status": "PENDING"},
        {"status": "COMPLETE", "publicScore": "0.3"},
    ]
    assert kaggle.upload_submission(submission, "m", "fashion") == "complete, public score 0.3"


def test_a_submission_that_is_not_scored_in_time_is_reported_so(server: Any, submission: Path) -> None:
    server.listings = [{"status": "PENDING"}]
    expected = "listed, not scored yet; see https://www.kaggle.com/competitions/fashion/submissions"
    assert kaggle.upload_submission(submission, "m", "fashion") == expected


@pytest.mark.fault(
    table="network", case="Kaggle finds a fault in a submission", outcome="one line with Kaggle's reason"
)
def test_a_submission_that_kaggle_finds_faulty_was_not_accepted(server: Any, submission: Path) -> None:
    server.listings = [{"status": "PENDING"}, {"status": "ERROR", "errorDescription": "ids do not match"}]
    with pytest.raises(UserError, match=r"was not accepted: ids do not match; see https"):
        kaggle.upload_submission(submission, "m", "fashion")


@pytest.mark.parametrize("status", [400, 403])
def test_a_closed_competition_is_one_line_with_kaggles_words(
    server: Any, submission: Path, status: int
) -> None:
    server.create_status, server.answer = status, {"message": "Submissions are closed"}
    with pytest.raises(UserError, match=rf"^kaggle: .*{status}.*Submissions are closed"):
        kaggle.upload_submission(submission, "m", "fashion")


@pytest.mark.fault(
    table="network",
    case="no connection when a submission is uploaded",
    outcome="one line: not submitted, or uploaded and to be looked up",
)
def test_without_a_network_an_upload_has_words_of_its_own(server: Any, submission: Path) -> None:
    server.lists_until = 0
    with pytest.raises(
        UserError, match=r"no connection; .*submission\.csv was not submitted; run again to upload it"
    ):
        kaggle.upload_submission(submission, "m", "fashion")
    assert server.submissions == []
    server.lists_until = server.num_listings + 1
    with pytest.raises(UserError, match=r"was uploaded, whether it was accepted is unknown; see https"):
        kaggle.upload_submission(submission, "m", "fashion")
    assert len(server.submissions) == 1


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    file = tmp_path / "submission.csv"
    file.write_text("ImageId,EncodedPixels,ClassId\nc.jpg,1 1,23\n")
    return file


def test_a_missing_submission_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.csv: no such file"):
        kaggle.upload_submission(tmp_path / "none.csv", "m", "fashion")


def test_the_archive_on_disk_is_a_zip_that_unpack_takes(server: Any, raw: Path, tmp_path: Path) -> None:
    assert unpack(kaggle.download_archive("fashion", tmp_path), raw) == 6
