"""Cut a stack of images into overlapping patches."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastmm

FULL, SMALL = (56, 256), (2, 96)  # images and their side; 56 of them give 0.57 GB of patches
SIZE, STEP = 64, 8


def bench_patches(timed: Any, arrays: Any, pick: Any) -> None:
    images = make_images(*pick(FULL, SMALL))
    timed(
        lambda x: fastmm.extract_patches(x, (SIZE, SIZE), step=STEP),
        arrays.xp.asarray(images),
        group=group(images),
        bytes=least_bytes(images),
        check=lambda out: error_of(arrays.asnumpy(out), images),
    )


def bench_patches_views(timed: Any, arrays: Any, pick: Any) -> None:
    images = make_images(*pick(FULL, SMALL))
    xp = arrays.xp
    timed(
        lambda x: xp.ascontiguousarray(views(xp, x)),
        xp.asarray(images),
        group=group(images),
        peer="NumPy views, copied" if xp is np else "CuPy views, copied",
        bytes=least_bytes(images),
        check=lambda out: error_of(arrays.asnumpy(out), images),
    )


def bench_patches_torch(timed: Any, torch_from: Any, pick: Any) -> None:
    images = make_images(*pick(FULL, SMALL))
    timed(
        lambda x: x.unfold(1, SIZE, STEP).unfold(2, SIZE, STEP).contiguous(),
        torch_from(images),
        group=group(images),
        peer="PyTorch",
        bytes=least_bytes(images),
        check=lambda out: error_of(out.cpu().numpy(), images),
    )


def bench_patches_copy(timed: Any, arrays: Any, pick: Any) -> None:
    # No way to write the result is faster than copying one that is there already.
    images = make_images(*pick(FULL, SMALL))
    patches = arrays.xp.ascontiguousarray(views(np, images))
    if arrays.name == "cupy":
        patches = arrays.xp.asarray(patches)
    timed(
        lambda x: x.copy(),
        patches,
        group=group(images),
        peer="plain copy of the result",
        bytes=2 * patches.nbytes,
        check=lambda out: error_of(arrays.asnumpy(out), images),
    )


def views(xp: Any, images: Any) -> Any:
    shape = xp.lib.stride_tricks.sliding_window_view(images, (SIZE, SIZE), (-2, -1))
    return shape[..., ::STEP, ::STEP, :, :]


def group(images: np.ndarray) -> str:
    n, height, width = images.shape
    return f"patches float32 {SIZE} x {SIZE}, step {STEP}, of {n} x {height} x {width}"


def least_bytes(images: np.ndarray) -> int:
    return int(images.nbytes + views(np, images).size * images.itemsize)


def error_of(result: np.ndarray, images: np.ndarray) -> float:
    """Compare every patch, bit by bit, with a plain slice; 0 or 1."""
    expected = views(np, images)
    assert result.shape == expected.shape
    assert result.flags.c_contiguous
    same = all(np.array_equal(*pair) for pair in zip(result, expected, strict=True))
    return 0.0 if same else 1.0


def make_images(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, side, side), np.float32)
