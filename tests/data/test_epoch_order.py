"""Order of epochs and repeat factors."""

import pickle
from collections import Counter

import numpy as np
import pytest

from fashionseg.data.epoch_order import EpochOrder, repeat_factors
from fashionseg.data.tables import Instance, InstanceTable
from fashionseg.errors import UserError

RUNS = np.array([[0, 9]], np.int32)


def write_instances(folder, categories_of, too_small=()):
    """An instance table; pairs of photo and category in `too_small` are not in training."""
    table = InstanceTable(folder)
    for image_id, categories in categories_of.items():
        for number, category in enumerate(categories):
            runs = None if (image_id, category) in too_small else RUNS
            table.add(image_id, number, Instance(category, (), runs, RUNS))
    table.close()


def examples(order: EpochOrder, epoch: int) -> list[tuple[int, int]]:
    return [order.example(epoch, place) for place in range(order.length)]


def test_repeat_factors_by_hand(tmp_path):
    """Of 8 photos, category 0 is in 6, category 1 in 2 and category 2 in 1; t = 0.5."""
    categories_of = {
        "a": [0],
        "b": [0, 0],
        "c": [0],
        "d": [0],
        "e": [0, 1],
        "f": [1, 0, 1],
        "g": [2],
        "h": [],
    }
    write_instances(tmp_path, categories_of)
    factors = repeat_factors(tmp_path, list(categories_of), 0.5)
    # f = 6/8: sqrt(0.67) -> 1; f = 2/8: sqrt(2); f = 1/8: sqrt(4)
    np.testing.assert_allclose(factors, [1, 1, 1, 1, 2**0.5, 2**0.5, 2, 1])


def test_repeat_factors_count_the_given_photos_and_the_trained_instances_only(tmp_path):
    """Category 1 is in both photos, but too small in one and once in a photo of the validation side."""
    write_instances(tmp_path, {"a": [0, 1], "b": [0, 1], "validation": [1]}, too_small={("b", 1)})
    np.testing.assert_allclose(repeat_factors(tmp_path, ["b", "a"], 1.0), [1, 2**0.5])


def test_repeat_factors_of_a_missing_table(tmp_path):
    with pytest.raises(UserError, match="run the stage decode"):
        repeat_factors(tmp_path, ["a"], 0.5)


def test_without_factors_the_order_is_the_permutation_of_the_seed_and_epoch():
    order = EpochOrder(seed=5, count=10, length=8)
    expected = np.random.default_rng([5, 3]).permutation(10)[:8].tolist()
    assert examples(order, 3) == [(photo, 0) for photo in expected]


def test_photos_are_shown_in_proportion_to_their_factors_within_rounding():
    """Factors 3, 1.5 and eight times 1, sum 12.5; ten examples: 2.4, 1.2 and 0.8 an epoch."""
    factors = np.array([3.0, 1.5] + [1.0] * 8)
    order = EpochOrder(seed=1, count=10, length=10, factors=factors)
    total = Counter()
    for epoch in range(400):
        shown = examples(order, epoch)
        assert len(set(shown)) == 10  # a photo that is shown again has another repeat number
        counts = Counter(photo for photo, _ in shown)
        assert counts[0] in (2, 3)
        assert counts[1] in (1, 2)
        assert all(counts[photo] <= 1 for photo in range(2, 10))
        assert sorted(repeat for photo, repeat in shown if photo == 0) == list(range(counts[0]))
        total += counts
    np.testing.assert_allclose([total[photo] / 400 for photo in range(10)], 10 * factors / 12.5, atol=0.08)


def test_an_epoch_is_the_same_on_its_own_and_in_another_process_and_epochs_differ():
    factors = np.linspace(1, 4, 50)
    order = EpochOrder(seed=2, count=50, length=48, factors=factors)
    epochs = [examples(order, epoch) for epoch in range(6)]
    again = pickle.loads(pickle.dumps(order))
    assert [examples(again, epoch) for epoch in reversed(range(6))] == epochs[::-1]
    assert len({tuple(epoch) for epoch in epochs}) == 6
    assert epochs[0] != sorted(epochs[0])


def test_the_length_is_exact_for_any_factors():
    rng = np.random.default_rng(0)
    for seed in range(300):
        count = int(rng.integers(1, 60))
        length = int(rng.integers(1, count + 1))
        order = EpochOrder(seed, count, length, 1 + rng.exponential(2, count))
        assert len(set(examples(order, 0))) == length
