"""Look at your data: what no single row shows, and each row may be right.

Objects annotated twice, categories that never occur though their neighbours do (as with ClassIds shifted by one),
photos with very many objects, areas far from those of their category.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashionseg.data.rle import COMPETITION_SIDE, Runs, runs_area
from fashionseg.data.tables import Instance
from fashionseg.taxonomy import Taxonomy

TWICE, MISSING, MANY, AREA = "annotated twice", "category missing", "many objects", "unusual area"

_SAME_IOU = 0.95
_MIN_INSTANCES = 20  # of a category, before its areas are judged
_FAR = 6.0  # robust standard deviations
_MIN_DEVIATION = {AREA: 0.25, MANY: 1.0}  # of the logarithm of the area, of the number of objects
_LISTED = 20  # suspects of each kind, the worst first

Suspect = dict[str, Any]
Place = tuple[str, list[int]]  # a photo and instances in it


def find_twins(instances: Sequence[Instance]) -> list[tuple[int, int]]:
    """Pairs of instances of a photo with an IoU above 0.95, of one category or two."""
    areas = [runs_area(instance.runs_512) for instance in instances]
    twins = []
    for second, first in ((b, a) for b in range(len(instances)) for a in range(b)):
        small, large = sorted((areas[first], areas[second]))
        if small <= _SAME_IOU * large:
            continue
        shared = shared_area(instances[first].runs_512, instances[second].runs_512)
        if shared > _SAME_IOU * (small + large - shared):
            twins.append((first, second))
    return twins


def shared_area(a: Runs, b: Runs) -> int:
    """Pixels in both masks; runs of both are in the same frame."""
    starts, lengths = b.astype(np.int64).T
    edges = np.stack((starts, starts + lengths), axis=1).ravel()
    inside_before = np.stack((np.cumsum(lengths) - lengths, np.cumsum(lengths)), axis=1).ravel()
    ends = a.astype(np.int64)
    ends[:, 1] += ends[:, 0]
    counts = np.interp(ends, edges, inside_before)
    return round(float((counts[:, 1] - counts[:, 0]).sum()))


class Look:
    """Collects the instances of all photos, a few bytes each, and describes them."""

    def __init__(self, taxonomy: Taxonomy, max_instances: int | None) -> None:
        """`max_instances`: that training uses of a photo; None: not known."""
        self._taxonomy = taxonomy
        self._max_instances = max_instances
        self._photos: list[str] = []
        self._counts: list[int] = []
        self._categories: list[int] = []
        self._areas: list[int] = []
        self._twice: list[Suspect] = []

    def add(self, image_id: str, instances: Sequence[Instance], twins: Iterable[tuple[int, int]]) -> None:
        self._photos.append(image_id)
        self._counts.append(len(instances))
        self._categories += [instance.category for instance in instances]
        self._areas += [runs_area(instance.runs_512) for instance in instances]
        for pair in twins:
            names = [self._name(instances[place].category) for place in pair]
            reason = f"one object as {names[0]} and as {names[1]}"
            self._twice.append(_suspect(TWICE, image_id, list(pair), reason))

    def describe(self, num_unknown: int) -> dict[str, Any]:
        """The part `look` of the report: notes in words, distributions, and suspects by kind.

        Args:
            num_unknown: rows whose category is beyond the last one.
        """
        categories = np.array(self._categories, np.int64)
        shares = np.array(self._areas, np.float64) / COMPETITION_SIDE**2
        counts = np.array(self._counts, np.int64)
        photo = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(categories)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = np.bincount(categories, minlength=self._taxonomy.num_categories)

        def at(index: int) -> Place:
            return self._photos[photo[index]], [int(place[index])]

        missing = _missing_between(found)
        suspects = {
            TWICE: self._twice,
            MISSING: [self._beside(category, categories, shares, at) for category in missing],
            MANY: self._many(counts),
            AREA: self._far_areas(categories, shares, at),
        }
        return {
            "notes": self._notes(suspects, missing, num_unknown),
            "objects_per_photo": _quantiles(counts),
            "categories": [
                {
                    "category": int(category),
                    "name": self._name(int(category)),
                    "instances": int(found[category]),
                    "photos": len(np.unique(photo[categories == category])),
                    "percent_of_photo": _quantiles(np.round(100 * shares[categories == category], 2)),
                }
                for category in np.flatnonzero(found)
            ],
            "suspects": [suspect for kind in suspects.values() for suspect in kind[:_LISTED]],
        }

    def _notes(self, suspects: dict[str, list[Suspect]], missing: list[int], num_unknown: int) -> list[str]:
        notes = []
        if missing:
            named = ", ".join(f"{category} {self._name(category)}" for category in missing[:5])
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            notes.append(f"never annotated though their neighbours are: {named}{more}")
        if num_unknown:
            last = self._taxonomy.num_categories - 1
            notes.append(
                f"{_count(num_unknown, 'row')} of categories beyond {last}: are ClassIds shifted by one?"
            )
        if twice := suspects[TWICE]:
            notes.append(f"{_count(len(twice), 'object')} annotated twice, as in {twice[0]['image_id']}")
        limit = self._max_instances
        if limit is not None and (crowded := sum(count > limit for count in self._counts)):
            notes.append(
                f"{_count(crowded, 'photo')} with more than {limit} objects (sampling.max_gt_instances)"
            )
        if many := suspects[MANY]:
            notes.append(
                f"{_count(len(many), 'photo')} with unusually many objects, as {many[0]['image_id']}"
            )
        if areas := suspects[AREA]:
            notes.append(f"{_count(len(areas), 'object')} of an unusual area, as in {areas[0]['image_id']}")
        return notes

    def _name(self, category: int) -> str:
        return self._taxonomy.short_name(category)

    def _beside(
        self,
        missing: int,
        categories: NDArray[np.int64],
        shares: NDArray[np.float64],
        at: Callable[[int], Place],
    ) -> Suspect:
        """The largest object of the category after the missing one (before it, for the last)."""
        beside = missing + 1 if missing + 1 < self._taxonomy.num_categories else missing - 1
        largest = int(np.argmax(np.where(categories == beside, shares, -1)))
        reason = (
            f"no {self._name(missing)} ({missing}) in the data: is this a {self._name(beside)} ({beside})?"
        )
        return _suspect(MISSING, *at(largest), reason)

    def _many(self, counts: NDArray[np.int64]) -> list[Suspect]:
        limit = self._max_instances or np.inf
        is_many = (_deviations(counts.astype(np.float64), MANY) > _FAR) | (counts > limit)
        worst = sorted(np.flatnonzero(is_many).tolist(), key=lambda n: (-counts[n], n))
        return [
            _suspect(MANY, self._photos[n], list(range(counts[n])), f"{counts[n]} objects") for n in worst
        ]

    def _far_areas(
        self, categories: NDArray[np.int64], shares: NDArray[np.float64], at: Callable[[int], Place]
    ) -> list[Suspect]:
        far = np.zeros(len(shares))
        medians = np.zeros(len(shares))
        for category in np.unique(categories):
            of_category = np.flatnonzero(categories == category)
            if len(of_category) >= _MIN_INSTANCES:
                far[of_category] = _deviations(np.log(shares[of_category]), AREA)
                medians[of_category] = np.median(shares[of_category])
        worst = sorted(np.flatnonzero(abs(far) > _FAR).tolist(), key=lambda n: (-abs(far[n]), n))
        return [
            _suspect(
                AREA,
                *at(n),
                f"{self._name(int(categories[n]))} of {100 * shares[n]:.2g} % of the photo, usually "
                f"{100 * medians[n]:.2g} %",
            )
            for n in worst
        ]


def _missing_between(found: NDArray[np.int64]) -> list[int]:
    """Categories without an instance whose neighbours, one at either end of the list, have some."""
    before, after = np.append(1, found[:-1]), np.append(found[1:], 1)
    return [int(category) for category in np.flatnonzero((found == 0) & (before > 0) & (after > 0))]


def _deviations(values: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """Distances from the median in robust standard deviations."""
    if not len(values):
        return values
    distance = values - np.median(values)
    return distance / max(1.4826 * float(np.median(abs(distance))), _MIN_DEVIATION[kind])


def _quantiles(values: NDArray[Any]) -> dict[str, float]:
    if not len(values):
        return {}
    names = {"smallest": 0.0, "median": 0.5, "p95": 0.95, "largest": 1.0}
    return {name: round(float(np.quantile(values, share)), 2) for name, share in names.items()}


def _suspect(kind: str, image_id: str, instances: list[int], reason: str) -> Suspect:
    return {"kind": kind, "image_id": image_id, "instances": instances, "reason": reason}


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"
