"""Submissions: a file has faults exactly where a slow reading of the rules finds one."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.fuzz.harness import fuzz, mutations, scratch_folder
from tests.fuzz.oracles import read_pixels, split_line

from fashionseg.submission.check import check_submission

HEADER = "ImageId,EncodedPixels,ClassId"
VALID = (
    f"{HEADER}\na.jpg,1 3 10 5,6\na.jpg,20 4,6\na.jpg,1 3,10_3_20\nb.jpg,1 1,23\n",
    f'{HEADER}\r\n"a.jpg","20 4","6"\r\nb.jpg,,23\r\n',
    f"{HEADER}\na.jpg,262144 1,0\nb.jpg,1 600,45\na.jpg,9 9,7_0_91\n",
)
ROWS = st.tuples(
    st.sampled_from(["a.jpg", "b.jpg", "c.jpg", "", '"a.jpg"']),
    st.one_of(
        st.sampled_from(
            ["1 3", "2 2", "5 1 7 1", "4 1", "", "0 1", "262144 1", "262144 2", "3 1 1 1", "1 x"]
        ),
        st.lists(st.integers(0, 30), max_size=6).map(lambda numbers: " ".join(map(str, numbers))),
    ),
    st.sampled_from(["6", "7", "10_3", "10_3_3", "46", "06", "6_", "45_91", "x", "6_92", "\u0663"]),
).map(",".join)
FILES = st.one_of(
    mutations(*(text.encode() for text in VALID)),
    st.lists(ROWS, max_size=6).map(lambda rows: "\n".join([HEADER, *rows]).encode()),
    st.binary(max_size=100),
)
PATH = scratch_folder() / "submission.csv"


@fuzz(0.15, data=FILES)
def test_submission(data: bytes) -> str:
    PATH.write_bytes(data)
    faults = check_submission(PATH, ["a.jpg", "b.jpg"])
    assert all(str(fault).isprintable() and len(str(fault)) < 400 for fault in faults)
    if (
        b'"' not in data or b"\r" not in data
    ):  # a lone CR beside quotes: refused, where the slow reader takes it
        assert bool(faults) == (not is_valid(data))
    return "refused" if faults else "valid"


def is_valid(data: bytes) -> bool:
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    if not lines or split_line(lines[0]) != HEADER.split(","):
        return False
    rows = [split_line(line) for line in lines[1:]]
    if any(row is None or len(row) != 3 for row in rows):
        return False
    if {row[0] for row in rows} != {"a.jpg", "b.jpg"}:
        return False
    taken: dict[tuple[str, str], set[int]] = {}
    for image_id, text, class_id in rows:
        if not is_class_id(class_id):
            return False
        if text == "" and [row[0] for row in rows].count(image_id) == 1:
            continue
        mask = read_pixels(text, 512 * 512)
        if mask is None or not mask[1] or mask[0] & taken.setdefault((image_id, class_id), set()):
            return False
        taken[image_id, class_id] |= mask[0]
    return True


def is_class_id(text: str) -> bool:
    known = [str(number) for number in range(92)]
    category, *attributes = text.split("_")
    if category not in known[:46] or any(attribute not in known for attribute in attributes):
        return False
    numbers = [int(attribute) for attribute in attributes]
    return numbers == sorted(set(numbers))
