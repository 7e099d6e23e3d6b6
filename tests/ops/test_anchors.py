"""Anchors of the pyramid."""

from __future__ import annotations

import numpy as np

from fashionseg.ops.anchors import normalise_anchors, pyramid_anchors

SCALES = (8, 16, 32, 64, 128)


def test_the_first_anchors_by_hand():
    anchors = pyramid_anchors((64, 64), SCALES, (1.0,), 1)
    # Centres on the corners of the cells, without half a pixel: (0, 0), then one stride of 4 to the right.
    np.testing.assert_allclose(anchors[:2], [[-4, -4, 4, 4], [-4, 0, 4, 8]])
    # The second row begins after 16 cells.
    np.testing.assert_allclose(anchors[16], [0, -4, 8, 4])


def test_ratios_are_width_over_height_of_equal_area():
    anchors = pyramid_anchors((64, 64), SCALES, (0.25, 4.0), 1)
    # Scale 8: height 8 / sqrt(0.25) = 16 and width 4; then height 4 and width 16.
    np.testing.assert_allclose(anchors[:2], [[-8, -2, 8, 2], [-2, -8, 2, 8]])


def test_levels_follow_each_other_with_their_strides():
    anchors = pyramid_anchors((64, 96), SCALES, (1.0,), 1)
    cells = [16 * 24, 8 * 12, 4 * 6, 2 * 3, 1 * 2]  # the last level: 96 / 64 rounded up
    assert len(anchors) == sum(cells)
    np.testing.assert_allclose(anchors[cells[0] + 1], [-8, 0, 8, 16])  # P3: stride 8, scale 16
    np.testing.assert_allclose(anchors[-1], [-64, 0, 64, 128])  # P6: stride 64, scale 128


def test_anchor_stride_two_skips_every_second_cell():
    anchors = pyramid_anchors((64, 64), SCALES, (1.0,), 2)
    assert len(anchors) == 8 * 8 + 4 * 4 + 2 * 2 + 1 + 1
    np.testing.assert_allclose(anchors[1], [-4, 4, 4, 12])


def test_normalised_anchors():
    norm = normalise_anchors(np.array([[0.0, 0.0, 11.0, 21.0]]), (11, 21))
    np.testing.assert_array_equal(norm, [[0, 0, 1, 1]])
    assert norm.dtype == np.float32
