"""Kernels of wide networks: by hand, by plain recursions, and by networks that are wide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.base import clone

from fastmm import LSSVC, LSSVCCV, SVC, KernelRidge, KernelRidgeCV, arccos_kernel, ntk_kernel
from fastmm.grams.arc import arccos_layers, ntk_layers
from fastmm.solve.kernel.gram import KernelFunction


def rows(count=7, width=5, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width))


def j(degree, cosine):
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    rest, sine = math.pi - angle, math.sin(angle)
    return (
        rest,
        sine + rest * cosine,
        3 * sine * cosine + rest * (1 + 2 * cosine**2),
    )[degree] / math.pi


def ratio(k, size):
    return k / size if size > 0 else 0.0


def arccos_by_definition(x, y, degree, depth):
    k, a, b = x @ y, x @ x, y @ y
    for _ in range(depth):
        k = math.sqrt(a * b) ** degree * j(degree, ratio(k, math.sqrt(a * b)))
        a, b = (v**degree * j(degree, 1.0 if v > 0 else 0.0) for v in (a, b))
    return k


def ntk_by_definition(x, y, depth, bias):
    def first(u, v):
        return u @ v / len(u) + bias**2

    sigma, a, b = first(x, y), first(x, x), first(y, y)
    theta = sigma
    for _ in range(depth):
        size = math.sqrt(a * b)
        slope = j(0, ratio(sigma, size))
        sigma = size * j(1, ratio(sigma, size)) + bias**2
        a, b = a + bias**2, b + bias**2
        theta = theta * slope + sigma
    return theta


def table(function, X, Y, *arguments):
    return np.array([[function(x, y, *arguments) for y in Y] for x in X])


def special():
    """Rows with zeros, equal, opposite and scaled ones among them."""
    X = rows(9)
    X[3], X[5], X[6], X[7] = 0, -X[4], 3 * X[4], X[4]
    return X


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_arccos_equals_its_definition(degree, depth):
    X, Y = special(), rows(4, seed=1)
    Y[2], Y[3] = X[1], 0
    for other in (None, Y):
        got = arccos_kernel(X, other, degree=degree, depth=depth)
        expected = table(arccos_by_definition, X, X if other is None else other, degree, depth)
        # Twice that of a step where rows are equal up to rounding: half of the digits.
        atol = (3e-8 if degree == 0 else 1e-14) * abs(expected).max()
        np.testing.assert_allclose(got, expected, rtol=1e-13, atol=atol)
        if other is None:
            np.testing.assert_array_equal(got, got.T)


@pytest.mark.parametrize("bias", [0.0, 0.4])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_ntk_equals_its_definition(depth, bias):
    X, Y = special(), rows(4, seed=1)
    Y[2], Y[3] = X[1], 0
    for other in (None, Y):
        got = ntk_kernel(X, other, depth=depth, bias=bias)
        expected = table(ntk_by_definition, X, X if other is None else other, depth, bias)
        np.testing.assert_allclose(got, expected, rtol=0, atol=3e-8 * abs(expected).max())
        far = np.array([0, 1, 2, 4, 8])
        if other is None:
            apart = ~np.eye(5, dtype=bool)
            np.testing.assert_allclose(
                got[np.ix_(far, far)][apart], expected[np.ix_(far, far)][apart], rtol=1e-12
            )
            np.testing.assert_array_equal(got, got.T)


def test_values_by_hand():
    """Right angles, equal and opposite vectors, worked out on paper."""
    X = np.array([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    step, ramp, square = (arccos_kernel(X, degree=p) for p in (0, 1, 2))
    np.testing.assert_allclose(step, [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]], atol=1e-15)
    p = 1 / math.pi
    np.testing.assert_allclose(ramp, [[4, 6 * p, 0], [6 * p, 9, 3 * p], [0, 3 * p, 1]], atol=1e-14)
    np.testing.assert_allclose(square, [[48, 18, 0], [18, 243, 4.5], [0, 4.5, 3]], atol=1e-13)
    # Two layers: the angle after a right angle has the cosine 1 / pi.
    angle = math.acos(p)
    two = 6 * p * (math.sin(angle) + (math.pi - angle) * p)
    assert arccos_kernel(X, depth=2)[0, 1] == pytest.approx(two, rel=1e-14)
    # Theta^1 = Sigma^0 (pi - angle) / pi + Sigma^1, with d = 2.
    expected = [[4, 3 * p, 0], [3 * p, 9, 1.5 * p], [0, 1.5 * p, 1]]
    np.testing.assert_allclose(ntk_kernel(X, depth=1), expected, atol=1e-14)
    # With b = 1: Sigma^0 = (3, 5.5, 1.5 and 1, 0, 1), diagonals of Sigma^1 one more.
    assert ntk_kernel(X, depth=1, bias=1.0)[0, 0] == pytest.approx(3 + 4, rel=1e-14)
    assert ntk_kernel(X, depth=3, bias=1.0)[0, 0] == pytest.approx(3 + 4 + 5 + 6, rel=1e-14)
    angle = math.acos(1 / math.sqrt(3 * 5.5))
    sigma = p * math.sqrt(3 * 5.5) * (math.sin(angle) + (math.pi - angle) * math.cos(angle)) + 1
    expected = (math.pi - angle) * p + sigma
    assert ntk_kernel(X, depth=1, bias=1.0)[0, 1] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_arccos_is_what_random_units_compute(degree):
    rng = np.random.default_rng(3)
    X = rows(4, 3) / 2
    units = X @ rng.normal(size=(3, 400_000))
    features = (units > 0) * units**degree
    found = 2 * features @ features.T / units.shape[1]
    np.testing.assert_allclose(arccos_kernel(X, degree=degree), found, rtol=0.03, atol=0.02)


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_ntk_is_the_product_of_gradients_of_a_wide_network(bias):
    """One hidden layer, all parameters trained, in the parametrisation of the docstring."""
    rng = np.random.default_rng(4)
    X, width = rows(4, 3), 300_000
    weights, more = rng.normal(size=(3, width)), rng.normal(size=width)
    out = rng.normal(size=width)
    inner = X @ weights / math.sqrt(3) + bias * more
    active, outer = inner > 0, math.sqrt(2 / width)
    last = (outer * inner * active) @ (outer * inner * active).T + bias**2
    back = (outer * out * active) @ (outer * out * active).T
    found = last + back * (X @ X.T / 3 + bias**2)
    np.testing.assert_allclose(ntk_kernel(X, depth=1, bias=bias), found, rtol=0.03, atol=0.02)


def test_arora_is_d_times_as_large():
    """Theta^L of Arora et al. as the sum of products that they write."""
    x, y = rows(2)
    depth = 3
    sigma, slopes, values = x @ y, [], [x @ y]
    size = math.sqrt((x @ x) * (y @ y))
    for _ in range(depth):
        slopes.append(j(0, sigma / size))
        sigma = size * j(1, sigma / size)
        values.append(sigma)
    theta = sum(v * math.prod(slopes[h:]) for h, v in enumerate(values))
    assert 5 * ntk_kernel([x], [y], depth=depth)[0, 0] == pytest.approx(theta, rel=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_array_library(xp, dtype):
    X, Y = rows(4, 3).astype(dtype), rows(5, 3, 1).astype(dtype)
    for call in (
        lambda a, b: arccos_kernel(a, b, degree=0, depth=2),
        lambda a, b: arccos_kernel(a, b, degree=2),
        lambda a, b: ntk_kernel(a, b, bias=0.3),
    ):
        got = xp.asnumpy(call(xp.asarray(X), xp.asarray(Y)))
        assert got.dtype == dtype
        wide = call(X.astype("float64"), Y.astype("float64"))
        np.testing.assert_allclose(got, wide, rtol=1e-6 if dtype == "float32" else 1e-12)
        got = xp.asnumpy(call(xp.asarray(X), None))
        np.testing.assert_allclose(got, call(X, None), rtol=1e-6 if dtype == "float32" else 1e-12)


def test_nearly_equal_float32_rows_keep_their_digits():
    """In float32 the angle of such rows would be off by 5e-4."""
    X = rows(6, 40).astype("float32")
    Y = X * np.float32(1 + 1e-6)
    np.testing.assert_allclose(arccos_kernel(X, Y, degree=0).diagonal(), 1, atol=1e-6)


def test_positive_semidefinite_on_the_unit_sphere():
    X = special()
    for K in (arccos_kernel(X, degree=0, depth=2), arccos_kernel(X, depth=3), ntk_kernel(X)):
        assert np.linalg.eigvalsh(K)[0] > -1e-7 * abs(K).max()


@pytest.mark.parametrize("size", [1e-140, 1e140])
def test_extreme_sizes(size):
    X = rows(5)
    np.testing.assert_allclose(
        arccos_kernel(X * size, degree=0), arccos_kernel(X, degree=0), atol=1e-7
    )
    np.testing.assert_allclose(arccos_kernel(X * size), arccos_kernel(X) * size**2, rtol=1e-9)
    np.testing.assert_allclose(ntk_kernel(X * size), ntk_kernel(X) * size**2, rtol=1e-6)


def test_overflow_is_an_error_and_no_nan():
    with pytest.raises(ValueError, match="overflows float64"):
        arccos_kernel(rows() * 1e100, degree=2)
    with pytest.raises(ValueError, match="overflows float64"):
        arccos_kernel(rows() * 10, degree=2, depth=10)
    with pytest.raises(ValueError, match="overflows float32"):
        arccos_kernel((rows() * 1e30).astype("float32"))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda X: arccos_kernel(X, degree=3), ValueError, "`degree` must be 0, 1 or 2, got 3"),
        (lambda X: arccos_kernel(X, degree=1.5), TypeError, "`degree` must be"),
        (lambda X: arccos_kernel(X, depth=0), ValueError, "`depth` must be a positive integer"),
        (lambda X: ntk_kernel(X, depth=0), ValueError, "`depth` must be a positive integer"),
        (lambda X: ntk_kernel(X, bias=-1), ValueError, "`bias` must be"),
        (lambda X: ntk_kernel(X * np.nan), ValueError, "`X` contains NaN"),
        (lambda X: ntk_kernel(X, X[:, :2]), ValueError, "as many columns"),
        (lambda X: ntk_kernel(X[None]), ValueError, r"must have shape \(rows, features\)"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(rows())


FUNCTIONS = [
    ("arccos", {"degree": 2, "depth": 2}, lambda X, Y=None: arccos_kernel(X, Y, degree=2, depth=2)),
    ("arccos", None, arccos_kernel),
    ("ntk", {"depth": 2, "bias": 0.3}, lambda X, Y=None: ntk_kernel(X, Y, depth=2, bias=0.3)),
    ("ntk", None, ntk_kernel),
]


@pytest.mark.parametrize(("kernel", "options", "function"), FUNCTIONS)
@pytest.mark.parametrize(
    "machine",
    [
        LSSVC(C=3.0),
        LSSVCCV(Cs=(1.0, 10.0)),
        SVC(),
        KernelRidge(),
        KernelRidge(solver="cg"),
        KernelRidge(solver="nystrom", n_components=15),
        KernelRidgeCV(),
    ],
    ids=lambda m: type(m).__name__,
)
def test_machines_know_them_by_name(xp_any, machine, kernel, options, function):
    X, y, new = rows(30), np.arange(30) % 2, rows(6, seed=2)
    model = clone(machine).set_params(kernel=kernel, kernel_params=options)
    model.fit(xp_any.asarray(X), xp_any.asarray(y))
    given = clone(machine).set_params(kernel="precomputed").fit(function(X), y)
    values = "predict" if "Ridge" in type(model).__name__ else "decision_function"
    got = xp_any.asnumpy(getattr(model, values)(xp_any.asarray(new)))
    expected = getattr(given, values)(function(new, X))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_diagonals():
    X = special()
    for depth in (1, 2, 3):
        for degree in (0, 1, 2):
            function = KernelFunction("arccos", options=arccos_layers(degree, depth))
            expected = np.diag(arccos_kernel(X, degree=degree, depth=depth))
            np.testing.assert_allclose(function.diagonal(X, np), expected, rtol=1e-13)
        function = KernelFunction("ntk", options=ntk_layers(depth, 0.3))
        expected = np.diag(ntk_kernel(X, depth=depth, bias=0.3))
        np.testing.assert_allclose(function.diagonal(X, np), expected, rtol=1e-13)
