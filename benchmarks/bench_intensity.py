"""Normalise a stack of slices by deviation, range and percentiles; window it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from intensity_peers import (
    CENTER,
    FEW,
    FULL,
    SMALL,
    THREADS,
    WIDTH,
    by_opencv,
    by_torch,
    error_of,
    float_images,
    group_of,
    minmax,
    opencv_minmax,
    opencv_zscore,
    ours,
    peer,
    robust,
    windowed,
    zscore,
)  # fmt: skip

import fastmm


def bench_zscore(timed: Any, arrays: Any, pick: Any) -> None:
    shape = pick(FULL, SMALL)
    ours(timed, arrays, shape, "normalise by z-score", fastmm.normalize, zscore)


def bench_zscore_numpy(timed: Any, arrays: Any, pick: Any) -> None:
    axes = {"axis": (1, 2), "keepdims": True}
    peer(
        timed, arrays, pick(FULL, SMALL), "normalise by z-score", zscore,
        arrays.xp.__name__ + " expression",
        lambda x: (x - x.mean(**axes)) / x.std(**axes),
    )  # fmt: skip


def bench_zscore_torch(timed: Any, torch_from: Any, pick: Any) -> None:
    import torch

    def standardized(x: Any) -> Any:
        deviation, mean = torch.std_mean(x, (1, 2), correction=0, keepdim=True)
        return x.sub(mean).div_(deviation)

    by_torch(timed, torch_from, pick(FULL, SMALL), "normalise by z-score", zscore, standardized)


def bench_zscore_opencv(timed: Any, pick: Any) -> None:
    by_opencv(timed, pick(FULL, SMALL), "normalise by z-score", zscore, opencv_zscore, "OpenCV")


def bench_zscore_opencv_threads(timed: Any, pick: Any) -> None:
    by_opencv(timed, pick(FULL, SMALL), "normalise by z-score", zscore, opencv_zscore, THREADS)


def bench_minmax(timed: Any, arrays: Any, pick: Any) -> None:
    shape = pick(FULL, SMALL)
    ours(
        timed,
        arrays,
        shape,
        "normalise by min-max",
        lambda x: fastmm.normalize(x, "minmax"),
        minmax,
    )


def bench_minmax_numpy(timed: Any, arrays: Any, pick: Any) -> None:
    axes = {"axis": (1, 2), "keepdims": True}

    def scaled(x: Any) -> Any:
        low = x.min(**axes)
        return (x - low) / (x.max(**axes) - low)

    name = arrays.xp.__name__ + " expression"
    peer(timed, arrays, pick(FULL, SMALL), "normalise by min-max", minmax, name, scaled)


def bench_minmax_opencv(timed: Any, pick: Any) -> None:
    by_opencv(timed, pick(FULL, SMALL), "normalise by min-max", minmax, opencv_minmax, "OpenCV")


def bench_minmax_opencv_threads(timed: Any, pick: Any) -> None:
    by_opencv(timed, pick(FULL, SMALL), "normalise by min-max", minmax, opencv_minmax, THREADS)


def bench_percentile(timed: Any, arrays: Any, pick: Any) -> None:
    shape = pick(FEW, SMALL)
    ours(
        timed,
        arrays,
        shape,
        "normalise by percentiles",
        lambda x: fastmm.normalize(x, "percentile"),
        robust,
    )


def bench_percentile_numpy(timed: Any, arrays: Any, pick: Any) -> None:
    def scaled(x: Any) -> Any:
        low, high = arrays.xp.percentile(x, arrays.xp.asarray([1, 99]), axis=(1, 2), keepdims=True)
        return ((x - low) / (high - low)).astype(np.float32)

    name = arrays.xp.__name__ + " expression"
    peer(timed, arrays, pick(FEW, SMALL), "normalise by percentiles", robust, name, scaled)


def bench_percentile_torch(timed: Any, torch_from: Any, pick: Any) -> None:
    import torch

    def scaled(x: Any) -> Any:
        q = torch.tensor([0.01, 0.99], device=x.device)
        low, high = torch.quantile(x.flatten(1), q, dim=1)[:, :, None, None]
        return (x - low) / (high - low)

    by_torch(timed, torch_from, pick(FEW, SMALL), "normalise by percentiles", robust, scaled)


def bench_percentile_skimage(timed: Any, pick: Any) -> None:
    exposure = pytest.importorskip("skimage.exposure", reason="scikit-image is not installed")

    def clipped(x: np.ndarray) -> np.ndarray:
        limits = (tuple(np.percentile(image, (1, 99))) for image in x)
        scaled = (
            exposure.rescale_intensity(image, in_range=pair, out_range=(0.0, 1.0))
            for image, pair in zip(x, limits, strict=True)
        )
        return np.stack(list(scaled)).astype(np.float32)

    images = float_images(*pick(FEW, SMALL))
    timed(
        clipped,
        images,
        group=group_of("normalise by percentiles", images),
        peer="scikit-image",
        bytes=2 * images.nbytes,
        check=lambda out: error_of(out, images, lambda x: np.clip(robust(x), 0, 1)),
        tolerance=1e-5,
    )


def bench_window(timed: Any, arrays: Any, pick: Any) -> None:
    shape = pick(FULL, SMALL)
    ours(timed, arrays, shape, "window", lambda x: fastmm.window(x, CENTER, WIDTH), windowed)


def bench_window_numpy(timed: Any, arrays: Any, pick: Any) -> None:
    low, width = np.float32(CENTER - WIDTH / 2), np.float32(WIDTH)
    peer(
        timed, arrays, pick(FULL, SMALL), "window", windowed, arrays.xp.__name__ + " expression",
        lambda x: arrays.xp.clip((x - low) / width, 0, 1),
    )  # fmt: skip


def bench_normalize_call(timed: Any, arrays: Any, pick: Any) -> None:
    image = float_images(1, 64)
    timed(
        fastmm.normalize,
        arrays.xp.asarray(image),
        group="cost of one call: z-score 64 x 64",
        check=lambda out: error_of(arrays.asnumpy(out), image, zscore),
        tolerance=2e-6,
        calls=pick(200, 1),
    )


def bench_normalize_call_numpy(timed: Any, arrays: Any, pick: Any) -> None:
    image = float_images(1, 64)
    timed(
        lambda x: (x - x.mean()) / x.std(),
        arrays.xp.asarray(image),
        group="cost of one call: z-score 64 x 64",
        peer=arrays.xp.__name__ + " expression",
        check=lambda out: error_of(arrays.asnumpy(out), image, zscore),
        tolerance=1e-4,
        calls=pick(200, 1),
    )
