"""window against the formula of DICOM."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from fastmm import window


@pytest.mark.parametrize(
    ("center", "width"), [(-600, 1500), (40, 400), (400, 1800), (0.5, 1), (127.3, 33.7)]
)
@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8", "float16", "float32", "float64"])
def test_window_is_linear_exact_of_dicom(dtype, center, width):
    low, high = (0, 255) if dtype == "uint8" else (-1024, 3071)
    if dtype == "uint16":
        low, high = 0, 4095
    images = np.linspace(low, high, 513).astype(dtype)
    got = window(images, center, width)
    assert got.dtype == (np.float64 if dtype == "float64" else np.float32)
    tolerance = 1e-12 if dtype == "float64" else 2e-7 * (1 + 4096 / width)
    np.testing.assert_allclose(got, naive.window(images, center, width), rtol=0, atol=tolerance)


def test_window_of_stored_integers_is_exact_where_float32_is():
    images = np.arange(-1024, 3072, dtype=np.int16)
    expected = naive.window(images, 40, 256)
    np.testing.assert_array_equal(window(images, 40, 256), expected.astype(np.float32))


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_window_of_wide_integers_is_float64(dtype):
    images = np.array([0, 1000, 2**31 - 1], dtype)
    got = window(images, 2**30, 2**31)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, naive.window(images, 2**30, 2**31), rtol=1e-15)


def test_window_keeps_nan_and_clips_infinity():
    got = window(np.array([np.nan, -np.inf, np.inf], np.float32), 0, 2)
    np.testing.assert_array_equal(got, np.array([np.nan, 0, 1], np.float32))


def test_windows_far_from_zero_stay_exact():
    images = (16_000_000 + np.arange(0, 64, dtype=np.float32)).astype(np.float32)
    np.testing.assert_array_equal(
        window(images, 16_000_032, 64), (np.arange(64) / 64).astype(np.float32)
    )


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (2, 3, 4, 5)])
def test_window_takes_any_shape(shape):
    assert window(np.ones(shape, np.float32), 0, 2).shape == shape


@pytest.mark.parametrize(
    ("center", "width", "error", "message"),
    [
        (0, 0.999, ValueError, r"`width` must be a finite number of at least 1, got 0\.999\."),
        (0, 0, ValueError, "`width` must be"),
        (0, -5, ValueError, "`width` must be"),
        (0, np.nan, ValueError, "`width` must be"),
        (np.inf, 5, ValueError, "`center` must be a finite number, got inf"),
        (0, 10**400, ValueError, "`width` must be .* beyond float64"),
        ("40", 5, TypeError, "`center` must be"),
        (0, None, TypeError, "`width` must be"),
        (True, 5, TypeError, "`center` must be"),
    ],
)
def test_window_names_wrong_arguments(center, width, error, message):
    with pytest.raises(error, match=message):
        window(np.eye(3), center, width)
