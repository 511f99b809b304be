"""Resize a stack of slices; with rescale and window in the same pass, too."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import fastmm
from fastmm._interp import Rescale, canonical, resize_linear
from fastmm._space import enter
from fastmm.bench.machine import cores

FULL, SMALL = (256, 512, 128), (4, 64, 16)  # slices, side before, side after
SLOPE, INTERCEPT, LOW, WIDTH = 1.0, -1024.0, -1350.0, 1500.0  # CT, lung window


def bench_resize(timed: Any, arrays: Any, pick: Any) -> None:
    n, before, after = pick(FULL, SMALL)
    images = float_images(n, before)
    timed(
        lambda x: fastmm.resize(x, (after, after)),
        arrays.xp.asarray(images),
        group=resize_group(n, before, after),
        bytes=least_bytes(n, before, after, 4),
        check=lambda out: error_of(arrays.asnumpy(out), images, after),
        tolerance=2e-6,
    )


def bench_resize_opencv(timed: Any, pick: Any) -> None:
    # As most people write it. OpenCV may use all cores within one image.
    n, before, after = pick(FULL, SMALL)
    images = float_images(n, before)
    timed(
        lambda x: opencv_resize(x, after),
        images,
        group=resize_group(n, before, after),
        peer="OpenCV",
        bytes=least_bytes(n, before, after, 4),
        check=lambda out: error_of(out, images, after),
        tolerance=2e-6,
    )


def bench_resize_opencv_threads(timed: Any, pick: Any) -> None:
    # The best OpenCV can do: images spread over all cores, one thread in each.
    n, before, after = pick(FULL, SMALL)
    images = float_images(n, before)
    cv2 = opencv()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with ThreadPoolExecutor(cores()) as pool:
            timed(
                lambda x: opencv_resize(x, after, pool.map),
                images,
                group=resize_group(n, before, after),
                peer="OpenCV, a thread per core",
                bytes=least_bytes(n, before, after, 4),
                check=lambda out: error_of(out, images, after),
                tolerance=2e-6,
            )
    finally:
        cv2.setNumThreads(threads)


def bench_resize_torch(timed: Any, torch_from: Any, pick: Any) -> None:
    from torch.nn.functional import interpolate

    n, before, after = pick(FULL, SMALL)
    images = float_images(n, before)
    timed(
        lambda x: interpolate(x[:, None], (after, after), mode="bilinear", align_corners=False),
        torch_from(images),
        group=resize_group(n, before, after),
        peer="PyTorch",
        bytes=least_bytes(n, before, after, 4),
        check=lambda out: error_of(out[:, 0].cpu().numpy(), images, after),
        tolerance=1e-4,
    )


def bench_window_resize(timed: Any, arrays: Any, pick: Any) -> None:
    n, before, after = pick(FULL, SMALL)
    stored = stored_slices(n, before)
    rescale = Rescale(SLOPE / WIDTH, (INTERCEPT - LOW) / WIDTH, 0.0, 1.0)

    def fused(x: Any) -> Any:
        space, (x,), _ = enter(x=x)
        out = space.xp.empty((n, 1, after, after), np.float32)
        resize_linear(space, canonical(x, 2), out, rescale)
        return out[:, 0]

    timed(
        fused,
        arrays.xp.asarray(stored),
        group=window_group(n, before, after),
        bytes=least_bytes(n, before, after, 2),
        check=lambda out: error_of(arrays.asnumpy(out), stored, after, windowed),
        tolerance=2e-6,
    )


def bench_window_resize_opencv(timed: Any, pick: Any) -> None:
    # As most people write it: a new array for each step, of one slice at a time.
    def scaled(source: np.ndarray) -> np.ndarray:
        image = source.astype(np.float32) * np.float32(SLOPE) + np.float32(INTERCEPT)
        return np.clip((image - np.float32(LOW)) / np.float32(WIDTH), 0, 1)

    opencv_chain(timed, pick, scaled, "OpenCV chain")


def bench_window_resize_opencv_in_place(timed: Any, pick: Any) -> None:
    # The fewest steps and no intermediate but one, which stays in the cache.
    def scaled(source: np.ndarray) -> np.ndarray:
        image = source.astype(np.float32)
        image *= np.float32(SLOPE / WIDTH)
        image += np.float32((INTERCEPT - LOW) / WIDTH)
        return np.clip(image, 0, 1, out=image)

    opencv_chain(timed, pick, scaled, "OpenCV chain, in place")


def opencv_chain(
    timed: Any, pick: Any, scaled: Callable[[np.ndarray], np.ndarray], peer: str
) -> None:
    cv2 = opencv()
    n, before, after = pick(FULL, SMALL)
    stored = stored_slices(n, before)

    def chain(x: np.ndarray) -> np.ndarray:
        out = np.empty((n, after, after), np.float32)
        for source, target in zip(x, out, strict=True):
            image = scaled(source)
            cv2.resize(image, (after, after), dst=target, interpolation=cv2.INTER_LINEAR)
        return out

    timed(
        chain,
        stored,
        group=window_group(n, before, after),
        peer=peer,
        bytes=least_bytes(n, before, after, 2),
        check=lambda out: error_of(out, stored, after, windowed),
        tolerance=2e-6,
    )


def bench_window_resize_torch(timed: Any, torch_from: Any, pick: Any) -> None:
    from torch.nn.functional import interpolate

    n, before, after = pick(FULL, SMALL)
    stored = stored_slices(n, before)

    def chain(x: Any) -> Any:
        image = x.float().mul_(SLOPE / WIDTH).add_((INTERCEPT - LOW) / WIDTH).clamp_(0, 1)
        return interpolate(image[:, None], (after, after), mode="bilinear", align_corners=False)

    timed(
        chain,
        torch_from(stored),
        group=window_group(n, before, after),
        peer="PyTorch chain",
        bytes=least_bytes(n, before, after, 2),
        check=lambda out: error_of(out[:, 0].cpu().numpy(), stored, after, windowed),
        tolerance=1e-4,
    )


def bench_call_cost(timed: Any, arrays: Any, pick: Any) -> None:
    image = float_images(1, 64)[0]
    timed(
        lambda x: fastmm.resize(x, (32, 32)),
        arrays.xp.asarray(image),
        group="cost of one call: resize 64 x 64 -> 32 x 32",
        check=lambda out: error_of(arrays.asnumpy(out)[None], image[None], 32),
        tolerance=2e-6,
        calls=pick(200, 1),
    )


def bench_call_cost_opencv(timed: Any, pick: Any) -> None:
    cv2 = opencv()
    image = float_images(1, 64)[0]
    timed(
        lambda x: cv2.resize(x, (32, 32), interpolation=cv2.INTER_LINEAR),
        image,
        group="cost of one call: resize 64 x 64 -> 32 x 32",
        peer="OpenCV",
        check=lambda out: error_of(out[None], image[None], 32),
        tolerance=2e-6,
        calls=pick(200, 1),
    )


def opencv() -> Any:
    return pytest.importorskip("cv2", reason="OpenCV is not installed")


def opencv_resize(x: np.ndarray, side: int, each: Callable[..., Any] = map) -> np.ndarray:
    cv2 = opencv()
    out = np.empty((len(x), side, side), x.dtype)

    def one(source: np.ndarray, target: np.ndarray) -> None:
        cv2.resize(source, (side, side), dst=target, interpolation=cv2.INTER_LINEAR)

    for _ in each(one, x, out):
        pass
    return out


def resize_group(n: int, before: int, after: int) -> str:
    return f"resize float32 {n} x {before} x {before} -> {after} x {after}"


def window_group(n: int, before: int, after: int) -> str:
    return f"rescale, window and resize int16 {n} x {before} x {before} -> {after} x {after}"


def least_bytes(n: int, before: int, after: int, itemsize: int) -> int:
    # Rows that no output touches need not be read; within a row, cache lines are whole.
    first, second, _ = neighbours(before, after)
    rows = np.union1d(first, second).size
    return n * (rows * before * itemsize + after * after * 4)


def neighbours(before: int, after: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    centre = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    first = centre.astype(np.int64)
    return first, np.minimum(first + 1, before - 1), centre - first


def error_of(
    result: np.ndarray,
    images: np.ndarray,
    side: int,
    prepare: Callable[[np.ndarray], np.ndarray] = np.float64,
) -> float:
    """Compare the first and the last image with float64 interpolation."""
    assert result.shape == (len(images), side, side)
    assert result.dtype == np.float32
    sample = [0, -1]
    first, second, weight = neighbours(images.shape[-1], side)
    x = prepare(images[sample])
    x = x[:, first] * (1 - weight)[:, None] + x[:, second] * weight[:, None]
    x = x[..., first] * (1 - weight) + x[..., second] * weight
    return float(np.abs(result[sample] - x).max() / np.abs(x).max())


def windowed(stored: np.ndarray) -> np.ndarray:
    return np.clip((stored * SLOPE + INTERCEPT - LOW) / WIDTH, 0, 1)


def float_images(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, side, side), np.float32)


def stored_slices(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4096, (n, side, side), np.int16)
