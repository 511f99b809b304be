"""resize against OpenCV, PyTorch, SciPy and a plain loop, for every dtype and layout of axes."""

from __future__ import annotations

import cv2
import naive
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from resize_cases import draw, largest
from scipy import ndimage

from fastmm import resize

DTYPES = ["float32", "float64", "float16", "uint8", "int8", "int16", "uint16", "bool"]
WIDE = ["int32", "uint32", "int64", "uint64"]
# (before, after): down, up, mixed, by no whole number, to one, from one, nothing to do.
SIZES = [
    ((24, 20), (12, 10)),
    ((12, 10), (30, 25)),
    ((12, 25), (30, 7)),
    ((17, 23), (13, 29)),
    ((9, 11), (1, 1)),
    ((1, 1), (4, 3)),
    ((1, 9), (5, 9)),
    ((11, 9), (11, 9)),
    ((11, 9), (11, 4)),
    ((37, 41), (36, 40)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_equals_opencv(dtype, before, after):
    images = draw(dtype, (2, *before))
    got = resize(images, after)
    work = np.float64 if dtype == "float64" else np.float32
    expected = np.stack(
        [cv2.resize(i.astype(work), after[::-1], interpolation=cv2.INTER_LINEAR) for i in images]
    )
    assert got.dtype == work
    assert got.shape == (2, *after)
    assert np.abs(got - expected).max() <= 2e-6 * largest(images)


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_float64_equals_the_plain_loop(before, after):
    images = draw("float64", before)
    np.testing.assert_allclose(
        resize(images, after), naive.resize(images, after), rtol=0, atol=2e-14 * largest(images)
    )


@pytest.mark.parametrize("dtype", WIDE)
def test_wide_integers_become_float64(dtype):
    images = draw(dtype, (7, 9))
    got = resize(images, (5, 12))
    expected = naive.resize(images, (5, 12))
    assert got.dtype == np.float64
    assert np.abs(got - expected).max() <= 2e-14 * largest(images)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((4, 6, 5), (7, 3, 8)),
        ((5, 4, 6), (1, 1, 1)),
        ((1, 4, 6), (3, 4, 6)),
        ((6, 5, 4), (3, 5, 4)),
        ((3, 5, 7), (3, 5, 7)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_volumes_equal_the_plain_loop_and_scipy(dtype, before, after):
    volumes = draw(dtype, (2, *before))
    got = resize(volumes, after)
    axes = [(np.arange(n) + 0.5) * m / n - 0.5 for m, n in zip(before, after, strict=True)]
    places = np.meshgrid(*axes, indexing="ij")
    expected = [
        ndimage.map_coordinates(v.astype(np.float64), places, order=1, mode="nearest")
        for v in volumes
    ]
    scale = (1e-14 if dtype == "float64" else 1e-6) * largest(volumes)
    assert np.abs(got - naive.resize(volumes, after)).max() <= scale
    assert np.abs(got - np.stack(expected)).max() <= scale


@pytest.mark.parametrize("shape", [(13, 29), (40, 31), (1, 1), (6, 31, 20)])
def test_equals_pytorch(shape):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images = draw("float32", (2, 3, *(8, 21, 24)[-len(shape) :]))
    mode = {2: "bilinear", 3: "trilinear"}[len(shape)]
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(images), shape, mode=mode, align_corners=False
    )
    assert np.abs(resize(images, shape) - expected.numpy()).max() <= 1e-4 * largest(images)


def test_large_images_take_the_parallel_build():
    images = draw("int16", (3, 200, 180))
    expected = [cv2.resize(i.astype(np.float32), (260, 150)) for i in images]
    np.testing.assert_allclose(
        resize(images, (150, 260)), np.stack(expected), rtol=0, atol=2e-6 * largest(images)
    )


@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 3), (2, 1, 2), (0,), (2, 0)])
def test_every_axis_before_the_spatial_ones_is_batch(batch):
    images = draw("float32", (*batch, 6, 7))
    got = resize(images, (3, 9))
    assert got.shape == (*batch, 3, 9)
    for n in np.ndindex(batch):
        np.testing.assert_array_equal(got[n], resize(images[n], (3, 9)))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(*[st.integers(1, 40)] * 4),
    st.floats(-1e6, 1e6, width=32),
)
def test_a_constant_stays_constant_exactly(sizes, value):
    images = np.full(sizes[:2], value, np.float32)
    np.testing.assert_array_equal(resize(images, sizes[2:]), np.float32(value))


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 12)] * 4), st.integers(0, 99))
def test_any_size_to_any_size(sizes, seed):
    images = draw("float64", sizes[:2], seed)
    np.testing.assert_allclose(
        resize(images, sizes[2:]), naive.resize(images, sizes[2:]), rtol=0, atol=1e-11
    )


