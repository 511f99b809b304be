"""Kernel functions against scikit-learn and pairs compared one by one in float64."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from drawing import rows
from sklearn import metrics
from sklearn.svm import SVC

from fastmm import LSSVC, laplacian_kernel, linear_kernel, polynomial_kernel, rbf_kernel

TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rbf_equals_scikit_learn(dtype):
    X, Y = rows(20, dtype=dtype), rows(13, dtype=dtype, seed=1)
    for gamma in (0.01, 0.3, 5.0):
        for other in (None, Y):
            got = rbf_kernel(X, other, gamma=gamma)
            wide = None if other is None else other.astype(np.float64)
            expected = metrics.pairwise.rbf_kernel(X.astype(np.float64), wide, gamma=gamma)
            assert got.dtype == dtype
            np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linear_equals_scikit_learn(dtype):
    X, Y = rows(20, dtype=dtype), rows(13, dtype=dtype, seed=1)
    for other in (None, Y):
        got = linear_kernel(X, other)
        assert got.dtype == dtype
        np.testing.assert_allclose(
            got, metrics.pairwise.linear_kernel(X, other), rtol=0, atol=10 * TOLERANCE[dtype]
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_polynomial_equals_scikit_learn(dtype):
    X, Y = rows(20, dtype=dtype), rows(13, dtype=dtype, seed=1)
    for degree, gamma, coef0 in ((1, 0.5, 0.0), (2, 0.3, 1.0), (3, 0.1, -0.5), (7, 0.2, 1.0)):
        for other in (None, Y):
            got = polynomial_kernel(X, other, degree=degree, gamma=gamma, coef0=coef0)
            wide = None if other is None else other.astype(np.float64)
            expected = metrics.pairwise.polynomial_kernel(
                X.astype(np.float64), wide, degree=degree, gamma=gamma, coef0=coef0
            )
            assert got.dtype == dtype
            scale = np.abs(expected).max()
            np.testing.assert_allclose(got, expected, rtol=0, atol=5 * TOLERANCE[dtype] * scale)
    gamma = 1 / (6 * X.astype(np.float64).var())
    expected = metrics.pairwise.polynomial_kernel(X, gamma=gamma)
    np.testing.assert_allclose(polynomial_kernel(X), expected, rtol=20 * TOLERANCE[dtype])


# One feature or many, and sizes on both sides of the tiles of 4, 64, 128 and 256.
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (3, 5, 2), (4, 256, 4), (66, 257, 131), (129, 70, 300)]
)
def test_laplacian_equals_scikit_learn(dtype, shape):
    n, m, d = shape
    X, Y = rows(n, d, dtype), rows(m, d, dtype, seed=1)
    for other in (None, Y):
        got = laplacian_kernel(X, other, gamma=0.7 / d)
        wide = None if other is None else other.astype(np.float64)
        expected = metrics.pairwise.laplacian_kernel(X.astype(np.float64), wide, gamma=0.7 / d)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[dtype])


def test_laplacian_scale_does_not_change_with_the_unit():
    X = rows(25, 4, mean=3.0)
    expected = metrics.pairwise.laplacian_kernel(X, gamma=1 / (4 * X.std()))
    np.testing.assert_allclose(laplacian_kernel(X), expected, atol=1e-13)
    np.testing.assert_allclose(laplacian_kernel(1000 * X), laplacian_kernel(X), atol=1e-12)
    np.testing.assert_array_equal(laplacian_kernel(np.full((3, 2), 5.0)), 1)


def test_laplacian_is_exact_for_many_float32_features_and_a_large_mean():
    X, Y = rows(5, 100_000, "float32", 1e4), rows(3, 100_000, "float32", 1e4, seed=1)
    got = laplacian_kernel(X, Y, gamma=1e-5)
    expected = metrics.pairwise.laplacian_kernel(X.astype(float), Y.astype(float), gamma=1e-5)
    np.testing.assert_allclose(got, expected, rtol=2e-6)


KERNELS = [linear_kernel, polynomial_kernel, rbf_kernel, laplacian_kernel]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 7, 4), (3, 5, 4)),
        ((3, 7, 4), None),
        ((2, 3, 7, 4), (3, 5, 4)),
        ((7, 4), (2, 5, 4)),
        ((2, 1, 7, 4), (1, 3, 5, 4)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_leading_axes_are_batches(xp_any, kernel, left, right, dtype):
    rng = np.random.default_rng(3)
    X = rng.normal(size=left).astype(dtype)
    Y = None if right is None else rng.normal(size=right).astype(dtype)
    gamma = {} if kernel is linear_kernel else {"gamma": 0.2}
    there = None if Y is None else xp_any.asarray(Y)
    got = xp_any.asnumpy(kernel(xp_any.asarray(X), there, **gamma))
    other = X if Y is None else Y
    leading = np.broadcast_shapes(left[:-2], other.shape[:-2])
    assert got.shape == (*leading, left[-2], other.shape[-2])
    assert got.dtype == dtype
    A = np.broadcast_to(X, (*leading, *left[-2:]))
    B = np.broadcast_to(other, (*leading, *other.shape[-2:]))
    for place in np.ndindex(leading):
        expected = kernel(A[place], None if Y is None else B[place], **gamma)
        np.testing.assert_allclose(got[place], expected, rtol=20 * TOLERANCE[dtype], atol=1e-6)
    if Y is None and kernel in (rbf_kernel, laplacian_kernel):
        np.testing.assert_array_equal(got.diagonal(axis1=-2, axis2=-1), 1)


def test_leading_axes_must_fit():
    with pytest.raises(ValueError, match=r"leading axes .* got shapes \(2, 3, 4\) and \(3, 5, 4\)"):
        rbf_kernel(np.ones((2, 3, 4)), np.ones((3, 5, 4)))


def test_batches_with_outliers_are_those_one_by_one():
    X = np.stack([rows(9), rows(9, seed=1) * 1e8])
    for other in (None, X[:, 2:5].copy()):
        got = rbf_kernel(X, other, gamma=0.2)
        for i in range(2):
            one = rbf_kernel(X[i], None if other is None else other[i], gamma=0.2)
            np.testing.assert_allclose(got[i], one, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("gamma", [1e-3, 1.0, 1e6])
def test_the_diagonal_is_exactly_one(dtype, mean, gamma):
    got = rbf_kernel(rows(200, 33, dtype, mean), gamma=gamma)
    np.testing.assert_array_equal(got.diagonal(), 1)
    np.testing.assert_array_equal(got, got.T)
    assert got.min() >= 0
    assert got.max() <= 1


def test_scale_is_what_scikit_learn_means_by_it():
    X = rows(25, 4, mean=3.0)
    machine = SVC(gamma="scale").fit(X, np.arange(25) % 2)
    np.testing.assert_allclose(
        rbf_kernel(X), metrics.pairwise.rbf_kernel(X, gamma=machine._gamma), atol=1e-13
    )
    np.testing.assert_array_equal(rbf_kernel(X), rbf_kernel(X, gamma="scale"))


@pytest.mark.parametrize("value", [0.1, 3.3, -1e6 / 3])
def test_rounding_is_no_scale(value):
    X, weight = np.full((15, 2), value), np.random.default_rng(0).uniform(0.1, 2, 15)
    y = np.arange(15) % 2
    assert LSSVC(gamma="scale").fit(X, y, sample_weight=weight).gamma_ == 1
    np.testing.assert_array_equal(rbf_kernel(X, X + 1), rbf_kernel(X, X + 1, gamma=1.0))


def test_scale_of_a_constant_matrix_is_one():
    np.testing.assert_array_equal(rbf_kernel(np.full((3, 2), 5.0)), 1)
    np.testing.assert_allclose(rbf_kernel(np.full((1, 1), 5.0), [[6.0]]), np.exp(-1), rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("gamma", [1e-300, 1e-40, 1e30, 1e300])
@pytest.mark.parametrize("kernel", [rbf_kernel, laplacian_kernel])
def test_extreme_widths_give_zero_or_one_and_no_nan(kernel, dtype, gamma):
    X = rows(8, dtype=dtype)
    expected = np.ones((8, 8)) if gamma < 1 else np.eye(8)
    np.testing.assert_array_equal(kernel(X, gamma=gamma), expected)


def test_any_array_library(xp):
    X, Y = rows(5, 3, "float32", 10.0), rows(4, 3, "float32", 10.0, seed=1)
    for dtype in ("float32", "float64"):
        left, right = xp.asarray(X.astype(dtype)), xp.asarray(Y.astype(dtype))
        for got, other in ((rbf_kernel(left, right), Y), (rbf_kernel(left), X)):
            host = xp.asnumpy(got)
            assert host.dtype == dtype
            expected = naive.rbf(X, other, 1 / (3 * X.astype(np.float64).var()))
            np.testing.assert_allclose(host, expected, rtol=0, atol=2e-6)
        np.testing.assert_array_equal(xp.asnumpy(rbf_kernel(left)).diagonal(), 1)
        np.testing.assert_allclose(xp.asnumpy(linear_kernel(left, right)), X @ Y.T, rtol=1e-5)
        expected = metrics.pairwise.polynomial_kernel(X, Y, gamma=0.01)
        found = xp.asnumpy(polynomial_kernel(left, right, gamma=0.01))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_laplacian_of_any_array_library(xp):
    sizes = (6, 40, 130) if xp.small else (70, 300, 131)
    X, Y = (rows(n, sizes[2], "float32", 10.0, seed=n) for n in sizes[:2])
    for dtype in ("float32", "float64"):
        left, right = xp.asarray(X.astype(dtype)), xp.asarray(Y.astype(dtype))
        found = xp.asnumpy(laplacian_kernel(left, right, gamma=0.01))
        assert found.dtype == dtype
        expected = metrics.pairwise.laplacian_kernel(X.astype(float), Y.astype(float), gamma=0.01)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
        np.testing.assert_array_equal(xp.asnumpy(laplacian_kernel(left)).diagonal(), 1)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("X", "Y", "error", "message"),
    [
        (None, None, TypeError, "`X` must be an array, got None"),
        (np.ones(3), None, ValueError, r"`X` must have shape \(rows, features\).* got \(3,\)"),
        (np.ones((0, 3)), None, ValueError, r"none of them 0, got \(0, 3\)"),
        (np.eye(3), np.ones((2, 0)), ValueError, r"`Y` must .* got \(2, 0\)"),
        (np.eye(3), np.eye(4), ValueError, "as many columns, got 3 and 4"),
        (np.array([[np.nan, 1.0]]), None, ValueError, r"`X` contains .* 1 of 2 .* index \(0, 0\)"),
        (np.eye(2), [[1.0, np.inf]], ValueError, r"`Y` contains .* 1 of 2 .* index \(0, 1\)"),
        (np.eye(2) * 1j, None, ValueError, "Complex data not supported"),
        ([["a"]], None, TypeError, "`X` must hold real numbers"),
    ],
)
def test_wrong_arguments_are_named(kernel, X, Y, error, message):
    with pytest.raises(error, match=message):
        kernel(X, Y)


@pytest.mark.parametrize(
    ("gamma", "error", "message"),
    [
        (0, ValueError, "`gamma` must be a finite number greater than 0, got 0"),
        (-1, ValueError, "`gamma` must be"),
        (np.nan, ValueError, "`gamma` must be"),
        ("auto", ValueError, '`gamma` must be "scale" or a number greater than 0'),
        (None, TypeError, "`gamma` must be"),
    ],
)
@pytest.mark.parametrize("kernel", KERNELS[1:])
def test_gamma_must_be_positive(kernel, gamma, error, message):
    with pytest.raises(error, match=message):
        kernel(np.eye(3), gamma=gamma)


@pytest.mark.parametrize(("kernel", "size"), [(rbf_kernel, 1e25), (laplacian_kernel, 2e38)])
def test_distances_out_of_range_are_an_error_and_no_nan(kernel, size):
    with pytest.raises(ValueError, match="distances overflow float32"):
        kernel(np.eye(3, dtype=np.float32) * np.float32(size))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"degree": 0}, ValueError, "`degree` must be a positive integer, got 0"),
        ({"degree": 2.0}, TypeError, "`degree` must be a positive integer"),
        ({"coef0": np.inf}, ValueError, "`coef0` must be a finite number"),
        ({"gamma": 1e300}, ValueError, "polynomial kernel overflows float64"),
    ],
)
def test_wrong_parameters_of_the_polynomial_kernel(arguments, error, message):
    with pytest.raises(error, match=message):
        polynomial_kernel(np.eye(3), **arguments)
