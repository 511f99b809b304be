"""Patch kernels beside the patches that they spare, kernels of wide networks beside NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastmm

FULL, SMALL = (200, 64, 32), (6, 9, 4)  # images, their side, that of a patch


def bench_patch_kernel_rbf(timed: Any, arrays: Any, pick: Any) -> None:
    n, side, size = pick(FULL, SMALL)
    images = make_images(n, side)
    pairs, positions = n * (n + 1) // 2, (side - size + 1) ** 2
    timed(
        lambda a: fastmm.patch_kernel(a, patch_size=(size, size), gamma=width(size)),
        arrays.xp.asarray(images),
        group=task("RBF", images, size),
        check=lambda K: patch_error(arrays.asnumpy(K), images, size),
        tolerance=2e-6,
        flops=pairs * (4 * side**2 + 20 * positions),
    )


def bench_patch_kernel_rbf_explicit_torch(timed: Any, torch_from: Any, pick: Any) -> None:
    """Make the patches, and take distances from one matrix product for each position."""
    import torch

    n, side, size = pick(FULL, SMALL)
    images = make_images(n, side)

    def explicit(a: Any) -> Any:
        patches = a.unfold(1, size, 1).unfold(2, size, 1).reshape(n, -1, size * size)
        patches = patches.transpose(0, 1).contiguous()
        norms = (patches * patches).sum(2)
        square = torch.baddbmm(norms[:, :, None] + norms[:, None], patches, patches.mT, alpha=-2)
        return square.clamp_(min=0).mul_(-width(size)).exp_().mean(0)

    timed(
        explicit,
        torch_from(images),
        group=task("RBF", images, size),
        peer="torch, explicit patches",
        check=lambda K: patch_error(K.cpu().numpy(), images, size),
        tolerance=1e-4,
    )


def bench_patch_kernel_rbf_explicit_numpy(timed: Any, pick: Any) -> None:
    n, side, size = pick(FULL, SMALL)
    images = make_images(n, side)

    def explicit(a: Any) -> Any:
        view = np.lib.stride_tricks.sliding_window_view(a, (size, size), axis=(1, 2))
        total = np.zeros((n, n), np.float32)
        for y, x in np.ndindex(view.shape[1:3]):
            patches = view[:, y, x].reshape(n, -1)
            norms = np.einsum("ij,ij->i", patches, patches)
            square = norms[:, None] + norms - 2 * (patches @ patches.T)
            total += np.exp(-width(size) * np.maximum(square, 0))
        return total / (view.shape[1] * view.shape[2])

    timed(
        explicit,
        images,
        group=task("RBF", images, size),
        peer="NumPy, position by position",
        check=lambda K: patch_error(K, images, size),
        tolerance=1e-4,
    )


def bench_patch_kernel_linear(timed: Any, arrays: Any, pick: Any) -> None:
    n, side, size = pick(FULL, SMALL)
    images = make_images(n, side)
    timed(
        lambda a: fastmm.patch_kernel(a, patch_size=(size, size), kernel="linear"),
        arrays.xp.asarray(images),
        group=task("linear", images, size),
        check=lambda K: linear_error(arrays.asnumpy(K), images, size),
        tolerance=1e-5,
        flops=n * n * side * side,
    )


def bench_patch_kernel_linear_explicit(timed: Any, pick: Any) -> None:
    n, side, size = pick(FULL, SMALL)
    images = make_images(n, side)

    def explicit(a: Any) -> Any:
        patches = fastmm.extract_patches(a, (size, size))
        rows = patches.reshape(n, -1)
        return rows @ rows.T / (patches.shape[1] * patches.shape[2])

    timed(
        explicit,
        images,
        group=task("linear", images, size),
        peer="explicit patches and one matrix product",
        check=lambda K: linear_error(K, images, size),
        tolerance=1e-4,
    )


@pytest.mark.parametrize("name", ["arccos", "ntk"])
def bench_wide_network(timed: Any, arrays: Any, pick: Any, name: str) -> None:
    X = np.random.default_rng(0).standard_normal(pick((2000, 512), (40, 6)))
    of = fastmm.arccos_kernel if name == "arccos" else fastmm.ntk_kernel
    depth = 1 if name == "arccos" else 3
    timed(
        lambda a: of(a, depth=depth),
        arrays.xp.asarray(X),
        group=f"{name} kernel {X.shape[0]} x {X.shape[1]}, {depth} layers",
        check=lambda K: np.abs(arrays.asnumpy(K)[:5] - numpy_network(X[:5], X, name, depth)).max(),
        tolerance=1e-5,
        flops=X.shape[0] ** 2 * (X.shape[1] * 2 + 50 * depth),
    )


@pytest.mark.parametrize("name", ["arccos", "ntk"])
def bench_wide_network_numpy(timed: Any, pick: Any, name: str) -> None:
    X = np.random.default_rng(0).standard_normal(pick((2000, 512), (40, 6)))
    depth = 1 if name == "arccos" else 3
    timed(
        lambda a: numpy_network(a, a, name, depth),
        X,
        group=f"{name} kernel {X.shape[0]} x {X.shape[1]}, {depth} layers",
        peer="NumPy",
        check=lambda K: 0.0 if np.isfinite(K).all() else 1.0,
        tolerance=0,
    )


def numpy_network(X: np.ndarray, Y: np.ndarray, name: str, depth: int) -> np.ndarray:
    """Write the recursion out in whole matrices."""
    scale = 1.0 if name == "arccos" else 1 / X.shape[1]
    left, right = np.einsum("ij,ij->i", X, X) * scale, np.einsum("ij,ij->i", Y, Y) * scale
    size = np.sqrt(left[:, None] * right)
    K = X @ Y.T * scale
    tangent = K.copy()
    for _ in range(depth):
        cosine = (K / size).clip(-1, 1)
        rest = np.pi - np.arccos(cosine)
        K = size * (np.sqrt(1 - cosine**2) + rest * cosine) / np.pi
        tangent = tangent * rest / np.pi + K
    return K if name == "arccos" else tangent


def patch_error(K: np.ndarray, images: np.ndarray, size: int) -> float:
    """Compare two rows with boxes of squared differences in float64."""
    wide, worst = images.astype(np.float64), 0.0
    for i in (0, len(images) - 1):
        square = ((wide[i] - wide) ** 2).cumsum(1).cumsum(2)
        square = np.pad(square, ((0, 0), (1, 0), (1, 0)))
        boxes = (
            square[:, size:, size:]
            - square[:, :-size, size:]
            - square[:, size:, :-size]
            + square[:, :-size, :-size]
        )
        worst = max(worst, np.abs(K[i] - np.exp(-width(size) * boxes).mean((1, 2))).max())
    return float(worst)


def linear_error(K: np.ndarray, images: np.ndarray, size: int) -> float:
    rows = fastmm.extract_patches(images[:2].astype(np.float64), (size, size))
    expected = np.einsum("aghyx,bghyx->ab", rows, rows) / (rows.shape[1] * rows.shape[2])
    return float(np.abs(K[:2, :2] - expected).max() / np.abs(expected).max())


def width(size: int) -> float:
    return 1 / (2 * size * size)


def task(kernel: str, images: np.ndarray, size: int) -> str:
    n, h, w = images.shape
    return f"{kernel} patch kernel of {n} images {h} x {w}, patches {size} x {size} {images.dtype}"


def make_images(n: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, side, side)).astype(np.float32)
