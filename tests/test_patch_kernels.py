"""Patch kernels against patches that were made."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from drawing import images

from fastmm import (
    patch_kernel,
)

# Image, patch, step, shifts: one pixel or all, steps beyond the patch, odd ends, three ranks.
LAYOUTS = [
    ((7,), (3,), 1, (1,)),
    ((6, 5), (2, 3), 1, (0, 0)),
    ((6, 5), (1, 1), 1, (0, 0)),
    ((6, 5), (6, 5), 1, (2, 2)),
    ((9, 8), (2, 2), 3, (1, 1)),
    ((8, 7), (3, 3), (2, 1), (1, 0)),
    ((7, 6), (3, 2), 1, (1, 9)),
    ((4, 5, 6), (2, 2, 3), 1, (0, 0, 0)),
    ((5, 5, 6), (2, 3, 2), (2, 1, 3), (1, 1, 1)),
    ((5, 4, 4), (1, 2, 2), (3, 1, 1), (1, 0, 1)),
]
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


def explicit(A, B, size, step, shifts, kernel, gamma):
    """Compare every patch with every one near it, in float64."""
    spatial = len(size)
    left = naive.extract_patches(A.astype(float), size, np.broadcast_to(step, spatial))
    right = naive.extract_patches(B.astype(float), size, np.broadcast_to(step, spatial))
    grid = left.shape[1 : 1 + spatial]
    left, right = (p.reshape(len(p), *grid, -1) for p in (left, right))
    total, weights = np.zeros((len(A), len(B))), 0.0
    for p in np.ndindex(grid):
        for q in np.ndindex(grid):
            near = [1 - abs(i - j) / (s + 1) for i, j, s in zip(p, q, shifts, strict=True)]
            if min(near) > 0:
                a, b = left[:, *p], right[:, *q]
                square = ((a[:, None] - b) ** 2).sum(-1)
                k = a @ b.T if kernel == "linear" else np.exp(-gamma * square)
                total += np.prod(near) * k
                weights += np.prod(near)
    return total / weights


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize(("shape", "size", "step", "shifts"), LAYOUTS)
def test_equals_explicit_patches(kernel, shape, size, step, shifts, dtype):
    A, B = images(5, shape, dtype=dtype), images(67, shape, 1, dtype)
    for other in (None, B):
        got = patch_kernel(
            A, other, patch_size=size, kernel=kernel, gamma=0.1, step=step, shifts=shifts
        )
        expected = explicit(A, A if other is None else other, size, step, shifts, kernel, 0.1)
        assert got.dtype == dtype
        scale = abs(expected).max()
        np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE[dtype] * scale)
        if other is None:
            np.testing.assert_array_equal(got, got.T)
            least = np.linalg.eigvalsh(got.astype(float))[0]
            assert least > -1e-5 if dtype == "float32" else least > -1e-12


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_array_library(xp, dtype):
    A, B = images(2, (4, 3), dtype=dtype), images(3, (4, 3), 1, dtype)
    for layout in ({"patch_size": (2, 2)}, {"patch_size": (3, 1), "shifts": 1, "step": (1, 2)}):
        expected = patch_kernel(A, B, gamma=0.2, **layout)
        got = patch_kernel(xp.asarray(A), xp.asarray(B), gamma=0.2, **layout)
        np.testing.assert_allclose(xp.asnumpy(got), expected, rtol=0, atol=TOLERANCE[dtype])
    got = xp.asnumpy(patch_kernel(xp.asarray(A), patch_size=(2, 2), gamma=0.2))
    np.testing.assert_allclose(got, patch_kernel(A, patch_size=(2, 2), gamma=0.2), atol=2e-6)


@pytest.mark.parametrize("shifts", [0, 1])
def test_linear_in_any_array_library(xp_any, shifts):
    A = images(4, (5, 4))
    layout = {"patch_size": (2, 2), "kernel": "linear", "shifts": shifts}
    got = xp_any.asnumpy(patch_kernel(xp_any.asarray(A), **layout))
    np.testing.assert_allclose(got, patch_kernel(A, **layout), atol=1e-12)


def test_a_flat_window_of_shifts_would_not_be_positive():
    """The weights that are used are; those that seem natural are not."""
    d = np.abs(np.subtract.outer(np.arange(9), np.arange(9)))
    assert np.linalg.eigvalsh((d <= 2).astype(float))[0] < -0.1
    assert np.linalg.eigvalsh(np.maximum(0, 1 - d / 3))[0] > 0


def test_shifts_recognise_what_moved():
    A = np.zeros((3, 12, 12))
    A[0, 4:8, 4:8] = A[1, 5:9, 4:8] = A[2, :4, 8:] = 1
    layout = {"patch_size": (4, 4), "gamma": 1.0}
    plain, tolerant = patch_kernel(A, **layout), patch_kernel(A, shifts=2, **layout)
    gain = [K[0, 1] / np.sqrt(K[0, 0] * K[1, 1]) for K in (plain, tolerant)]
    assert gain[1] > gain[0] + 0.03


def test_float32_boxes_forget_large_differences():
    """A running sum would keep the rounding of what has left the box."""
    A = images(2, (40, 40), dtype="float32") * np.float32(0.01)
    A[1, :10, :10] += 3e4
    got = patch_kernel(A, patch_size=(8, 8), gamma=20.0)
    expected = explicit(A, A, (8, 8), 1, (0, 0), "rbf", 20.0)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_a_large_mean_costs_float32_nothing(mean):
    A = (images(4, (12, 12)) + mean).astype("float32")
    got = patch_kernel(A, patch_size=(5, 5), gamma=0.02)
    expected = explicit(A, A, (5, 5), 1, (0, 0), "rbf", 0.02)
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6)


def test_extreme_values_give_zero_or_one_and_no_nan():
    A = images(3, (6, 6), dtype="float32") * np.float32(1e30)
    np.testing.assert_array_equal(patch_kernel(A, patch_size=(3, 3), gamma=1e300), np.eye(3))
    np.testing.assert_array_equal(patch_kernel(A * 0, patch_size=(3, 3)), 1)


def test_memory_that_nothing_was_written_to_stays_out(monkeypatch):
    """Of a triangle the rest is not computed; garbage there must neither show nor warn."""
    A = images(130, (5, 5), dtype="float32")
    expected = patch_kernel(A, A.copy(), patch_size=(3, 3), gamma=0.1)

    def filled(shape, dtype=float):
        return np.full(shape, np.inf, dtype)

    monkeypatch.setattr(np, "empty", filled)
    got = patch_kernel(A, patch_size=(3, 3), gamma=0.1)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_scale_is_that_of_one_patch():
    A = images(4, (6, 6))
    expected = patch_kernel(A, patch_size=(3, 2), gamma=1 / (6 * A.var()))
    np.testing.assert_allclose(patch_kernel(A, patch_size=(3, 2)), expected, rtol=1e-12)


def test_one_patch_is_the_kernel_of_rows():
    from fastmm import rbf_kernel

    A, B = images(5, (4, 4)), images(3, (4, 4), 1)
    got = patch_kernel(A, B, patch_size=(4, 4), gamma=0.05)
    expected = rbf_kernel(A.reshape(5, -1), B.reshape(3, -1), gamma=0.05)
    np.testing.assert_allclose(got, expected, atol=1e-13)


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_modalities_are_summed(kernel):
    X = {"ct": images(4, (6, 5)), "pet": images(4, (3, 4), 1)}
    Y = {"pet": images(3, (3, 4), 2), "ct": images(3, (6, 5), 3)}
    size = {"ct": (3, 3), "pet": (2, 2)}
    for other in (None, Y):
        got = patch_kernel(X, other, patch_size=size, kernel=kernel, gamma={"ct": 0.1, "pet": 0.3})
        parts = [
            patch_kernel(X[m], other and other[m], patch_size=size[m], kernel=kernel, gamma=g)
            for m, g in (("ct", 0.1), ("pet", 0.3))
        ]
        np.testing.assert_array_equal(got, parts[0] + parts[1])


def test_layouts_and_integers():
    A = (images(4, (6, 7)) * 50).astype("int16")
    wide = np.zeros((4, 12, 14), "int16")
    wide[:, ::2, ::-2] = A
    wide.flags.writeable = False
    for kernel in ("rbf", "linear"):
        expected = patch_kernel(A.astype("float32"), patch_size=(3, 3), kernel=kernel)
        for same in (A, np.asfortranarray(A), wide[:, ::2, ::-2], A.tolist()):
            got = patch_kernel(same, patch_size=(3, 3), kernel=kernel)
            np.testing.assert_allclose(got, expected, rtol=3e-6)


@pytest.mark.parametrize(
    ("X", "Y", "arguments", "error", "message"),
    [
        (np.ones((2, 4, 4)), None, {"patch_size": (5, 2)}, ValueError, "must fit into the images"),
        (np.ones((2, 4, 4)), None, {"patch_size": (2,)}, ValueError, r"must have shape \(n, x\)"),
        (np.ones((4, 4)), None, {}, ValueError, r"`X` must have shape \(n, y, x\)"),
        (np.ones((2, 4, 4)), np.ones((2, 4, 5)), {}, ValueError, "must have the same size"),
        (np.ones((2, 4, 4)), None, {"shifts": -1}, ValueError, "`shifts` must be an integer of"),
        (np.ones((2, 4, 4)), None, {"shifts": (1,)}, ValueError, "`shifts` must have one entry"),
        (np.ones((2, 4, 4)), None, {"step": 0}, ValueError, "`step` must be a positive integer"),
        (np.ones((2, 4, 4)), None, {"kernel": "poly"}, ValueError, "`kernel` must be one of"),
        (np.ones((2, 4, 4)), None, {"gamma": 0}, ValueError, "`gamma` must be"),
        (np.full((2, 4, 4), np.nan), None, {}, ValueError, "`X` contains NaN"),
        (None, None, {}, TypeError, "`X` must be an array, got None"),
        ({"a": np.ones((2, 4, 4))}, np.ones((2, 4, 4)), {}, TypeError, "must both be dicts"),
        ({"a": np.ones((2, 4, 4))}, {"b": np.ones((2, 4, 4))}, {}, ValueError, "same modalities"),
        ({"a": np.ones((2, 4, 4)), "b": np.ones((3, 4, 4))}, None, {}, ValueError, "as many"),
        ({}, None, {}, ValueError, "at least one modality"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(X, Y, arguments, error, message):
    with pytest.raises(error, match=message):
        patch_kernel(X, Y, **{"patch_size": (2, 2), **arguments})
