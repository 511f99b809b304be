"""extract_patches against scikit-learn, sliding windows and slices, bit by bit."""

from __future__ import annotations

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
