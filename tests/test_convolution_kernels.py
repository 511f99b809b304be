"""Kernels of wide convolutional networks: by definition, and by a network that is wide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.base import clone

from fastmm import LSSVC, SVC, KernelRidge, arccos_kernel, convolutional_kernel


def images(count, shape=(4, 5), seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape))


def filtered(K, reach):
    """Average K[p, q] over what the filter reaches from both places, nothing beyond."""
    h, w = K.shape[:2]
    out = np.zeros_like(K)
    for y, x, v, u in np.ndindex(K.shape):
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                if 0 <= y + dy < h and 0 <= v + dy < h and 0 <= x + dx < w and 0 <= u + dx < w:
                    out[y, x, v, u] += K[y + dy, x + dx, v + dy, u + dx]
    return out / (2 * reach + 1) ** 2


def network(x, y, size, depth, pool, tangent):
    """Follow all pairs of places through all layers."""
    reach = size // 2
    S = [np.multiply.outer(a, b) for a, b in ((x, y), (x, x), (y, y))]
    T = np.zeros_like(S[0])
    for _ in range(depth):
        A = [filtered(K, reach) for K in S]
        left = np.einsum("yxyx->yx", A[1])[:, :, None, None]
        right = np.einsum("yxyx->yx", A[2])
        size_of = [
            np.sqrt(left * right),
            np.sqrt(left * left[:, :, 0, 0]),
            np.sqrt(right[:, :, None, None] * right),
        ]
        angle = [np.arccos(np.clip(a / s, -1, 1)) for a, s in zip(A, size_of, strict=True)]
        T = (A[0] + filtered(T, reach)) * (math.pi - angle[0]) / math.pi
        S = [
            s * (np.sin(t) + (math.pi - t) * np.cos(t)) / math.pi
            for s, t in zip(size_of, angle, strict=True)
        ]
    K = S[0] + T if tangent else S[0]
    weight = np.zeros_like(K)
    for p in np.ndindex(K.shape):
        near = [1 - abs(p[0] - p[2]) / pool, 1 - abs(p[1] - p[3]) / pool]
        weight[p] = max(near[0], 0) * max(near[1], 0)
    return (weight * K).sum() / weight.sum()


@pytest.mark.parametrize("tangent", [False, True])
@pytest.mark.parametrize(
    ("size", "depth", "pool"), [(3, 1, 1), (3, 2, 2), (1, 2, 1), (5, 2, 3), (3, 3, 9)]
)
def test_equals_its_definition(size, depth, pool, tangent):
    A, B = images(3), images(2, seed=1)
    options = {"filter_size": size, "depth": depth, "pool": pool, "tangent": tangent}
    for other in (None, B):
        got = convolutional_kernel(A, other, **options)
        them = A if other is None else other
        expected = [[network(a, b, size, depth, pool, tangent) for b in them] for a in A]
        atol = 1e-7 if tangent else 1e-13  # equal images: half of the digits of an angle
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=atol * np.abs(expected).max())
        if other is None:
            np.testing.assert_array_equal(got, got.T)
            assert np.linalg.eigvalsh(got)[0] > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_array_library(xp, dtype):
    A, B = images(2, (3, 4)).astype(dtype), images(3, (3, 4), 1).astype(dtype)
    for options in ({"depth": 2}, {"depth": 1, "pool": 2, "tangent": True}):
        got = xp.asnumpy(convolutional_kernel(xp.asarray(A), xp.asarray(B), **options))
        assert got.dtype == dtype
        np.testing.assert_allclose(got, convolutional_kernel(A, B, **options), rtol=1e-6)
        got = xp.asnumpy(convolutional_kernel(xp.asarray(A), **options))
        np.testing.assert_allclose(got, convolutional_kernel(A, **options), rtol=1e-6)


def test_is_what_a_wide_network_computes():
    rng = np.random.default_rng(2)
    A, width = images(3, (4, 4)), 20_000
    wide = np.pad(A, ((0, 0), (1, 1), (1, 1)))
    patches = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(1, 2))
    units = np.maximum(patches.reshape(3, 16, 9) @ rng.normal(size=(9, width)) / 3, 0)
    units = units.reshape(3, 4, 4, width) * math.sqrt(2 / width)
    found = np.einsum("aijw,bijw->ab", units, units) / 16
    np.testing.assert_allclose(convolutional_kernel(A, depth=1), found, rtol=0.05, atol=0.02)


def test_one_pixel_is_the_arc_cosine_kernel():
    A = images(5, (1, 1))
    expected = arccos_kernel(A.reshape(5, 1), depth=2)
    np.testing.assert_allclose(
        convolutional_kernel(A, filter_size=1, depth=2), expected, atol=1e-14
    )


def test_chunks_and_sizes_change_nothing(monkeypatch):
    from fastmm.grams import convolution

    A = images(6)
    expected = convolutional_kernel(A, pool=2, tangent=True)
    monkeypatch.setitem(convolution.PLANE_BYTES, "cpu", 5000)
    np.testing.assert_allclose(convolutional_kernel(A, pool=2, tangent=True), expected, rtol=1e-12)
    got = convolutional_kernel(A * 1e140, pool=2, tangent=True)
    np.testing.assert_allclose(got, expected * 1e280, rtol=1e-6)
    np.testing.assert_array_equal(convolutional_kernel(A * 0), 0)


def test_machines_take_it():
    A, y = images(20, (6, 6)), np.arange(20) % 2
    A[y == 1, 1:4, 1:4] += 1.5
    K = convolutional_kernel(A)
    options = {"depth": 2, "pool": 2, "tangent": True}
    for machine in (LSSVC(C=10.0), SVC(), KernelRidge(0.1)):
        model = clone(machine).set_params(kernel="convolutional", kernel_params=options).fit(A, y)
        given = clone(machine).set_params(kernel="precomputed")
        given.fit(convolutional_kernel(A, **options), y)
        values = "predict" if "Ridge" in type(model).__name__ else "decision_function"
        new = images(4, (6, 6), 3)
        expected = getattr(given, values)(convolutional_kernel(new, A, **options))
        np.testing.assert_allclose(getattr(model, values)(new), expected, rtol=1e-5, atol=1e-6)
    assert LSSVC(kernel="precomputed", C=100).fit(K, y).predict(K).tolist() == y.tolist()
    model = KernelRidge(1e-3, kernel="precomputed").fit(K, y)
    np.testing.assert_allclose(model.predict(K), y, atol=0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda A: convolutional_kernel(A, filter_size=2), "`filter_size` must be odd, got 2"),
        (lambda A: convolutional_kernel(A, depth=0), "`depth` must be a positive integer"),
        (lambda A: convolutional_kernel(A, pool=0), "`pool` must be a positive integer"),
        (lambda A: convolutional_kernel(A[0]), r"`X` must have shape \(images, height, width\)"),
        (lambda A: convolutional_kernel(A, A[:, 1:]), "`Y` must have shape"),
        (lambda A: convolutional_kernel(A * 1e160), "overflows float64"),
        (lambda A: convolutional_kernel(A * np.nan), "`X` contains NaN"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(images(2))
