"""extract_patches against scikit-learn, sliding windows and slices, bit by bit."""

from __future__ import annotations

import os

import naive
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.feature_extraction.image import extract_patches_2d

from fastmm import extract_patches

DTYPES = ["bool", *(f"{k}{n}" for k in "iu" for n in (1, 2, 4, 8)), "f2", "f4", "f8"]


def draw(dtype, shape):
    """Return random bits of that dtype: every NaN payload and denormal may come up."""
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(0)
    if dtype.kind == "b":
        return rng.random(shape) > 0.5
    count = int(np.prod(shape)) * dtype.itemsize
    return np.frombuffer(rng.bytes(count), dtype).reshape(shape).copy()


def assert_same_bits(got, expected):
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (2, 7), (9, 8)])
def test_equals_scikit_learn(size):
    image = draw("f4", (9, 8))
    expected = extract_patches_2d(np.nan_to_num(image), size)
    got = extract_patches(np.nan_to_num(image)[None], size).reshape(-1, *size)
    assert_same_bits(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_pass_through_unchanged(dtype):
    images = draw(dtype, (2, 7, 9))
    windows = sliding_window_view(images, (3, 4), axis=(1, 2))
    assert_same_bits(extract_patches(images, (3, 4)), np.ascontiguousarray(windows))


@pytest.mark.parametrize(
    ("shape", "size", "step"),
    [
        ((11,), (3,), 2),
        ((2, 11), (3,), (4,)),
        ((7, 9), (3, 4), 3),
        ((2, 7, 9), (2, 5), (3, 2)),
        ((7, 9), (7, 9), 5),
        ((5, 6, 7), (2, 3, 4), (1, 2, 3)),
        ((2, 5, 6, 7), (5, 1, 2), 2),
        ((2, 3, 4, 5, 6), (2, 2, 2), 1),
    ],
)
def test_steps_along_one_two_and_three_axes(shape, size, step):
    images = draw("i2", shape)
    spatial = len(size)
    steps = (step,) * spatial if isinstance(step, int) else step
    axes = tuple(range(len(shape) - spatial, len(shape)))
    windows = sliding_window_view(images, size, axis=axes)
    every = (slice(None),) * (len(shape) - spatial) + tuple(slice(None, None, s) for s in steps)
    got = extract_patches(images, size, step=step)
    assert_same_bits(got, np.ascontiguousarray(windows[every]))
    assert_same_bits(got, naive.extract_patches(images, size, steps))


def test_large_results_take_the_parallel_build():
    images = draw("u2", (3, 70, 65))
    windows = sliding_window_view(images, (8, 8), axis=(1, 2))[:, ::3, ::2]
    assert_same_bits(extract_patches(images, (8, 8), step=(3, 2)), np.ascontiguousarray(windows))


def cover(shape, size, step):
    """Add the fewest pixels that let whole patches reach every pixel, half of them before."""
    pads = []
    for m, p, s in zip(shape, size, step, strict=True):
        padded = max(m, p)
        while (padded - p) % s:
            padded += 1
        pads.append(((padded - m) // 2, padded - m - (padded - m) // 2))
    return pads


@pytest.mark.parametrize("mode", ["edge", "reflect", "constant"])
@pytest.mark.parametrize(
    ("shape", "size", "step", "pad"),
    [
        ((11,), (3,), (2,), 4),
        ((2, 11), (20,), (3,), "cover"),
        ((7, 9), (3, 4), (3, 2), "cover"),
        ((2, 7, 9), (2, 5), (3, 1), [(0, 3), 2]),
        ((1, 1), (3, 5), (1, 2), [4, (9, 0)]),
        ((2, 3), (9, 9), (4, 4), 20),
        ((2, 5, 6, 7), (3, 4, 2), (2, 3, 1), "cover"),
        ((5, 6, 7), (5, 9, 7), (2, 3, 1), [(1, 0), (2, 3), 0]),
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_borders_are_those_of_numpy_pad(shape, size, step, pad, mode, dtype):
    images = draw(dtype, shape)
    spatial = shape[-len(size) :]
    sides = cover(spatial, size, step) if pad == "cover" else pad
    if isinstance(sides, int):
        sides = [sides] * len(size)
    sides = [(s, s) if isinstance(s, int) else s for s in sides]
    padded = np.pad(images, [(0, 0)] * (len(shape) - len(size)) + sides, mode=mode)
    got = extract_patches(images, size, step=step, pad=pad, pad_mode=mode)
    assert_same_bits(got, naive.extract_patches(padded, size, step))


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 9, 4), (3, 8, 8), (7, 3, 33), (2, 2, 40)])
def test_large_results_of_every_width_of_patches(size):
    images = draw("u2", (2, 20, 30, 80))
    windows = sliding_window_view(images, size, axis=(1, 2, 3))[:, ::3, ::2]
    assert_same_bits(extract_patches(images, size, step=(3, 2, 1)), np.ascontiguousarray(windows))


@pytest.mark.parametrize("dtype", ["i2", "u1", "f2", "f4", "f8", "bool"])
def test_the_value_of_constant_borders(dtype):
    value = {"i2": -1000, "u1": 255, "bool": True}.get(dtype, -1000.5)
    images = draw(dtype, (3, 4))
    padded = np.pad(images, 1, constant_values=np.array(value, dtype))
    got = extract_patches(images, (3, 3), pad=1, pad_mode="constant", pad_value=value)
    assert_same_bits(got, naive.extract_patches(padded, (3, 3), (1, 1)))


def test_nan_may_pad_floats():
    got = extract_patches(np.ones((1, 1)), (3, 3), pad=1, pad_mode="constant", pad_value=np.nan)
    assert np.isnan(got).sum() == 8


@pytest.mark.parametrize("mode", ["edge", "reflect", "constant"])
def test_borders_in_any_array_library(xp, mode):
    images = draw("f4", (2, 3, 4))
    padded = np.pad(images, [(0, 0), (2, 1), (5, 0)], mode=mode)
    got = extract_patches(xp.asarray(images), (3, 2), step=2, pad=[(2, 1), (5, 0)], pad_mode=mode)
    assert_same_bits(xp.asnumpy(got), naive.extract_patches(padded, (3, 2), (2, 2)))


def free_memory():
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_more_elements_than_32_bits_count():
    if free_memory() < 7 << 30:
        pytest.skip("the patches of a whole CT need 4 GB, with as much again free")
    rng = np.random.default_rng(0)
    volume = rng.integers(0, 256, (300, 512, 512), np.uint8)
    got = extract_patches(volume, (32, 32, 32), step=8)
    assert got.shape == (34, 61, 61, 32, 32, 32)
    assert got.size > 2**31
    for place in [(0, 0, 0), (33, 60, 60), (33, 60, 0), (17, 31, 5), *rng.integers(0, 34, (50, 3))]:
        corner = tuple(slice(8 * i, 8 * i + 32) for i in place)
        np.testing.assert_array_equal(got[tuple(place)], volume[corner])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_sizes_and_steps(data):
    spatial = data.draw(st.integers(1, 3))
    sizes = [data.draw(st.integers(1, 5)) for _ in range(spatial)]
    shape = [p + data.draw(st.integers(0, 5)) for p in sizes]
    step = [data.draw(st.integers(1, 7)) for _ in range(spatial)]
    images = draw("u1", (2, *shape))
    got = extract_patches(images, sizes, step=step)
    assert_same_bits(got, naive.extract_patches(images, sizes, step))


def test_a_step_without_end_leaves_the_first_patch():
    images = draw("u1", (4, 4))
    assert_same_bits(extract_patches(images, (2, 2), step=2**40), images[None, None, :2, :2])


def test_no_images_give_no_patches():
    assert extract_patches(np.zeros((0, 5, 5)), (2, 3)).shape == (0, 4, 3, 2, 3)


def test_patches_do_not_share_memory_with_the_image():
    images = np.zeros((4, 4))
    assert not np.shares_memory(extract_patches(images, (4, 4)), images)


def test_any_array_library(xp):
    shape, size = ((2, 3, 6), (2, 3)) if xp.small else ((2, 17, 19), (5, 4))
    for dtype in DTYPES:
        images = draw(dtype, shape)
        got = xp.asnumpy(extract_patches(xp.asarray(images), size, step=(1, 2)))
        assert_same_bits(got, naive.extract_patches(images, size, (1, 2)))


@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(size=st.tuples(*[st.integers(1, 2)] * 3), step=st.tuples(*[st.integers(1, 2)] * 3))
def test_volumes_in_any_array_library(xp, size, step):
    volumes = draw("i2", (2, 3, 4, 3))
    got = xp.asnumpy(extract_patches(xp.asarray(volumes), size, step=step))
    assert_same_bits(got, naive.extract_patches(volumes, size, step))


@pytest.mark.parametrize(
    ("images", "size", "step", "error", "message"),
    [
        (np.eye(5), (6, 2), 1, ValueError, r"patches of \(6, 2\) for `images` of shape \(5, 5\)"),
        (np.ones(5), (2, 2), 1, ValueError, r"patches of \(2, 2\) for `images` of shape \(5,\)"),
        (np.eye(5), (2, 0), 1, ValueError, r"`patch_size\[1\]` must be a positive integer, got 0"),
        (np.eye(5), (2, -3), 1, ValueError, r"`patch_size\[1\]` must be a positive integer"),
        (np.eye(5), 2, 1, TypeError, r"`patch_size` must be 1 or 2 or 3 positive integers, got 2"),
        (np.eye(5), (), 1, ValueError, r"`patch_size` must be 1 or 2 or 3 positive integers"),
        (np.eye(5), (2, 2), 0, ValueError, r"`step` must be a positive integer, got 0\."),
        (np.eye(5), (2, 2), -1, ValueError, r"`step` must be a positive integer, got -1\."),
        (np.eye(5), (2, 2), 1.5, TypeError, r"`step` must be a positive integer, got 1\.5\."),
        (np.eye(5), (2, 2), True, TypeError, r"`step` must be a positive integer, got True\."),
        (np.eye(5), (2, 2), (1, 0), ValueError, r"`step\[1\]` must be a positive integer, got 0"),
        (np.eye(5), (2, 2), (1, 1, 1), ValueError, r"`step` must be 2 positive integers"),
        (np.eye(5) * 1j, (2, 2), 1, ValueError, "Complex data not supported"),
        (None, (2, 2), 1, TypeError, "`images` must be an array, got None"),
    ],
)
def test_wrong_arguments_are_named(images, size, step, error, message):
    with pytest.raises(error, match=message):
        extract_patches(images, size, step=step)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pad": -1}, ValueError, "`pad` must be an integer of at least 0, got -1"),
        ({"pad": 1.5}, TypeError, "`pad` must be an integer of at least 0, got 1.5"),
        ({"pad": "same"}, ValueError, "`pad` must be \"cover\" or numbers of pixels, got 'same'"),
        ({"pad": (1, 2, 3)}, ValueError, "`pad` must have one entry for each of the 2 axes"),
        ({"pad": (1, (1, 2, 3))}, ValueError, r"`pad\[1\]` must be a number of pixels or \(before"),
        ({"pad": (1, (1, -2))}, ValueError, r"`pad\[1\]\[1\]` must be an integer of at least 0"),
        ({"pad_mode": "wrap"}, ValueError, '`pad_mode` must be one of "constant", "edge"'),
        ({"pad_value": 1.5}, ValueError, "`pad_value` must be a number that int16 holds, got 1.5"),
        ({"pad_value": 40000}, ValueError, "`pad_value` must be a number that int16 holds"),
        ({"pad_value": np.nan}, ValueError, "`pad_value` must be a number that int16 holds"),
        ({"pad_value": "air"}, ValueError, "`pad_value` must be a number that int16 holds"),
    ],
)
def test_wrong_borders_are_named(options, error, message):
    with pytest.raises(error, match=message):
        extract_patches(np.ones((5, 5), "i2"), (2, 2), **options)


def test_a_patch_must_fit_into_the_padded_image():
    with pytest.raises(ValueError, match=r"patches of \(6, 2\) for `images` of shape \(3, 3\)"):
        extract_patches(np.ones((3, 3)), (6, 2), pad=1)
    with pytest.raises(ValueError, match=r"patches of \(1, 1\) for `images` of shape \(0, 3\)"):
        extract_patches(np.ones((0, 3)), (1, 1), pad=1)
