"""train.csv: every row is read or named with its reason, and what is read is what a slow reader reads."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.fuzz.harness import fuzz, mutations, scratch_folder
from tests.fuzz.oracles import split_line

from fashionseg.errors import UserError
from fashionseg.prepare.annotations import parse_size, repair_class_id
from fashionseg.prepare.csv_index import COLUMNS, Row, index_annotations, read_rows
from fashionseg.taxonomy import competition_taxonomy

HEADER = ",".join(COLUMNS)
VALID = (
    f"{HEADER}\na.jpg,1 3 10 5,4,5,6\na.jpg,2 1,4,5,10_3_20\nb.jpg,1 1,7,8,0\na.jpg,3 1,4,5,2\n",
    f'\ufeff{HEADER}\r\n"a,b.jpg","1 3","4","5","6"\r\n\r\nc.jpg,1 1,1,1,45\r\n',
    "Note,ClassId,Width,Height,EncodedPixels,ImageId\nx,6,5,4,1 3,a.jpg\n",
)
FIELDS = st.one_of(
    st.sampled_from(
        ["a.jpg", "b.jpg", '"a,b"', "", " ", "1 3", "10_3", '"', "../x", "\u0663", "9" * 50, "\r"]
    ),
    st.text(max_size=6),
)
LINES = st.lists(st.lists(FIELDS, min_size=3, max_size=6).map(",".join), max_size=6)
FILES = st.one_of(
    mutations(*(text.encode() for text in VALID)),
    LINES.map(lambda lines: "\n".join([HEADER, *lines]).encode("utf-8", "surrogatepass")),
    st.binary(max_size=200),
)
PATH = scratch_folder() / "train.csv"


@fuzz(0.15, data=FILES)
def test_train_csv(data: bytes) -> str:
    PATH.write_bytes(data)
    try:
        index = index_annotations(PATH)
    except UserError as error:
        assert str(error).startswith(f"{PATH}: ")
        assert str(error).isprintable()
        return "refused"
    found = [row for spans in index.photos.values() for row in read_rows(index.layout, spans)]
    dropped = [fault.row for fault in index.faults if fault.outcome == "dropped"]
    assert all(fault.reason.isprintable() for fault in index.faults)
    rows, bad = slow_rows(data)
    assert index.num_rows == len(found) + len(dropped)
    if (
        b'"' not in data or b"\r" not in data
    ):  # a lone CR beside quotes: refused, where the slow reader takes it
        assert sorted(found, key=lambda row: row.line) == rows
        assert dropped == bad
    for row in found:
        check_values(row)
    return "valid" if found and not dropped else "repaired"


def slow_rows(data: bytes) -> tuple[list[Row], list[int]]:
    """The rows, and the numbers of the lines that are none."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    names = [name.strip() for name in split_line(lines[0]) or []]
    places = [names.index(name) for name in COLUMNS]
    rows, bad = [], []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        fields = [field.strip() for field in split_line(line) or []]
        if len(fields) != len(names) or not fields[places[0]]:
            bad.append(number)
        else:
            rows.append(Row(number, *(fields[place] for place in places)))
    return rows, bad


def check_values(row: Row) -> None:
    """Size and class of a row are numbers in range, or one line of reason."""
    taxonomy = competition_taxonomy()
    try:
        assert all(1 <= side <= 1_000_000 for side in parse_size(row))
    except ValueError as error:
        assert str(error).isprintable()
    try:
        category, attributes, reasons = repair_class_id(row.class_id, taxonomy)
    except ValueError as error:
        assert str(error).isprintable()
        return
    given = row.class_id.split("_")
    assert category == int(given[0]) < 46
    assert set(attributes) <= {int(part) for part in given[1:]} & set(range(92))
    assert list(attributes) == sorted(set(attributes))
    assert bool(reasons) == (list(attributes) != [int(part) for part in given[1:]])
