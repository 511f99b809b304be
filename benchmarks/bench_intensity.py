"""Normalise a stack of slices by deviation, range and percentiles; window it; filter it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import fastmm
from fastmm.bench.machine import cores
from fastmm.image.filters import denoise

FULL, SMALL = (128, 512), (3, 40)  # slices, side
FEW = (16, 512)  # for percentiles and filters, whose peers take long
CENTER, WIDTH = -600.0, 1500.0


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


Map = Callable[[Any], Any]
THREADS = "OpenCV, a thread per core"


def ours(
    timed: Any, arrays: Any, shape: tuple[int, int], task: str, function: Map, oracle: Map
) -> None:
    peer(timed, arrays, shape, task, oracle, "fastmm", function, 2e-6)


def peer(
    timed: Any,
    arrays: Any,
    shape: tuple[int, int],
    task: str,
    oracle: Map,
    name: str,
    function: Map,
    tolerance: float = 1e-4,
) -> None:
    images = float_images(*shape)
    timed(
        function,
        arrays.xp.asarray(images),
        group=group_of(task, images),
        peer=name,
        bytes=2 * images.nbytes,
        check=lambda out: error_of(arrays.asnumpy(out), images, oracle),
        tolerance=tolerance,
    )


def by_torch(
    timed: Any, torch_from: Any, shape: tuple[int, int], task: str, oracle: Map, function: Map
) -> None:
    images = float_images(*shape)
    timed(
        function,
        torch_from(images),
        group=group_of(task, images),
        peer="PyTorch",
        bytes=2 * images.nbytes,
        check=lambda out: error_of(out.cpu().numpy(), images, oracle),
        tolerance=1e-4,
    )


def by_opencv(
    timed: Any, shape: tuple[int, int], task: str, oracle: Map, one: Callable[..., None], name: str
) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    images, threads = float_images(*shape), cv2.getNumThreads()
    if name == THREADS:
        cv2.setNumThreads(1)
    try:
        with ThreadPoolExecutor(cores()) as pool:

            def each(x: np.ndarray) -> np.ndarray:
                out = np.empty_like(x)
                for _ in (pool.map if name == THREADS else map)(one, x, out):
                    pass
                return out

            timed(
                each,
                images,
                group=group_of(task, images),
                peer=name,
                bytes=2 * images.nbytes,
                check=lambda out: error_of(out, images, oracle),
                tolerance=1e-4,
            )
    finally:
        cv2.setNumThreads(threads)


def opencv_zscore(image: np.ndarray, out: np.ndarray) -> None:
    import cv2

    mean, deviation = (float(v[0, 0]) for v in cv2.meanStdDev(image))
    cv2.addWeighted(image, 1 / deviation, image, 0, -mean / deviation, dst=out)


def opencv_minmax(image: np.ndarray, out: np.ndarray) -> None:
    import cv2

    cv2.normalize(image, out, 0, 1, cv2.NORM_MINMAX)


def zscore(x: np.ndarray) -> np.ndarray:
    return (x - x.mean((1, 2), keepdims=True)) / x.std((1, 2), keepdims=True)


def minmax(x: np.ndarray) -> np.ndarray:
    low, high = x.min((1, 2), keepdims=True), x.max((1, 2), keepdims=True)
    return (x - low) / (high - low)


def robust(x: np.ndarray) -> np.ndarray:
    low, high = np.percentile(x, (1, 99), axis=(1, 2), keepdims=True)
    return (x - low) / (high - low)


def windowed(x: np.ndarray) -> np.ndarray:
    return np.clip((x - (CENTER - WIDTH / 2)) / WIDTH, 0, 1)


def error_of(result: np.ndarray, images: np.ndarray, oracle: Map) -> float:
    """Compare the first and the last image with the definition in float64."""
    assert result.shape == images.shape
    assert result.dtype == np.float32
    expected = oracle(images[[0, -1]].astype(np.float64))
    return float(np.abs(result[[0, -1]] - expected).max() / np.abs(expected).max())


def median_error(result: np.ndarray, images: np.ndarray) -> float:
    padded = np.pad(images[-1], 1, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    expected = np.median(around.reshape(*images.shape[1:], 9), axis=-1)
    return float(np.abs(result[-1] - expected).max())


def group_of(task: str, images: np.ndarray) -> str:
    return f"{task}, float32 {' x '.join(map(str, images.shape))}"


def float_images(n: int, side: int) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((n, side, side), np.float32)
    return noise * np.float32(300) - np.float32(500)
