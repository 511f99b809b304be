"""Filter a stack of slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from intensity_peers import FEW, SMALL, float_images, group_of

from fastmm.image.filters import denoise


def bench_median(timed: Any, arrays: Any, pick: Any) -> None:
    images = float_images(*pick(FEW, SMALL))
    timed(
        denoise,
        arrays.xp.asarray(images),
        group=group_of("median 3 x 3", images),
        bytes=2 * images.nbytes,
        check=lambda out: median_error(arrays.asnumpy(out), images),
    )


def bench_median_skimage(timed: Any, pick: Any) -> None:
    filters = pytest.importorskip("skimage.filters", reason="scikit-image is not installed")
    images = float_images(*pick(FEW, SMALL))
    timed(
        lambda x: np.stack([filters.median(image, np.ones((3, 3))) for image in x]),
        images,
        group=group_of("median 3 x 3", images),
        peer="scikit-image",
        bytes=2 * images.nbytes,
        check=lambda out: median_error(out, images),
    )


def median_error(result: np.ndarray, images: np.ndarray) -> float:
    padded = np.pad(images[-1], 1, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    expected = np.median(around.reshape(*images.shape[1:], 9), axis=-1)
    return float(np.abs(result[-1] - expected).max())
