"""Bootstrap intervals of a mean score over photos, and of the difference of two settings on the same photos.

Efron & Tibshirani 1993, percentile intervals. Photos are drawn with replacement, the same photos for both settings:
most of the spread of a score comes from which photos are easy, and cancels in the difference. A setting with several
training runs (seeds) is drawn hierarchically: its runs with replacement, then the photos. scipy.stats.bootstrap draws
along one axis only, which does not fit.

Letters: S runs of a setting, P photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEED = 2019  # fixed: the same scores give the same interval
DRAWS_OF_A_SCORE = 2_000
DRAWS_OF_A_DIFFERENCE = 10_000
_PERCENTILES = (2.5, 97.5)

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Setting B compared with setting A.

    Attributes:
        means: of A and of B.
        interval: 95 % interval of the mean of B minus the mean of A.
        share_better: draws in which B is better; a tie counts half.
    """

    means: tuple[float, float]
    interval: tuple[float, float]
    share_better: float

    @property
    def difference(self) -> float:
        return self.means[1] - self.means[0]

    @property
    def is_shown(self) -> bool:
        """Whether the interval excludes 0."""
        return not self.interval[0] <= 0.0 <= self.interval[1]


def mean_interval(scores: Scores) -> tuple[float, float]:
    """95 % interval of the mean of `scores` [P], one for each photo.

    Raises:
        ValueError: no photos.
    """
    return _interval(_draw_means([scores[None]], DRAWS_OF_A_SCORE)[:, 0])


def compare_settings(first: Scores, second: Scores) -> Difference:
    """The second setting compared with the first; scores [S, P], the same photos in the same order.

    Raises:
        ValueError: no photos, or another number of photos in the two.
    """
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"scores: expected the same photos, got {first.shape[1]} and {second.shape[1]}")
    means = _draw_means([first, second], DRAWS_OF_A_DIFFERENCE)
    differences = means[:, 1] - means[:, 0]
    return Difference(
        means=(float(first.mean()), float(second.mean())),
        interval=_interval(differences),
        share_better=float((differences > 0).mean() + (differences == 0).mean() / 2),
    )


def interval_text(score: float, interval: Sequence[float]) -> str:
    """`0.219 (0.197 to 0.240)`."""
    low, high = interval
    return f"{score:.3f} ({low:.3f} to {high:.3f})"


def _draw_means(settings: Sequence[Scores], draws: int) -> Scores:
    """[draws, settings]: the mean of each setting, over the same drawn photos and over its own drawn runs."""
    num_photos = settings[0].shape[1]
    if num_photos == 0:
        raise ValueError("scores: expected at least one photo, got none")
    generator = np.random.default_rng(SEED)
    means = np.empty((draws, len(settings)))
    for draw in range(draws):
        photos = generator.integers(num_photos, size=num_photos)
        for place, scores in enumerate(settings):
            runs = generator.integers(len(scores), size=len(scores))
            means[draw, place] = scores[:, photos].mean(axis=1)[runs].mean()
    return means


def _interval(values: Scores) -> tuple[float, float]:
    low, high = np.percentile(values, _PERCENTILES).tolist()
    return low, high
