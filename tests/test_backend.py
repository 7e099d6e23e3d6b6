"""Seeds of the backend."""

from __future__ import annotations

from fashionseg.backend import make_reproducible


def test_seed_determines_the_random_numbers() -> None:
    import keras

    def draw(seed: int) -> list[float]:
        make_reproducible(seed, deterministic=False)
        return keras.ops.convert_to_numpy(keras.random.normal((4,))).tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
