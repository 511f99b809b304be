"""Cut stacks of images into overlapping patches, and put them together again."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import fastmm
from fastmm.image.merging import merge_patches


class Case(NamedTuple):
    """Images, and the patches to cut them into."""

    size: int
    step: int
    full: tuple[int, int]  # images and their side
    small: tuple[int, int] = (2, 96)


# From one image to half a gigabyte of patches, of patches with long rows and with short ones.
CASES = (
    Case(64, 8, (56, 256)),
    Case(16, 8, (64, 256)),
    Case(5, 1, (16, 256)),
    Case(3, 1, (16, 256)),
    Case(16, 8, (1, 256)),
)
each = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.size}-{c.step}-{c.full[0]}")


@each
def bench_patches(timed: Any, arrays: Any, pick: Any, case: Case) -> None:
    images = make_images(*pick(case.full, case.small))
    timed(
        lambda x: fastmm.extract_patches(x, (case.size, case.size), step=case.step),
        arrays.xp.asarray(images),
        group=group(images, case),
        bytes=least_bytes(images, case),
        check=lambda out: error_of(arrays.asnumpy(out), images, case),
    )


@each
def bench_patches_views(timed: Any, arrays: Any, pick: Any, case: Case) -> None:
    images = make_images(*pick(case.full, case.small))
    xp = arrays.xp
    timed(
        lambda x: xp.ascontiguousarray(views(xp, x, case)),
        xp.asarray(images),
        group=group(images, case),
        peer="NumPy views, copied" if xp is np else "CuPy views, copied",
        bytes=least_bytes(images, case),
        check=lambda out: error_of(arrays.asnumpy(out), images, case),
    )


@each
def bench_patches_torch(timed: Any, torch_from: Any, pick: Any, case: Case) -> None:
    images = make_images(*pick(case.full, case.small))
    timed(
        lambda x: x.unfold(1, case.size, case.step).unfold(2, case.size, case.step).contiguous(),
        torch_from(images),
        group=group(images, case),
        peer="PyTorch",
        bytes=least_bytes(images, case),
        check=lambda out: error_of(out.cpu().numpy(), images, case),
    )


@each
def bench_patches_copy(timed: Any, arrays: Any, pick: Any, case: Case) -> None:
    # No way to write the result is faster than copying one that is there already.
    images = make_images(*pick(case.full, case.small))
    patches = arrays.xp.asarray(np.ascontiguousarray(views(np, images, case)))
    timed(
        lambda x: x.copy(),
        patches,
        group=group(images, case),
        peer="plain copy of the result",
        bytes=2 * patches.nbytes,
        check=lambda out: error_of(arrays.asnumpy(out), images, case),
    )


MERGED = CASES[:3]
some = pytest.mark.parametrize("case", MERGED, ids=lambda c: f"{c.size}-{c.step}-{c.full[0]}")


@some
def bench_merge(timed: Any, arrays: Any, pick: Any, case: Case) -> None:
    images = make_images(*pick(case.full, case.small))
    patches = arrays.xp.asarray(np.ascontiguousarray(views(np, images, case)))
    timed(
        lambda x: merge_patches(x, images.shape[1:], step=case.step),
        patches,
        group="merge " + group(images, case),
        bytes=least_bytes(images, case),
        check=lambda out: float(np.abs(arrays.asnumpy(out) - images).max()),
    )


@some
def bench_merge_torch(timed: Any, torch_from: Any, pick: Any, case: Case) -> None:
    # fold() sums, in a layout with the pixels of a patch before the grid; given for free.
    import torch

    images = make_images(*pick(case.full, case.small))
    count, height, width = images.shape
    patches = views(np, images, case).transpose(0, 3, 4, 1, 2)
    columns = np.ascontiguousarray(patches).reshape(count, case.size**2, -1)
    ones = torch_from(np.ones((1, *columns.shape[1:]), np.float32))

    def merge(x: Any) -> Any:
        def fold(y: Any) -> Any:
            options = {"kernel_size": case.size, "stride": case.step}
            return torch.nn.functional.fold(y, (height, width), **options)

        return (fold(x) / fold(ones))[:, 0]

    timed(
        merge,
        torch_from(columns),
        group="merge " + group(images, case),
        peer="PyTorch",
        bytes=least_bytes(images, case),
        check=lambda out: float(np.abs(out.cpu().numpy() - images).max()),
        tolerance=1e-5,
    )


def views(xp: Any, images: Any, case: Case) -> Any:
    size = (case.size, case.size)
    shape = xp.lib.stride_tricks.sliding_window_view(images, size, (-2, -1))
    return shape[..., :: case.step, :: case.step, :, :]


def group(images: np.ndarray, case: Case) -> str:
    n, height, width = images.shape
    size = f"{case.size} x {case.size}"
    return f"patches float32 {size}, step {case.step}, of {n} x {height} x {width}"


def least_bytes(images: np.ndarray, case: Case) -> int:
    return int(images.nbytes + views(np, images, case).size * images.itemsize)


def error_of(result: np.ndarray, images: np.ndarray, case: Case) -> float:
    """Compare every patch, bit by bit, with a plain slice; 0 or 1."""
    expected = views(np, images, case)
    assert result.shape == expected.shape
    assert result.flags.c_contiguous
    same = all(np.array_equal(*pair) for pair in zip(result, expected, strict=True))
    return 0.0 if same else 1.0


def make_images(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, side, side), np.float32)
