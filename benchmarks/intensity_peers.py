"""What the benchmarks of intensity share: images, oracles, and how peers are called."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from fastmm.bench.machine import cores

FULL, SMALL = (128, 512), (3, 40)  # slices, side
FEW = (16, 512)  # for percentiles and filters, whose peers take long
CENTER, WIDTH = -600.0, 1500.0
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


def group_of(task: str, images: np.ndarray) -> str:
    return f"{task}, float32 {' x '.join(map(str, images.shape))}"


def float_images(n: int, side: int) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal((n, side, side), np.float32)
    return noise * np.float32(300) - np.float32(500)
