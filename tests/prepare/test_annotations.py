"""train.csv read as a stream: every shape of file a user may hand in."""

import pytest

from fashionseg.errors import UserError
from fashionseg.prepare import csv_index
from fashionseg.prepare.annotations import parse_size, repair_class_id
from fashionseg.prepare.csv_index import Row, index_annotations, read_rows
from fashionseg.taxonomy import competition_taxonomy

HEADER = "ImageId,EncodedPixels,Height,Width,ClassId\n"


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes):
        path = tmp_path / "train.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def everything(path):
    index = index_annotations(path)
    return {key: list(read_rows(index.layout, spans)) for key, spans in index.photos.items()}, index


def test_rows_by_photo_with_their_line_numbers(write):
    rows, index = everything(write(HEADER + "a.jpg,1 3 10 5,4,5,6\na.jpg,2 1,4,5,10_3_20\nb.jpg,1 1,7,8,0\n"))
    assert rows == {
        "a.jpg": [Row(2, "a.jpg", "1 3 10 5", "4", "5", "6"), Row(3, "a.jpg", "2 1", "4", "5", "10_3_20")],
        "b.jpg": [Row(4, "b.jpg", "1 1", "7", "8", "0")],
    }
    assert index.num_rows == 3
    assert index.faults == ()


def test_rows_that_are_not_contiguous_come_together_in_order(write):
    rows, _ = everything(write(HEADER + "a,1 1,4,5,0\nb,2 1,4,5,1\na,3 1,4,5,2\nb,4 1,4,5,3\n"))
    assert [row.class_id for row in rows["a"]] == ["0", "2"]
    assert [(row.line, row.class_id) for row in rows["b"]] == [(3, "1"), (5, "3")]


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "a.jpg,1 3,4,5,6",  # no newline at the end
        "\ufeff" + HEADER + "a.jpg,1 3,4,5,6\n",
        (HEADER + "a.jpg,1 3,4,5,6\n").replace("\n", "\r\n"),
        HEADER + '"a.jpg","1 3","4","5","6"\n',
        HEADER + "a.jpg , 1 3, 4,5 ,6\n\n\n",
        "ClassId,Width,Height,EncodedPixels,ImageId\n6,5,4,1 3,a.jpg\n",
    ],
    ids=["no-newline", "bom", "crlf", "quoted", "blanks", "other-order"],
)
@pytest.mark.fault(
    table="csv", case="byte order mark, CRLF, quotes, another order of columns", outcome="read"
)
def test_harmless_forms_read_the_same(write, text):
    rows, index = everything(write(text))
    assert rows == {"a.jpg": [Row(2, "a.jpg", "1 3", "4", "5", "6")]}
    assert index.faults == ()


@pytest.mark.fault(table="csv", case="an extra column", outcome="ignored and reported")
def test_extra_column_is_ignored_and_reported(write):
    rows, index = everything(write("Note,ImageId,EncodedPixels,Height,Width,ClassId\nhello,a,1 3,4,5,6\n"))
    assert rows["a"][0].class_id == "6"
    assert [(fault.outcome, fault.reason) for fault in index.faults] == [
        ("ignored", "columns not used: 'Note'")
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"b.jpg,1 3 7", "expected 5 fields, got 2"),
        (b"b.jpg,1 3,4,5,6,7", "expected 5 fields, got 6"),
        (b'"b,jpg",1 3,4,5', "expected 5 fields, got 4"),
        (b'"b.jpg,1 3,4,5,6', "not a line of csv"),
        (b",1 3,4,5,6", "ImageId: expected a file name"),
        ("bé.jpg,1 3,4,5,6".encode("latin-1"), "expected UTF-8"),
    ],
)
@pytest.mark.fault(table="csv", case="`ImageId` missing", outcome="row dropped")
def test_bad_line_is_dropped_with_its_number_and_the_others_stay(write, line, reason):
    rows, index = everything(write(HEADER.encode() + b"a,1 3,4,5,6\n" + line + b"\na,2 2,4,5,7\n"))
    assert [row.line for row in rows["a"]] == [2, 4]
    assert list(rows) == ["a"]
    (fault,) = index.faults
    assert (fault.file, fault.row, fault.outcome) == ("train.csv", 3, "dropped")
    assert fault.reason.startswith(reason)


