"""`auto` follows the hardware and the backend; given values stay."""

import pytest

from fashionseg.params import Train, load_params
from fashionseg.training import hardware


def train(**changes: object) -> Train:
    return Train(**{**vars(load_params().train), **changes})


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [([], False), ([(7, 0)], False), ([(9, 0)], True), ([(9, 0), (7, 0)], False)],
    ids=["no GPU", "V100", "H200", "H200 and V100"],
)
def test_bfloat16_only_where_every_gpu_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, capabilities: list, expected: bool
) -> None:
    monkeypatch.setattr(hardware, "_compute_capabilities", lambda: capabilities)
    assert hardware.choose_training(train(mixed_precision="auto")).mixed_precision is expected
    assert f"train.mixed_precision: auto, here {str(expected).lower()}" in capsys.readouterr().out


@pytest.mark.parametrize(("backend", "expected"), [("tensorflow", False), ("jax", True)])
def test_compilation_follows_the_backend(
    monkeypatch: pytest.MonkeyPatch, backend: str, expected: bool
) -> None:
    monkeypatch.setattr(hardware.keras.backend, "backend", lambda: backend)
    assert hardware.choose_training(train(jit_compile="auto")).jit_compile is expected


def test_given_values_stay_and_nothing_is_printed(capsys: pytest.CaptureFixture) -> None:
    given = train(mixed_precision=True, jit_compile=True)
    assert hardware.choose_training(given) == given
    assert capsys.readouterr().out == ""
