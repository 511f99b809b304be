"""merge_patches against its definition, and as the inverse of extract_patches."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmm.image.merging import merge_patches
from fastmm.image.patches import extract_patches


def average(patches, shape, step, before, fill=np.nan):
    """Add patch after patch in float64, and divide by how many there were."""
    spatial = len(shape)
    grid, size = patches.shape[-2 * spatial : -spatial], patches.shape[-spatial:]
    batch = patches.shape[: -2 * spatial]
    total, count = np.zeros((*batch, *shape)), np.zeros(shape)
    for g in product(*map(range, grid)):
        for i in product(*map(range, size)):
            place = tuple(a * s + b - c for a, s, b, c in zip(g, step, i, before, strict=True))
            if all(0 <= p < m for p, m in zip(place, shape, strict=True)):
                total[(..., *place)] += patches[(..., *g, *i)]
                count[place] += 1
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / count, fill)


CASES = [
    ((11,), (3,), (2,), (0,)),
    ((7, 9), (3, 4), (1, 1), (0, 0)),
    ((20, 9), (3, 4), (2, 3), (2, 1)),
    ((7, 9), (2, 2), (3, 4), (0, 0)),
    ((4, 5), (4, 5), (9, 9), (0, 0)),
    ((5, 6, 7), (2, 3, 4), (1, 2, 3), (1, 0, 3)),
    ((40, 37), (16, 8), (5, 8), (3, 0)),
]


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i2", "u1", "i4", "bool"])
@pytest.mark.parametrize(("shape", "size", "step", "pad"), CASES)
def test_averages_what_overlaps(shape, size, step, pad, dtype):
    rng = np.random.default_rng(0)
    some = extract_patches(np.zeros((2, *shape), dtype), size, step=step, pad=pad)
    patches = (10 * rng.normal(9, 1, some.shape)).astype(dtype)
    got = merge_patches(patches, shape, step=step, pad=pad)
    assert got.dtype == (np.float64 if dtype in ("f8", "i4") else np.float32)
    expected = average(patches, shape, step, pad)
    tolerance = 1e-14 if got.dtype == np.float64 else 1e-7
    np.testing.assert_allclose(got, expected, rtol=tolerance)
    filled = merge_patches(patches, shape, step=step, pad=pad, fill=-7)
    np.testing.assert_array_equal(filled, np.where(np.isnan(got), -7, got))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_inverts_extract_patches_bit_by_bit(data):
    spatial = data.draw(st.integers(1, 3))
    shape = tuple(data.draw(st.integers(1, 9)) for _ in range(spatial))
    size = tuple(data.draw(st.integers(1, 6)) for _ in range(spatial))
    step = tuple(data.draw(st.integers(1, p)) for p in size)
    mode = data.draw(st.sampled_from(["edge", "reflect", "constant"]))
    dtype = data.draw(st.sampled_from(["f4", "f8", "f2", "i2", "u1", "bool", "i4"]))
    rng = np.random.default_rng(0)
    images = (rng.normal(size=(2, *shape)) * 1e3 ** rng.normal(size=shape)).clip(-6e4, 6e4)
    images = (
        (abs(images) % 256 if dtype == "u1" else images)
        .astype("i4" if dtype in "i2u1" else "f8")
        .astype(dtype)
    )
    patches = extract_patches(images, size, step=step, pad="cover", pad_mode=mode)
    got = merge_patches(patches, shape, step=step, pad="cover")
    np.testing.assert_array_equal(got, images)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_large_images_with_extreme_values_come_back(dtype):
    limits = np.finfo(dtype)
    rng = np.random.default_rng(0)
    images = np.exp(rng.uniform(np.log(limits.tiny), np.log(limits.max) / 2, (2, 130, 140)))
    images = images.astype(dtype)
    images[0, :20, :20] = limits.smallest_subnormal
    patches = extract_patches(images, (16, 12), step=(3, 5), pad="cover")
    got = merge_patches(patches, (130, 140), step=(3, 5), pad="cover")
    np.testing.assert_array_equal(got, images)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_nan_and_infinity_reach_what_their_patches_cover(dtype):
    images = np.random.default_rng(0).normal(size=(9, 11)).astype(dtype)
    images[2, 3], images[5, 5], images[8, 10] = np.nan, np.inf, -np.inf
    patches = extract_patches(images, (3, 3))
    np.testing.assert_array_equal(merge_patches(patches, (9, 11)), images)
    patches[6, 7, 0, 0] = np.inf  # one patch of the nine over that pixel
    images[6, 7] = np.inf
    np.testing.assert_array_equal(merge_patches(patches, (9, 11)), images)


def test_any_layout_and_the_input_stays():
    patches = np.random.default_rng(0).normal(size=(2, 5, 6, 3, 4))
    expected = merge_patches(patches, (7, 9))
    turned = np.asfortranarray(patches)
    turned.flags.writeable = False
    np.testing.assert_array_equal(merge_patches(turned, (7, 9)), expected)
    backwards = np.ascontiguousarray(patches[..., ::-1])[..., ::-1]
    np.testing.assert_array_equal(merge_patches(backwards, (7, 9)), expected)


def test_no_images():
    assert merge_patches(np.zeros((0, 4, 3, 2, 3)), (5, 5)).shape == (0, 5, 5)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "bool"])
def test_any_array_library(xp, dtype):
    shape, size, step, pad = (5, 6), (3, 2), (2, 3), (1, 0)
    some = extract_patches(np.zeros((2, *shape), dtype), size, step=step, pad=pad)
    patches = (10 * np.random.default_rng(0).normal(9, 1, some.shape)).astype(dtype)
    got = xp.asnumpy(merge_patches(xp.asarray(patches), shape, step=step, pad=pad))
    np.testing.assert_allclose(got, average(patches, shape, step, pad), rtol=2e-7)
    images = np.random.default_rng(0).normal(size=(2, 4, 5, 3)[: 4 if dtype == "f8" else 3])
    images = images.astype(dtype)
    patches = extract_patches(images, (2, 2), pad="cover")
    got = merge_patches(xp.asarray(patches), images.shape[-2:], pad="cover")
    np.testing.assert_array_equal(xp.asnumpy(got), images)


@pytest.mark.filterwarnings("ignore:.*invalid value:RuntimeWarning")  # of the simulator's NumPy
def test_infinity_in_any_array_library(xp):
    images = np.array([[np.inf, 1, 2], [3, np.nan, -np.inf]], "f4")
    patches = extract_patches(images, (1, 2))
    np.testing.assert_array_equal(xp.asnumpy(merge_patches(xp.asarray(patches), (2, 3))), images)


@pytest.mark.parametrize(
    ("patches", "shape", "options", "error", "message"),
    [
        (
            np.ones((4, 4, 2, 2)),
            (5, 6),
            {},
            ValueError,
            r"grid of \(4, 5\) patches of \(2, 2\) for",
        ),
        (np.ones((4, 4, 2, 2)), (5, 5), {"step": 2}, ValueError, r"grid of \(2, 2\) patches"),
        (np.ones((4, 4, 2)), (5, 5), {}, ValueError, "`patches` must have at least 4 axes"),
        (np.ones((4, 4, 2, 0)), (5, 5), {}, ValueError, "`patches` must have at least 4 axes"),
        (np.ones((4, 4, 9, 9)), (5, 5), {}, ValueError, r"patches of \(9, 9\) for images of shape"),
        (np.ones((4, 4, 2, 2)), (5, 0), {}, ValueError, r"`shape\[1\]` must be a positive integer"),
        (np.ones((4, 4, 2, 2)), (5, 5), {"step": 0}, ValueError, "`step` must be a positive"),
        (np.ones((4, 4, 2, 2)), (5, 5), {"pad": -1}, ValueError, "`pad` must be an integer of at"),
        (np.ones((4, 4, 2, 2)) * 1j, (5, 5), {}, ValueError, "Complex data not supported"),
        (None, (5, 5), {}, TypeError, "`patches` must be an array, got None"),
        (
            np.ones((4, 4, 2, 2)),
            (5, 5),
            {"fill": "no"},
            TypeError,
            "`fill` must be a finite number",
        ),
    ],
)
def test_wrong_arguments_are_named(patches, shape, options, error, message):
    with pytest.raises(error, match=message):
        merge_patches(patches, shape, **options)
