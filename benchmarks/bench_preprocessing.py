"""A chain of rescale, window, resize, z-score and patches: in one pass, and step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
from bench_resizing import opencv, stored_slices

import fastmm

FULL, SMALL = (128, 512, 128, 64, 32), (4, 64, 16, 8, 4)  # slices, before, after, patch, step
INTERCEPT, CENTER, WIDTH = -1024.0, -600.0, 1500.0


def bench_preprocess(timed: Any, arrays: Any, pick: Any) -> None:
    n, before, after, patch, step = sizes = pick(FULL, SMALL)
    stored = stored_slices(n, before)
    timed(
        lambda x: fastmm.preprocess(
            x, (after, after), intercept=INTERCEPT, window=(CENTER, WIDTH), normalize="zscore",
            patch_size=(patch, patch), step=step,
        ),
        arrays.xp.asarray(stored),
        group=group(sizes),
        bytes=least_bytes(sizes),
        check=lambda out: error_of(arrays.asnumpy(out), stored, sizes),
        tolerance=1e-5,
    )  # fmt: skip


def bench_preprocess_steps(timed: Any, arrays: Any, pick: Any) -> None:
    n, before, after, patch, step = sizes = pick(FULL, SMALL)
    stored = stored_slices(n, before)

    def steps(x: Any) -> Any:
        images = fastmm.window(x.astype(np.float32) + np.float32(INTERCEPT), CENTER, WIDTH)
        small = fastmm.normalize(fastmm.resize(images, (after, after)))
        return fastmm.extract_patches(small, (patch, patch), step=step)

    timed(
        steps,
        arrays.xp.asarray(stored),
        group=group(sizes),
        peer="fastmm, step by step",
        bytes=least_bytes(sizes),
        check=lambda out: error_of(arrays.asnumpy(out), stored, sizes),
        tolerance=1e-5,
    )


def bench_preprocess_opencv(timed: Any, pick: Any) -> None:
    # As most people write it.
    cv2 = opencv()
    n, before, after, patch, step = sizes = pick(FULL, SMALL)
    stored = stored_slices(n, before)

    def chain(x: np.ndarray) -> np.ndarray:
        small = np.empty((n, after, after), np.float32)
        for source, target in zip(x, small, strict=True):
            image = source.astype(np.float32) + np.float32(INTERCEPT)
            image = np.clip((image - (CENTER - WIDTH / 2)) / WIDTH, 0, 1)
            cv2.resize(image.astype(np.float32), (after, after), dst=target)
        small = (small - small.mean((1, 2), keepdims=True)) / small.std((1, 2), keepdims=True)
        views = np.lib.stride_tricks.sliding_window_view(small, (patch, patch), axis=(1, 2))
        return np.ascontiguousarray(views[:, ::step, ::step])

    timed(
        chain,
        stored,
        group=group(sizes),
        peer="OpenCV and NumPy",
        bytes=least_bytes(sizes),
        check=lambda out: error_of(out, stored, sizes),
        tolerance=1e-5,
    )


def group(sizes: tuple[int, ...]) -> str:
    n, before, after, patch, step = sizes
    return (
        f"chain int16 {n} x {before} x {before} -> z-scored {patch} x {patch} patches, "
        f"step {step}, of {after} x {after}"
    )


def least_bytes(sizes: tuple[int, ...]) -> int:
    n, before, after, patch, step = sizes
    grid = (after - patch) // step + 1
    return n * (before * before * 2 + grid * grid * patch * patch * 4)


def error_of(found: np.ndarray, stored: np.ndarray, sizes: tuple[int, ...]) -> float:
    """Compare the patches of the last image with float64 arithmetic."""
    from bench_resizing import neighbours

    _, before, after, patch, step = sizes
    x = np.clip((stored[-1] + INTERCEPT - (CENTER - WIDTH / 2)) / WIDTH, 0, 1)
    first, second, weight = neighbours(before, after)
    x = x[first] * (1 - weight)[:, None] + x[second] * weight[:, None]
    x = x[:, first] * (1 - weight) + x[:, second] * weight
    x = (x - x.mean()) / x.std()
    views = np.lib.stride_tricks.sliding_window_view(x, (patch, patch))[::step, ::step]
    return float(np.abs(found[-1] - views).max() / np.abs(x).max())
