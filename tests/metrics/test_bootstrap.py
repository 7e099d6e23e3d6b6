"""Bootstrap over photos and runs: what is known exactly, and coverage against the normal approximation."""

from __future__ import annotations

import numpy as np
import pytest

from fashionseg.metrics.bootstrap import compare_settings, interval_text, mean_interval


def test_a_photo_alone_and_equal_scores_have_an_interval_without_width() -> None:
    assert mean_interval(np.array([0.25])) == (0.25, 0.25)
    assert mean_interval(np.full(7, 0.5)) == (0.5, 0.5)


def test_two_photos_give_the_three_means_that_can_be_drawn() -> None:
    """Of 0 and 1: means 0, 0.5 and 1 with probability 1/4, 1/2 and 1/4, so 2.5 % and 97.5 % lie at the ends."""
    assert mean_interval(np.array([0.0, 1.0])) == (0.0, 1.0)


def test_the_interval_is_the_normal_one_for_many_photos() -> None:
    """Mean ± 1.96 standard errors."""
    scores = np.random.default_rng(1).random(400)
    error = 1.96 * scores.std() / 20
    assert mean_interval(scores) == pytest.approx((scores.mean() - error, scores.mean() + error), abs=0.003)


def test_the_same_scores_give_the_same_interval_and_others_another() -> None:
    scores = np.random.default_rng(1).random(50)
    assert mean_interval(scores) == mean_interval(scores.copy())
    assert mean_interval(scores) != mean_interval(scores[::-1] / 2)


def test_identical_settings_do_not_differ() -> None:
    scores = np.random.default_rng(1).random((1, 50))
    found = compare_settings(scores, scores)
    assert (found.difference, found.interval, found.share_better) == (0.0, (0.0, 0.0), 0.5)
    assert not found.is_shown


def test_a_constant_shift_is_found_exactly_whatever_the_spread_over_photos() -> None:
    """The photos are the same in both: their spread of 0.29 cancels, and each draw differs by the shift."""
    scores = np.random.default_rng(1).random((1, 50))
    found = compare_settings(scores, scores + 0.01)
    assert found.difference == pytest.approx(0.01)
    assert found.interval == pytest.approx((0.01, 0.01))
    assert (found.share_better, found.is_shown) == (1.0, True)
    assert compare_settings(scores + 0.01, scores).share_better == 0.0


def test_noise_of_the_photos_is_no_difference() -> None:
    generator = np.random.default_rng(2)
    first, second = generator.random((1, 60)), generator.random((1, 60))
    found = compare_settings(first, second)
    assert found.interval[0] < 0 < found.interval[1] and not found.is_shown


def test_the_spread_over_seeds_is_in_the_interval() -> None:
    """Two seeds of A at 0.2 and 0.4 on every photo, B always 0.3: the mean of A is drawn as 0.2, 0.3 or 0.4."""
    first = np.array([[0.2] * 9, [0.4] * 9])
    second = np.full((1, 9), 0.3)
    found = compare_settings(first, second)
    assert found.interval == pytest.approx((-0.1, 0.1))
    assert found.share_better == pytest.approx(0.5, abs=0.02)


def test_other_photos_or_none_are_refused() -> None:
    with pytest.raises(ValueError, match="expected the same photos, got 3 and 2"):
        compare_settings(np.zeros((1, 3)), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="at least one photo"):
        mean_interval(np.zeros(0))


def test_text() -> None:
    assert interval_text(0.21903, [0.1969, 0.24]) == "0.219 (0.197 to 0.240)"
