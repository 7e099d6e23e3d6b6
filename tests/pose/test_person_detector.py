"""Anchors, people and their regions, by hand."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest

from fashionseg.pose.person_detector import SIDE, find_people, make_anchors, region_of

FOUND, NOT_FOUND = 3.0, -3.0


def test_anchors_lie_at_the_centres_of_three_grids() -> None:
    anchors = make_anchors()
    assert anchors.shape == (28 * 28 * 2 + 14 * 14 * 2 + 7 * 7 * 6, 2) == (2254, 2)
    np.testing.assert_allclose(anchors[:2], 0.5 / 28)  # two in the first cell
    np.testing.assert_allclose(anchors[2], [1.5 / 28, 0.5 / 28])  # then to the right
    np.testing.assert_allclose(anchors[28 * 28 * 2], 0.5 / 14)
    np.testing.assert_allclose(anchors[-1], 6.5 / 7)


def offsets_of(
    box: tuple[float, float, float, float], hips: tuple[float, float], rim: tuple[float, float]
) -> list[float]:
    """A row of the detector for an anchor at (0.5, 0.5): box centre and size and points as fractions."""
    x, y, width, height = box
    values = [x - 0.5, y - 0.5, width, height, hips[0] - 0.5, hips[1] - 0.5, rim[0] - 0.5, rim[1] - 0.5]
    return [SIDE * value for value in values] + [0.0] * 4


def test_one_person_found_twice_is_averaged_by_score_and_another_is_another() -> None:
    rows = np.array(
        [
            offsets_of((0.3, 0.5, 0.2, 0.4), (0.3, 0.5), (0.3, 0.3)),
            offsets_of((0.31, 0.5, 0.2, 0.4), (0.32, 0.5), (0.3, 0.3)),
            offsets_of((0.8, 0.5, 0.2, 0.4), (0.8, 0.5), (0.8, 0.1)),
            offsets_of((0.5, 0.5, 0.9, 0.9), (0.5, 0.5), (0.5, 0.1)),
        ],
        np.float32,
    )
    people = find_people(
        rows, np.array([FOUND, FOUND, FOUND, NOT_FOUND], np.float32), np.full((4, 2), 0.5, np.float32)
    )
    assert len(people) == 2
    np.testing.assert_allclose(people[0], [[0.31, 0.5], [0.3, 0.3]], atol=1e-6)
    np.testing.assert_allclose(people[1], [[0.8, 0.5], [0.8, 0.1]], atol=1e-6)


def test_nobody() -> None:
    assert (
        find_people(
            np.zeros((2, 12), np.float32), np.full(2, NOT_FOUND, np.float32), np.zeros((2, 2), np.float32)
        )
        == []
    )


@pytest.mark.parametrize(
    ("rim", "angle"),
    [((100, 20), 0.0), ((180, 100), pi / 2), ((100, 180), pi), ((20, 100), -pi / 2)],
    ids=["upright", "lying to the right", "head down", "lying to the left"],
)
def test_a_region_is_turned_with_the_body(rim: tuple[float, float], angle: float) -> None:
    """The hips are at x = y = 100, the circle's radius is 80, and the square has a margin of a quarter."""
    region = region_of(np.array([100.0, 100.0]), np.array(rim, float))
    assert (region.y, region.x, region.side) == pytest.approx((100, 100, 200))
    assert region.angle == pytest.approx(angle)
