"""Kernel functions keep their digits: large means, outliers, extreme widths, small dtypes."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from drawing import rows
from sklearn import metrics

from fastmm import laplacian_kernel, linear_kernel, polynomial_kernel, rbf_kernel


def test_a_large_mean_costs_float32_nothing():
    X, Y = rows(30, 10, "float32", 1e4), rows(20, 10, "float32", 1e4, seed=1)
    for other in (None, Y):
        expected = naive.rbf(X, X if other is None else other, 0.1)
        np.testing.assert_allclose(rbf_kernel(X, other, gamma=0.1), expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("outlier", [1e3, 1e6, 1e12])
def test_an_outlier_costs_other_rows_nothing(xp_any, dtype, outlier):
    X = rows(60, dtype=dtype)
    X[7] += np.asarray(outlier, dtype)
    apart = X[:, None].astype(np.float64) - X.astype(np.float64)
    expected = np.exp(-0.2 * (apart**2).sum(-1))
    for other in (None, X[5:20].copy()):
        given = None if other is None else xp_any.asarray(other)
        got = xp_any.asnumpy(rbf_kernel(xp_any.asarray(X), given, gamma=0.2))
        wanted = expected if other is None else expected[:, 5:20]
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6 if dtype == "float32" else 1e-8)


@pytest.mark.parametrize(
    ("dtype", "lowest", "ulp"), [("float32", -87.3, 2e-7), ("float64", -708.0, 5e-16)]
)
def test_the_exponential_over_its_whole_range(dtype, lowest, ulp):
    # A Gram of zeros with |x|^2 = distance: rbf() is then exp(-distance) alone.
    from fastmm.kernels.rbf import rbf

    x = np.linspace(lowest, 0, 60_001).astype(dtype)
    # and on both sides of where the power of 2 changes
    edges = (-(np.arange(1, int(-lowest / np.log(2))) - 0.5) * np.log(2)).astype(dtype)
    sides = [np.nextafter(edges, np.array(way, dtype)) for way in (-np.inf, 0)]
    x = np.concatenate([x, edges, *sides])
    gram = np.zeros((1, x.size), dtype)
    rbf[dtype].run_cpu(1, gram, np.zeros(1, dtype), -x[None], np.ones(1, dtype))
    expected = np.exp(x.astype(np.longdouble))
    assert np.abs(gram[0] / expected - 1).max() <= ulp


@pytest.mark.parametrize(("dtype", "normal"), [("float32", -87.33), ("float64", -708.39)])
def test_the_exponential_underflows_to_zero(dtype, normal):
    from fastmm.kernels.rbf import rbf

    tiny = np.finfo(dtype).tiny
    x = -np.concatenate([np.linspace(-normal, -normal * 1.3, 5001), np.logspace(3, 37, 100)])
    x = x.astype(dtype)
    gram = np.zeros((1, x.size), dtype)
    rbf[dtype].run_cpu(1, gram, np.zeros(1, dtype), -x[None], np.ones(1, dtype))
    # Denormals may become 0; whatever comes out is within the smallest normal number.
    assert np.abs(gram[0] - np.exp(x.astype(np.longdouble))).max() <= tiny
    assert np.all(gram[0][x < normal * 1.02] == 0)
    assert np.all(np.diff(gram[0]) <= 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_distance_below_zero_is_rounding_and_counts_as_zero(dtype):
    from fastmm.kernels.rbf import rbf

    # |x|^2 = |y|^2 = 1 and an inner product a little above 1.
    gram = np.full((2, 2), 1 + 1e-5, dtype)
    rbf[dtype].run_cpu(1, gram, np.ones(2, dtype), np.ones((1, 2), dtype), np.full(1, 1e6, dtype))
    np.testing.assert_array_equal(gram, 1)


def test_repeated_rows_are_alike():
    X = rows(6, 40, "float32", 1e4)[np.arange(60) % 6]
    got = rbf_kernel(X, gamma=0.05)
    same = np.arange(60)[:, None] % 6 == np.arange(60) % 6
    np.testing.assert_allclose(got[same], 1, rtol=0, atol=2e-6)
    assert got.max() <= 1


def test_large_matrices_take_the_parallel_build():
    X, Y = rows(250, 20, "float32"), rows(260, 20, "float32", seed=1)
    expected = metrics.pairwise.rbf_kernel(X.astype(float), Y.astype(float), gamma=0.05)
    np.testing.assert_allclose(rbf_kernel(X, Y, gamma=0.05), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "bool", "float16", "int64"])
def test_small_dtypes_are_promoted_before_arithmetic(dtype):
    X = np.random.default_rng(4).integers(0, 120, (9, 4)).astype(dtype)
    wide = X.astype(np.float64)
    for kernel in (
        linear_kernel,
        lambda X: rbf_kernel(X, gamma=1e-3),
        lambda X: laplacian_kernel(X, gamma=1e-3),
        lambda X: polynomial_kernel(X, gamma=1e-3),
    ):
        assert kernel(X).dtype == (np.float64 if dtype == "int64" else np.float32)
        np.testing.assert_allclose(kernel(X), kernel(wide), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(linear_kernel(X), wide @ wide.T)