def test_the_last_row_and_column_are_right():
    images = draw("float32", (30, 31))
    for shape in ((60, 62), (29, 30), (31, 32), (100, 100)):
        expected = naive.resize(images, shape)
        got = resize(images, shape)
        assert np.abs(got[-1] - expected[-1]).max() <= 1e-6 * largest(images)
        assert np.abs(got[:, -1] - expected[:, -1]).max() <= 1e-6 * largest(images)


def test_the_same_size_is_an_exact_copy():
    images = draw("float32", (5, 6))
    images[0, 0], images[1, 1], images[2, 2] = np.nan, np.inf, -0.0
    got = resize(images, (5, 6))
    np.testing.assert_array_equal(got.view(np.uint32), images.view(np.uint32))
    assert not np.shares_memory(got, images)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_pixels_spoil_only_what_they_touch(bad):
    images = np.zeros((8, 8), np.float32)
    images[2, 2] = bad
    touched = np.zeros((4, 4), bool)
    touched[1, 1] = True
    np.testing.assert_array_equal(~np.isfinite(resize(images, (4, 4))), touched)


def test_any_array_library(xp):
    before, after = ((3, 4), (2, 5)) if xp.small else ((31, 45), (20, 64))
    for dtype in ("float32", "float64", "int16", "uint8", "bool", "float16", "uint32"):
        images = draw(dtype, (2, *before))
        got = xp.asnumpy(resize(xp.asarray(images), after))
        assert np.abs(got - naive.resize(images, after)).max() <= 1e-6 * largest(images)


def test_volumes_in_any_array_library(xp):
    before, after = ((2, 3, 2), (3, 2, 2)) if xp.small else ((9, 17, 12), (14, 10, 13))
    volumes = draw("float32", (2, *before))
    got = xp.asnumpy(resize(xp.asarray(volumes), after))
    assert np.abs(got - naive.resize(volumes, after)).max() <= 1e-6 * largest(volumes)


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.tuples(*[st.integers(1, 4)] * 4))
def test_any_size_in_any_array_library(xp, sizes):
    if sizes[:2] == sizes[2:]:
        sizes = (*sizes[:3], sizes[3] + 1)  # so that a kernel has to run
    images = draw("float32", (2, *sizes[:2]))
    got = xp.asnumpy(resize(xp.asarray(images), sizes[2:]))
    assert np.abs(got - naive.resize(images, sizes[2:])).max() <= 1e-6 * largest(images)


@pytest.mark.parametrize(
    ("images", "shape", "options", "error", "message"),
    [
        (np.eye(3), 5, {}, TypeError, r"`shape` must be 2 or 3 positive integers, got 5\."),
        (np.eye(3), (5,), {}, ValueError, r"`shape` must be 2 or 3 positive integers, got \(5,\)"),
        (np.eye(3), (0, 5), {}, ValueError, r"`shape\[0\]` must be a positive integer, got 0\."),
        (np.eye(3), (5, -1), {}, ValueError, r"`shape\[1\]` must be a positive integer, got -1\."),
        (np.eye(3), (2.0, 2), {}, TypeError, r"`shape\[0\]` must be a positive integer, got 2\.0"),
        (np.eye(3), (2, 2, 2), {}, ValueError, r"at least 3 axes .* got shape \(3, 3\)"),
        (np.ones(3), (2, 2), {}, ValueError, r"at least 2 axes .* got shape \(3,\)"),
        (np.ones((2, 0, 3)), (2, 2), {}, ValueError, r"not empty, got shape \(2, 0, 3\)"),
        (np.eye(3), (2, 2), {"interpolation": "spline"}, ValueError, r"`interpolation` must be"),
        (np.eye(3), (2, 2), {"interpolation": 1}, TypeError, r"`interpolation` must be"),
        (np.eye(3) * 1j, (2, 2), {}, ValueError, "Complex data not supported"),
        (np.array([["a"]]), (2, 2), {}, TypeError, "`images` must hold real numbers"),
        (None, (2, 2), {}, TypeError, "`images` must be an array, got None"),
    ],
)
def test_wrong_arguments_are_named(images, shape, options, error, message):
    with pytest.raises(error, match=message):
        resize(images, shape, **options)
