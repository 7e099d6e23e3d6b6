"""Run-length text: valid exactly where a slow reader says so, and then the same pixels."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import strategies as st
from tests.fuzz.harness import fuzz, mutations
from tests.fuzz.oracles import is_canonical, pixels_of, read_pixels

from fashionseg.data.rle import (
    format_rle,
    mask_to_runs,
    parse_rle,
    repair_rle,
    resize_runs,
    runs_box,
    runs_to_mask,
)

SIDES = st.integers(1, 40)
NUMBERS = st.one_of(st.integers(0, 60), st.integers(0, 1700), st.integers(0, 2**70))
TEXTS = st.one_of(
    st.lists(NUMBERS, max_size=12).map(lambda numbers: " ".join(map(str, numbers))),
    # Nearly valid: gaps and lengths, so that runs ascend.
    st.lists(st.tuples(st.integers(-1, 9), st.integers(0, 9)), max_size=12).map(
        lambda pairs: " ".join(
            f"{1 + sum(gap + length for gap, length in pairs[:place]) + gap} {length}"
            for place, (gap, length) in enumerate(pairs)
        )
    ),
    mutations(b"1 3 10 5 40 2 900 20 1000 1", b"2 4 11 2", b"  1  1 ").map(
        lambda data: data.decode("latin-1")
    ),
    st.text(max_size=20),
)


@fuzz(0.3, text=TEXTS, height=SIDES, width=SIDES)
def test_rle(text: str, height: int, width: int) -> str:
    expected = read_pixels(text, height * width)
    try:
        runs = repair_rle(text, height, width)
    except ValueError as error:
        assert expected is None, error
        assert "\n" not in str(error)
        assert len(str(error)) < 200
        return "refused"
    assert expected is not None
    pixels, ascending = expected
    assert runs.dtype == np.int32
    assert is_canonical(runs.tolist())
    assert pixels_of(runs.tolist()) == pixels
    try:
        assert parse_rle(text, height, width).tolist() == runs.tolist()
        assert ascending
    except ValueError:
        assert not ascending
    mask = runs_to_mask(runs, (height, width))
    assert mask_to_runs(mask).tolist() == runs.tolist()
    assert parse_rle(format_rle(runs), height, width).tolist() == runs.tolist()
    ys, xs = np.nonzero(mask)
    assert runs_box(runs, height) == (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
    small = cv2.resize(mask.astype(np.uint8), (13, 17), interpolation=cv2.INTER_NEAREST)
    assert resize_runs(runs, (height, width), (17, 13), centre=False).tolist() == mask_to_runs(small).tolist()
    return "valid"
