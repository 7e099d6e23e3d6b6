"""Submissions broken in every way the checker knows, and those it must let pass."""

import pytest

from fashionseg.errors import UserError
from fashionseg.submission.check import check_submission, list_test_photos

HEADER = "ImageId,EncodedPixels,ClassId\n"
PHOTOS = ["a.jpg", "b.jpg"]


def faults(tmp_path, content, photos=None):
    path = tmp_path / "submission.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [str(fault) for fault in check_submission(path, photos)]


VALID = HEADER + "a.jpg,1 3 10 5,6\na.jpg,20 4,6\na.jpg,1 3,10_3_20\nb.jpg,1 1,23\n"


@pytest.mark.parametrize(
    "content",
    [
        VALID,
        VALID.replace("\n", "\r\n"),
        VALID.removesuffix("\n"),
        VALID.replace("a.jpg,20 4,6", '"a.jpg","20 4","6"'),
        VALID.replace("b.jpg,1 1,23", "b.jpg,,23"),  # as the winner wrote a photo without objects
        VALID.replace("b.jpg,1 1,23", "b.jpg,262144 1,23"),  # the last pixel
        VALID.replace("b.jpg,1 1,23", "b.jpg,1 262144,23"),
        HEADER + "a.jpg,1 3 10 5,6\nb.jpg,1 1,23\na.jpg,20 4,6\n",  # rows of a photo need not be together
        VALID.replace("10_3_20", "_".join(["10", *map(str, range(92))])),
    ],
)
def test_valid_files_pass(tmp_path, content):
    assert faults(tmp_path, content, PHOTOS) == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a.jpg,1 3 10,6", "pairs"),
        ("a.jpg,1 x,6", "digits"),
        ("a.jpg,1.5 2,6", "digits"),
        ("a.jpg,-1 2,6", "digits"),
        ("a.jpg,0 2,6", "at least 1"),
        ("a.jpg,5 0,6", "at least 1"),
        ("a.jpg,262144 2,6", "512 x 512"),
        ("a.jpg,262145 1,6", "512 x 512"),
        ("a.jpg,99999999999999999999999999 1,6", "EncodedPixels"),
        ("a.jpg,10 5 1 3,6", "ascending"),
        ("a.jpg,1 5 3 5,6", "without overlap"),
        ("a.jpg,1 3,46", "category below 46"),
        ("a.jpg,1 3,10_92", "attributes below 92"),
        ("a.jpg,1 3,10_20_3", "ascending"),
        ("a.jpg,1 3,10_3_3", "without repeats"),
        ("a.jpg,1 3,dress", "numbers joined by '_'"),
        ("a.jpg,1 3,", "numbers joined by '_'"),
        ("a.jpg,1 3,-1", "numbers joined by '_'"),
        ("a.jpg,1 3,10_", "numbers joined by '_'"),
        ("a.jpg,1 3,06", "expected '6', got '06'"),
        ("a.jpg,1 3," + "1" * 5000, "at most 268 characters"),
        ("a.jpg,1 3", "expected 3 fields, got 2"),
        ("a.jpg,1 3,6,7", "expected 3 fields, got 4"),
        ("", "got an empty line"),
        (",1 3,6", "ImageId"),
        ('a.jpg,"1 3,6', "not a line of csv"),
        ("c.jpg,1 3,6", "expected a test photo, got 'c.jpg'"),
        ("A.jpg,1 3,6", "expected a test photo, got 'A.jpg'"),
        ("../a.jpg,1 3,6", "expected a test photo"),
    ],
)
@pytest.mark.fault(table="submission", case="a bad row", outcome="one line that names it")
def test_a_broken_row_is_one_line_that_names_it(tmp_path, row, reason):
    found = faults(tmp_path, f"{HEADER}a.jpg,500 3,7\n{row}\nb.jpg,1 1,23\n", PHOTOS)
    assert len(found) == 1
    assert found[0].startswith("row 3: ")
    assert reason in found[0]
    assert "\n" not in found[0]
    assert len(found[0]) < 300


