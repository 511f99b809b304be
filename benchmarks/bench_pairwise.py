"""Kernel matrices: RBF beside the bare matrix product, Laplacian beside SciPy's distances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastmm

FULL, SMALL = (4000, 512), (60, 8)  # rows, features
GAMMA = 1e-3


def bench_rbf_kernel(timed: Any, arrays: Any, pick: Any) -> None:
    X = make_rows(*pick(FULL, SMALL))
    timed(
        lambda a: fastmm.rbf_kernel(a, gamma=GAMMA),
        arrays.xp.asarray(X),
        group=task("RBF", X),
        check=lambda K: rbf_error(arrays.asnumpy(K), X, X),
        tolerance=2e-6,
        flops=2 * X.shape[0] ** 2 * X.shape[1],
        bytes=X.nbytes + 4 * X.shape[0] ** 2,
    )


def bench_rbf_matrix_product(timed: Any, arrays: Any, pick: Any) -> None:
    """Measure what no RBF kernel by inner products can go below."""
    X = make_rows(*pick(FULL, SMALL))
    timed(
        lambda a: a @ a.T,
        arrays.xp.asarray(X),
        group=task("RBF", X),
        peer="bare matrix product",
        check=lambda K: product_error(arrays.asnumpy(K), X, X),
        tolerance=1e-5,
        flops=2 * X.shape[0] ** 2 * X.shape[1],
    )


def bench_rbf_kernel_of_two(timed: Any, arrays: Any, pick: Any) -> None:
    X, Y = make_rows(*pick(FULL, SMALL)), make_rows(*pick(FULL, SMALL), seed=1)
    timed(
        lambda a, b: fastmm.rbf_kernel(a, b, gamma=GAMMA),
        arrays.xp.asarray(X),
        arrays.xp.asarray(Y),
        group=task("RBF of two matrices", X),
        check=lambda K: rbf_error(arrays.asnumpy(K), X, Y),
        tolerance=2e-6,
        flops=2 * X.shape[0] ** 2 * X.shape[1],
    )


def bench_rbf_matrix_product_of_two(timed: Any, arrays: Any, pick: Any) -> None:
    X, Y = make_rows(*pick(FULL, SMALL)), make_rows(*pick(FULL, SMALL), seed=1)
    timed(
        lambda a, b: a @ b.T,
        arrays.xp.asarray(X),
        arrays.xp.asarray(Y),
        group=task("RBF of two matrices", X),
        peer="bare matrix product",
        check=lambda K: product_error(arrays.asnumpy(K), X, Y),
        tolerance=1e-5,
        flops=2 * X.shape[0] ** 2 * X.shape[1],
    )


def bench_rbf_kernel_sklearn(timed: Any, pick: Any) -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    X = make_rows(*pick(FULL, SMALL))
    timed(
        lambda a: pairwise.rbf_kernel(a, gamma=GAMMA),
        X,
        group=task("RBF", X),
        peer="scikit-learn",
        check=lambda K: rbf_error(K, X, X),
        tolerance=1e-4,
    )


def bench_laplacian_kernel(timed: Any, arrays: Any, pick: Any) -> None:
    X = make_rows(*pick((2000, 512), SMALL))
    timed(
        lambda a: fastmm.laplacian_kernel(a, gamma=GAMMA),
        arrays.xp.asarray(X),
        group=task("Laplacian", X),
        check=lambda K: laplacian_error(arrays.asnumpy(K), X),
        tolerance=2e-6,
        flops=3 * X.shape[0] ** 2 * X.shape[1],
    )


def bench_laplacian_kernel_sklearn(timed: Any, pick: Any) -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    X = make_rows(*pick((2000, 512), SMALL))
    timed(
        lambda a: pairwise.laplacian_kernel(a, gamma=GAMMA),
        X,
        group=task("Laplacian", X),
        peer="scikit-learn",
        check=lambda K: laplacian_error(K, X),
        tolerance=1e-4,
    )


def bench_laplacian_distances_scipy(timed: Any, pick: Any) -> None:
    """Measure the distances alone, which is less than the kernel."""
    distance = pytest.importorskip("scipy.spatial.distance")
    X = make_rows(*pick((2000, 512), SMALL))
    timed(
        lambda a: distance.cdist(a, a, "cityblock"),
        X,
        group=task("Laplacian", X),
        peer="SciPy, distances alone",
        check=lambda D: laplacian_error(np.exp(-GAMMA * D), X),
        tolerance=1e-6,
    )


def product_error(K: np.ndarray, X: np.ndarray, Y: np.ndarray) -> float:
    expected = X[:5].astype(np.float64) @ Y.T
    return float(np.abs(K[:5] - expected).max() / np.abs(expected).max())


def rbf_error(K: np.ndarray, X: np.ndarray, Y: np.ndarray) -> float:
    some = X[:5].astype(np.float64)
    square = ((some[:, None] - Y) ** 2).sum(-1)
    return float(np.abs(K[:5] - np.exp(-GAMMA * square)).max())


def laplacian_error(K: np.ndarray, X: np.ndarray) -> float:
    some = X[:5].astype(np.float64)
    distance = np.abs(some[:, None] - X).sum(-1)
    return float(np.abs(K[:5] - np.exp(-GAMMA * distance)).max())


def task(kernel: str, X: np.ndarray) -> str:
    return f"{kernel} kernel {X.shape[0]} x {X.shape[1]} {X.dtype}"


def make_rows(rows: int, features: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, features)).astype(np.float32)