@pytest.mark.fault(table="csv", case="a comma in quotes", outcome="one field")
def test_quoted_comma_is_one_field(write):
    rows, _ = everything(write(HEADER + '"a,b.jpg",1 3,4,5,6\n'))
    assert rows["a,b.jpg"][0].encoded_pixels == "1 3"


@pytest.mark.fault(table="csv", case="a line that never ends", outcome="dropped, memory stays flat")
def test_line_without_end_does_not_fill_the_memory(write, monkeypatch):
    monkeypatch.setattr(csv_index, "MAX_LINE_BYTES", 100)
    rows, index = everything(write(HEADER + "a," + "1 3 " * 200 + ",4,5,6\nb,1 3,4,5,6\n"))
    assert list(rows) == ["b"]
    assert rows["b"][0].line == 3
    assert [(fault.row, fault.reason) for fault in index.faults] == [
        (2, "expected a line below 100 bytes, got a longer one")
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty line"),
        (b"ImageId,EncodedPixels,Height,Width\n", "missing column ClassId"),
        (b"a.jpg,1 3,4,5,6\n", "missing column ImageId, EncodedPixels"),
        (b"ImageId,ImageId,EncodedPixels,Height,Width,ClassId\n", "column ImageId given twice"),
        (HEADER.encode("utf-16"), "expected UTF-8 text, got UTF-16"),
        (b"\xff\x00\x81\n", "expected UTF-8 text"),
    ],
)
@pytest.mark.fault(table="csv", case="a column missing or twice, UTF-16, empty, not a csv", outcome="refused")
def test_file_that_is_not_train_csv_is_refused(write, content, message):
    with pytest.raises(UserError, match=message):
        index_annotations(write(content))


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"train\.csv: no such file"):
        index_annotations(tmp_path / "train.csv")


@pytest.mark.parametrize("text", ["", "0", "-3", "4.5", "x", "1" * 5000, "\u0663"])
def test_size_that_is_no_size(text):
    with pytest.raises(ValueError, match="Height: expected a whole number of at least 1"):
        parse_size(Row(2, "a", "1 1", text, "5", "0"))


@pytest.mark.parametrize(
    ("text", "label", "reason"),
    [
        ("23", (23, ()), None),
        ("10_3_20", (10, (3, 20)), None),
        ("10_20_3", (10, (3, 20)), "ascending"),
        ("10_3_3", (10, (3,)), "without repeats"),
        ("10_3_92", (10, (3,)), "below 92"),
        ("23_3", (23, ()), "category 23 has no attributes"),
        ("12_3", (12, (3,)), None),
        ("13_3", (13, ()), "category 13 has no attributes"),
    ],
)
@pytest.mark.fault(
    table="csv",
    case="attributes unknown, repeated, unsorted, or on a category that has none",
    outcome="removed or sorted, repaired",
)
def test_class_id_is_read_or_repaired(text, label, reason):
    category, attributes, reasons = repair_class_id(text, competition_taxonomy())
    assert (category, attributes) == label
    assert len(reasons) == (reason is not None)
    assert reason is None or reason in reasons[0]


@pytest.mark.parametrize("text", ["", "46", "x", "6.0", "-1", "10__3", "10_x", "9" * 5000, "\u0663"])
@pytest.mark.fault(table="csv", case="`ClassId` unknown or malformed", outcome="row dropped")
def test_class_id_without_a_known_category_is_refused(text):
    with pytest.raises(ValueError, match="ClassId: expected"):
        repair_class_id(text, competition_taxonomy())