@pytest.mark.fault(table="submission", case="shared pixels, missing photos", outcome="one line each")
def test_pixels_shared_in_one_class_are_named_with_both_rows(tmp_path):
    found = faults(tmp_path, HEADER + "a.jpg,1 10,6\na.jpg,100 5,6\na.jpg,8 5,6\nb.jpg,8 5,6\n")
    assert found == ["row 4: 3 pixels shared with earlier rows of class 6, first row 2"]


def test_pixels_shared_by_rows_far_apart_are_found(tmp_path):
    assert faults(tmp_path, HEADER + "a.jpg,1 10,6\nb.jpg,1 1,23\na.jpg,8 5,6\n") == [
        "row 4: 3 pixels shared with earlier rows of class 6, first row 2"
    ]


def test_other_classes_may_share_pixels(tmp_path):
    """The same category with other attributes is another class."""
    assert faults(tmp_path, HEADER + "a.jpg,1 10,10\na.jpg,1 10,31\na.jpg,1 10,10_3\n") == []


def test_the_same_row_twice(tmp_path):
    assert faults(tmp_path, HEADER + "a.jpg,1 10,6\na.jpg,1 10,6\n") == [
        "row 3: the same mask and class as row 2"
    ]


def test_thousands_of_rows_of_one_class_are_no_trouble(tmp_path):
    rows = "".join(f"a.jpg,{1 + 10 * (number // 2)} 5,6\n" for number in range(6000))
    assert len(faults(tmp_path, HEADER + rows)) == 3000


def test_an_empty_mask_beside_other_rows(tmp_path):
    assert faults(tmp_path, HEADER + "a.jpg,1 3,6\na.jpg,,7\n") == [
        "row 3: EncodedPixels: expected at least one run, got none"
    ]


@pytest.mark.fault(table="submission", case="shared pixels, missing photos")
def test_photos_without_a_row_are_named_one_by_one(tmp_path):
    assert faults(tmp_path, HEADER + "b.jpg,1 1,23\n", ["c.jpg", "a.jpg", "b.jpg"]) == [
        "no row for the test photo 'a.jpg'",
        "no row for the test photo 'c.jpg'",
    ]


def test_several_faults_come_in_the_order_of_rows(tmp_path):
    found = faults(tmp_path, HEADER + "z.jpg,1 3 5,99\nb.jpg,1 1,23\n", PHOTOS)
    assert [fault.split(":")[0] for fault in found] == [
        "row 2",
        "row 2",
        "row 2",
        "no row for the test photo 'a.jpg'",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "got an empty file"),
        (HEADER, "expected a row for each test photo, got none"),
        (VALID.removeprefix(HEADER), "row 1: expected the header"),
        (VALID.replace("ClassId", "Class"), "row 1: expected the header"),
        ("ImageId,EncodedPixels,ClassId,Score\n", "row 1: expected the header"),
        ("ImageId;EncodedPixels;ClassId\n", "row 1: expected the header"),
        ("EncodedPixels,ImageId,ClassId\n", "row 1: expected the header"),
        (b"\xef\xbb\xbf" + VALID.encode(), "byte order mark"),
        (VALID.encode("utf-16"), "got UTF-16"),
        (VALID.replace("b.jpg", "b\u00e4.jpg").encode("latin-1"), "row 5: expected UTF-8 text"),
        (VALID + "b.jp", "row 6: expected 3 fields, got 1"),
    ],
)
@pytest.mark.fault(table="submission", case="header, encoding, truncated file", outcome="one line")
def test_a_file_broken_as_a_whole(tmp_path, content, reason):
    found = faults(tmp_path, content)
    assert len(found) == 1
    assert reason in found[0]


def test_a_line_without_end_is_refused_and_the_next_one_read(tmp_path):
    endless = "a.jpg," + "1 1 " * 2**20 + ",6\n"
    found = faults(tmp_path, HEADER + endless + "b.jpg,x,23\n")
    assert [fault[:6] for fault in found] == ["row 2:", "row 3:"]
    assert "longer" in found[0]


def test_a_missing_file_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        check_submission(tmp_path / "none.csv")
    with pytest.raises(UserError, match="no such folder"):
        list_test_photos(tmp_path / "none")
    with pytest.raises(UserError, match="found none"):
        list_test_photos(tmp_path)
