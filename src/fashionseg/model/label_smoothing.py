"""Label smoothing (Szegedy et al. 2016, section 7) among look-alike categories instead of all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def smoothed_targets(category_groups: Sequence[str], share: float) -> np.ndarray:
    """Target distribution of each class, float32 [K, K]; row and column 0 are the background.

    Args:
        category_groups: the group (supercategory) of each of the K - 1 categories.
        share: of a category's target, spread evenly over the other categories of its group. The background, and a
            category alone in its group, keep the whole target.
    """
    groups = np.array(category_groups)
    num_classes = len(groups) + 1
    others = np.zeros((num_classes, num_classes))
    others[1:, 1:] = groups[:, None] == groups[None]
    np.fill_diagonal(others, 0.0)
    num_others = others.sum(axis=1, keepdims=True)
    shares = np.where(num_others > 0, share, 0.0)
    targets = np.eye(num_classes) * (1.0 - shares) + others * shares / np.maximum(num_others, 1.0)
    return targets.astype(np.float32)
