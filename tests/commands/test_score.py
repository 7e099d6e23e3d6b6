"""`fashionseg score` on files by hand."""

import json

import cv2
import numpy as np
import pytest

from fashionseg.cli import main
from fashionseg.data.rle import format_rle, mask_to_runs

TRUTH_HEADER = "ImageId,EncodedPixels,Height,Width,ClassId\n"
HEADER = "ImageId,EncodedPixels,ClassId\n"
# The first 100 and the next 100 pixels of the first column, as in 512 x 512.
UPPER, LOWER = "1 100", "101 100"


@pytest.fixture
def score(tmp_path, capsys):
    """Writes both files and returns the parsed JSON; the result's `code` is the exit status."""

    def run(truth, submission, *options):
        (tmp_path / "train.csv").write_text(TRUTH_HEADER + truth)
        (tmp_path / "submission.csv").write_text(HEADER + submission)
        files = ["--truth", str(tmp_path / "train.csv"), "--submission", str(tmp_path / "submission.csv")]
        code = main(["score", *files, *options])
        printed = capsys.readouterr()
        if code:
            return {"code": code, "error": printed.err}
        return {"code": 0, **json.loads(printed.out)} if "--json" in options else printed.out

    return run


def test_the_levels_by_hand(score):
    # a: class 6 found exactly, class 10 missed -> 0.5 per label, 1/2 over objects
    # b: class 31 found as class 32 -> 0
    truth = f"a.jpg,{UPPER},512,512,6\na.jpg,{LOWER},512,512,10\nb.jpg,{UPPER},512,512,31\n"
    found = score(truth, f"a.jpg,{UPPER},6\nb.jpg,{UPPER},32\n", "--json")
    assert found["image_category"] == pytest.approx(0.25)
    assert found["image"] == pytest.approx(0.25)
    assert found["pooled"] == pytest.approx(1 / 4)  # 1 TP, 1 FP, 2 FN
    assert (found["num_photos"], found["num_truths"], found["num_predictions"]) == (2, 3, 2)


def test_attributes_count_unless_the_label_is_the_category(score):
    truth, submission = f"a.jpg,{UPPER},512,512,10_3_20\n", f"a.jpg,{UPPER},10\n"
    assert score(truth, submission, "--json")["image"] == 0.0
    assert score(truth, submission, "--json", "--label", "classid")["image"] == 0.0
    assert score(truth, submission, "--json", "--label", "category")["image"] == 1.0


def test_rows_of_one_category_may_overlap_when_their_attributes_differ(score):
    """With the label `category` a matching is needed: both predictions fit the second truth, one fits the first."""
    truth = "a.jpg,1 100,512,512,10_3\na.jpg,1 80,512,512,10_4\n"
    found = score(truth, "a.jpg,1 90,10_3\na.jpg,1 70,10_4\n", "--json", "--label", "category")
    # 90 fits 100 (0.9: 8 thresholds) and 80 (0.89: 8); 70 fits 100 (0.7: 4) and 80 (0.875: 8).
    # 90-100 and 70-80 gives two at eight thresholds: 2/2, and none at two.
    assert found["image"] == pytest.approx(0.8)


def test_truth_masks_are_resized_to_512_as_by_cv2(score):
    rng = np.random.default_rng(0)
    mask = np.zeros((700, 300), bool)
    mask[100:650, 20:280] = rng.random((550, 260)) < 0.5
    small = cv2.resize(mask.astype(np.uint8), (512, 512), interpolation=cv2.INTER_NEAREST) > 0
    truth = f"a.jpg,{format_rle(mask_to_runs(mask))},700,300,6\n"
    assert score(truth, f"a.jpg,{format_rle(mask_to_runs(small))},6\n", "--json")["image"] == 1.0
    shifted = np.roll(small, 1, axis=0)  # on noise one pixel is far off: the comparison is exact
    assert score(truth, f"a.jpg,{format_rle(mask_to_runs(shifted))},6\n", "--json")["image"] == 0.0


def test_the_placeholder_is_a_prediction(score):
    truth = f"a.jpg,{UPPER},512,512,6\n"
    found = score(truth, "a.jpg,1 1,23\n", "--json")
    assert (found["image"], found["num_predictions"]) == (0.0, 1)
    assert score(truth, "a.jpg,,23\n", "--json")["num_predictions"] == 1


def test_a_photo_without_a_row_scores_nothing_and_is_counted(score):
    truth = f"a.jpg,{UPPER},512,512,6\nb.jpg,{UPPER},512,512,6\n"
    found = score(truth, f"a.jpg,{UPPER},6\n", "--json")
    assert (found["image"], found["photos_missing"]) == (0.5, 1)


def test_a_photo_missing_from_the_truth_is_skipped_and_counted(score):
    found = score(f"a.jpg,{UPPER},512,512,6\n", f"a.jpg,{UPPER},6\nz.jpg,{UPPER},6\n", "--json")
    assert (found["image"], found["photos_ignored"]) == (1.0, 1)


def test_a_truth_without_a_pixel_at_512_is_skipped_and_counted(score):
    # Pixel 2 of a row of 2000 columns x 1 row: source columns taken are 0, 3, 7, ...
    truth = "a.jpg,2 1,1,2000,7\na.jpg,1 1,1,2000,6\n"
    found = score(truth, "a.jpg,1 1,23\n", "--json")
    assert (found["num_truths"], found["truths_vanished"]) == (1, 1)


def test_the_default_output_is_a_table(score):
    text = score(f"a.jpg,{UPPER},512,512,6\n", f"a.jpg,{UPPER},6\nz.jpg,1 1,23\n")
    assert "image_category  1.00000" in text
    assert "1 photos of the submission are not in the truth" in text


@pytest.mark.parametrize(
    ("truth", "submission", "reason"),
    [
        ("a.jpg,1 2 3,512,512,6\n", "a.jpg,1 1,23\n", "train.csv: row 2: EncodedPixels"),
        ("a.jpg,1 2,512,x,6\n", "a.jpg,1 1,23\n", "train.csv: row 2: Width"),
        ("a.jpg,1 2,512,512,99\n", "a.jpg,1 1,23\n", "train.csv: row 2: ClassId"),
        ("a.jpg,1 2,512\n", "a.jpg,1 1,23\n", "train.csv: row 2: expected 5 fields"),
        ("", "a.jpg,1 1,23\n", "train.csv: expected rows"),
        ("a.jpg,1 2,512,512,6\n", "a.jpg,1 1,99\n", "submission.csv: row 2: ClassId"),
        ("a.jpg,1 2,512,512,6\n", "a.jpg,1 9,6\na.jpg,5 9,6\n", "submission.csv: row 3: 5 pixels shared"),
        ("a.jpg,1 2,512,512,6\n", "z.jpg,1 1,23\n", "expected photos of"),
    ],
)
def test_a_mistake_is_one_line_that_names_file_and_row(score, truth, submission, reason):
    found = score(truth, submission)
    assert found["code"] == 2
    assert reason in found["error"]
    assert found["error"].count("\n") == 1


def test_a_missing_file_is_named(tmp_path, capsys):
    assert main(["score", "--truth", str(tmp_path / "no.csv"), "--submission", "x.csv"]) == 2
    assert "no.csv: no such file" in capsys.readouterr().err
