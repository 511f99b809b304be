"""Load the small slices of curated collections: real crops, 8 a series, each of its own size.

They lie beside the checkout, and are too many to be part of it; without them all is skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_reading import SIDE, need_peer
from bench_resizing import neighbours

import fastmm

FOLDER = Path(__file__).parent.parent.parent / "shared" / "data" / "sts"
# The units of CT, MR and PET differ, so that no window fits them all.
KINDS = [
    pytest.param(("CT", "ct", (40.0, 400.0)), id="ct"),
    pytest.param(("MR", "mr_t1", None), id="mr"),
    pytest.param(("PET", "pet", None), id="pet"),
    pytest.param(("CT, MR and PET", "*", None), id="all"),
]
Kind = tuple[str, str, tuple[float, float] | None]


@pytest.mark.parametrize("kind", KINDS)
def bench_crops(timed: Any, pick: Any, kind: Kind) -> None:
    paths, window = crops(kind, pick), kind[2]
    timed(
        lambda: fastmm.load_images(paths, (SIDE, SIDE), window=window, device="cpu"),
        group=group(kind, paths),
        on="CPU",
        files=len(paths),
        check=lambda out: error_of(out, paths, window),
        tolerance=2e-6,
    )


@pytest.mark.parametrize("kind", KINDS)
def bench_crops_pydicom(timed: Any, pick: Any, kind: Kind) -> None:
    # As most people write it.
    pydicom, cv2 = need_peer("pydicom"), need_peer("cv2")
    paths, window = crops(kind, pick), kind[2]

    def loop() -> np.ndarray:
        out = np.empty((len(paths), SIDE, SIDE), np.float32)
        for path, target in zip(paths, out, strict=True):
            slice_ = pydicom.dcmread(path)
            image = slice_.pixel_array.astype(np.float32)
            slope, intercept = slice_.get("RescaleSlope", 1), slice_.get("RescaleIntercept", 0)
            image = image * float(slope) + float(intercept)
            if window is not None:
                center, width = window
                image = np.clip((image - (center - width / 2)) / width, 0, 1)
            cv2.resize(image, (SIDE, SIDE), dst=target)
        return out

    timed(
        loop,
        group=group(kind, paths),
        peer="pydicom and OpenCV",
        files=len(paths),
        check=lambda out: error_of(out, paths, window),
        tolerance=2e-6,
    )


def crops(kind: Kind, pick: Any) -> list[str]:
    if not FOLDER.is_dir():
        pytest.skip("the real crops (../shared/data/sts) are not beside this checkout")
    paths = sorted(map(str, FOLDER.glob(f"*/{kind[1]}/*.dcm")))
    return pick(paths, paths[:24])  # type: ignore[no-any-return]


def group(kind: Kind, paths: list[str]) -> str:
    return f"load {len(paths)} real crops of {kind[0]} -> {SIDE} x {SIDE}"


def error_of(found: np.ndarray, paths: list[str], window: tuple[float, float] | None) -> float:
    """Compare images with float64 arithmetic on pydicom's pixels; relative to the largest."""
    from pydicom import dcmread

    worst = 0.0
    for row in range(0, len(paths), max(1, len(paths) // 12)):
        data = dcmread(paths[row])
        slope, intercept = data.get("RescaleSlope", 1), data.get("RescaleIntercept", 0)
        x = data.pixel_array * float(slope) + float(intercept)
        if window is not None:
            x = np.clip((x - (window[0] - window[1] / 2)) / window[1], 0, 1)
        largest = np.abs(x).max() or 1.0
        first, second, weight = neighbours(x.shape[0], SIDE)
        x = x[first] * (1 - weight)[:, None] + x[second] * weight[:, None]
        first, second, weight = neighbours(x.shape[1], SIDE)
        x = x[:, first] * (1 - weight) + x[:, second] * weight
        worst = max(worst, float(np.abs(found[row] - x).max() / largest))
    return worst
