"""`fashionseg submit`: nothing leaves the machine unless the file is valid and the upload was asked for."""

import pytest

from fashionseg.cli import main
from fashionseg.sources import kaggle

HEADER = "ImageId,EncodedPixels,ClassId\n"


@pytest.fixture
def uploads(project, monkeypatch):
    """What was uploaded, in a project with one test photo and a valid submission."""
    (project / "data/raw/test").mkdir(parents=True)
    (project / "data/raw/test/a.jpg").touch()
    (project / "reports").mkdir()
    (project / "reports/submission.csv").write_text(HEADER + "a.jpg,1 1,23\n")
    calls = []

    def upload(file, message, competition):
        calls.append((file.name, message, competition))
        return "received"

    monkeypatch.setattr(kaggle, "upload_submission", upload)
    return calls


def test_without_the_flag_the_file_is_only_checked(uploads, capsys):
    assert main(["submit"]) == 0
    assert uploads == []
    assert "--upload" in capsys.readouterr().out


def test_the_flag_uploads_with_message_and_competition(uploads, capsys):
    assert main(["submit", "--upload", "--message", "second try"]) == 0
    assert uploads == [("submission.csv", "second try", "imaterialist-fashion-2019-FGVC6")]
    assert "received" in capsys.readouterr().out


def test_the_message_of_params_is_the_default(uploads):
    main(["submit", "--upload"])
    assert uploads[0][1] == "fashionseg"


def test_a_faulty_file_is_not_uploaded(uploads, project, capsys):
    (project / "reports/submission.csv").write_text(HEADER + "a.jpg,1,23\n")
    assert main(["submit", "--upload"]) == 1
    assert uploads == []
    assert "row 2: EncodedPixels" in capsys.readouterr().out


def test_a_submission_without_a_test_photo_is_not_uploaded(uploads, project):
    (project / "data/raw/test/b.jpg").touch()
    assert main(["submit", "--upload"]) == 1
    assert uploads == []


def test_another_file_can_be_given(uploads, project, tmp_path):
    (project / "other.csv").write_text(HEADER + "a.jpg,1 2,23\n")
    assert main(["submit", "other.csv", "--upload"]) == 0
    assert uploads[0][0] == "other.csv"
