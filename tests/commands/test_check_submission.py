"""`fashionseg check-submission`: exit status and one line per fault."""

import pytest

from fashionseg.cli import main

HEADER = "ImageId,EncodedPixels,ClassId\n"


@pytest.fixture
def submission(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text(HEADER + "a.jpg,1 3,6\nb.jpg,1 1,23\n")
    return path


@pytest.fixture
def photo_folder(tmp_path):
    folder = tmp_path / "test"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", ".hidden"):
        (folder / name).touch()
    return folder


def test_a_valid_file(submission, photo_folder, capsys):
    assert main(["check-submission", str(submission)]) == 0
    assert main(["check-submission", str(submission), "--test-dir", str(photo_folder)]) == 0
    assert "2 test photos" in capsys.readouterr().out


def test_each_fault_is_one_line(submission, photo_folder, capsys):
    (photo_folder / "c.jpg").touch()
    with submission.open("a") as file:
        file.write("b.jpg,7 0,6\n")
    assert main(["check-submission", str(submission), "--test-dir", str(photo_folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "submission.csv: row 4: " in lines[0]
    assert "no row for the test photo 'c.jpg'" in lines[1]


def test_the_competitions_own_file_names_the_photos(submission, tmp_path, capsys):
    sample = tmp_path / "sample_submission.csv"
    sample.write_text(HEADER + "a.jpg,1 1,23\nb.jpg,1 1,23\nc.jpg,1 1,23\n")
    assert main(["check-submission", str(submission), "--sample-submission", str(sample)]) == 1
    assert "'c.jpg'" in capsys.readouterr().out


def test_a_missing_file_is_a_user_error(tmp_path, capsys):
    assert main(["check-submission", str(tmp_path / "none.csv")]) == 2
    assert "none.csv: no such file" in capsys.readouterr().err
