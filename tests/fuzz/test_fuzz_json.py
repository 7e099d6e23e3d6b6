"""label_descriptions.json and thresholds.json, changed byte by byte."""

from __future__ import annotations

import json
from importlib import resources

from hypothesis import strategies as st
from tests.fuzz.harness import fuzz, mutations, scratch_folder

from fashionseg.detections.thresholds import read_thresholds
from fashionseg.errors import UserError
from fashionseg.taxonomy import LABEL_DESCRIPTIONS, load_taxonomy

PATH = scratch_folder() / "file.json"
LABELS = resources.files("fashionseg").joinpath(LABEL_DESCRIPTIONS).read_bytes()
THRESHOLDS = (
    b'{"score": 0.3, "nms": 0.5, "mask": 0.45, "min_area": 20, "garment_nms": 0.8, "garments": [4, 9]}'
)
VALUES = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=4), st.lists(st.integers(), max_size=2)
)


@fuzz(0.005, data=st.one_of(mutations(LABELS), st.just(b"[" * 100_000)))
def test_label_descriptions(data: bytes) -> str:
    PATH.write_bytes(data)
    try:
        taxonomy = load_taxonomy(PATH)
    except UserError as error:
        assert str(error).isprintable()
        return "refused"
    assert len(taxonomy.category_groups) == len(set(taxonomy.category_names)) > 0
    return "valid"


@fuzz(
    0.04,
    data=st.one_of(
        mutations(THRESHOLDS),
        st.fixed_dictionaries(dict.fromkeys(("score", "nms", "mask", "min_area"), VALUES)).map(
            lambda values: json.dumps(values).encode()
        ),
    ),
)
def test_thresholds(data: bytes) -> str:
    PATH.write_bytes(data)
    try:
        found = read_thresholds(PATH)
    except UserError as error:
        assert str(error).isprintable()
        return "refused"
    assert all(0 <= value <= 1 for value in (found.score, found.nms, found.mask, found.garment_nms))
    assert found.min_area >= 0
    return "valid"
