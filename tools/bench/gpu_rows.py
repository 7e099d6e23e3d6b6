"""Rows of the GPU benchmark with their targets; rows of a trial have none and are marked."""

from __future__ import annotations

import numpy as np

from tools.bench.rows import Row

_PHOTOS_A_SECOND = 200.0
_SHARE_WITHOUT_INPUT = 0.97
_TIMES_TORCHVISION = 1.5


def our_rows(
    on: str, with_loader: list[float], without: list[float], compiled_in: float, is_trial: bool
) -> list[Row]:
    """Rows for photos per second with the loader and with one resident batch, one value per round."""
    ours, resident = float(np.median(with_loader)), float(np.median(without))
    note = f"with the loader, median of {rounded(with_loader)}; first steps, including compilation: {compiled_in:.0f} s"
    share_note = (
        f"one batch on the device: {resident:.3g} photos/s, median of {rounded(without)}; "
        "a GPU that waits for input reaches less"
    )
    return [
        _row("GPU training", on, ours, "photos/s", _PHOTOS_A_SECOND, note, is_trial),
        _row(
            "GPU training, share of the rate without input",
            on,
            ours / resident,
            "x",
            _SHARE_WITHOUT_INPUT,
            share_note,
            is_trial,
        ),
    ]


def peer_row(on: str, ours: list[float], peer: list[float], note: str, is_trial: bool) -> Row:
    """Compared with torchvision's photos per second; without any, a row that gives the reason."""
    if not peer:
        return _row("GPU training, against torchvision: not measured", on, 0.0, "x", None, note, is_trial)
    theirs = float(np.median(peer))
    note = f"torchvision: {theirs:.3g} photos/s on a resident batch, median of {rounded(peer)}; {note}"
    ratio = float(np.median(ours)) / theirs
    return _row("GPU training, against torchvision", on, ratio, "x", _TIMES_TORCHVISION, note, is_trial)


def rounded(rates: list[float]) -> list[float]:
    """Three significant digits of each rate."""
    return [float(f"{rate:.3g}") for rate in rates]


def _row(what: str, on: str, value: float, unit: str, target: float | None, note: str, is_trial: bool) -> Row:
    if is_trial:
        return Row(f"TRIAL, no result: {what}", on, value, unit, None, False, note)
    return Row(what, on, value, unit, target, False, note)
