"""window against DICOM's formula, normalize against an image-by-image loop."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from fastmm import normalize, window

METHODS = ["zscore", "minmax"]


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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "bool", "float16", "float32", "float64"])
def test_normalize_equals_the_loop(method, dtype):
    images = np.random.default_rng(0).normal(60, 20, (2, 3, 17, 19)).astype(dtype)
    images[0, 0, 0, 0] = 0
    got = normalize(images, method)
    assert got.dtype == (np.float64 if dtype == "float64" else np.float32)
    tolerance = 1e-13 if dtype == "float64" else 2e-6
    np.testing.assert_allclose(got, naive.normalize(images, method), rtol=0, atol=tolerance)


def test_normalize_does_not_overflow_small_integers():
    images = np.array([[[0, 255], [255, 254]], [[-128, 127], [0, 1]]], np.int16)
    for dtype, image in (("uint8", images[0]), ("int8", images[1])):
        np.testing.assert_allclose(
            normalize(image.astype(dtype)), naive.normalize(image), rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("method", METHODS)
def test_a_large_mean_costs_float32_nothing(method):
    images = np.random.default_rng(1).normal(1e4, 1, (3, 32, 32)).astype(np.float32)
    np.testing.assert_allclose(
        normalize(images, method), naive.normalize(images, method), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.7, 1 / 3, 1e4 + 0.1, 1e30, 1e-30])
def test_a_constant_image_becomes_zero(method, dtype, value):
    images = np.full((2, 100, 101), value, dtype)
    np.testing.assert_array_equal(normalize(images, method), 0)


def test_one_pixel_that_differs_in_its_last_bit_is_no_constant():
    images = np.ones((8, 8), np.float64)
    images[0, 0] = np.nextafter(1.0, 2.0)
    got = normalize(images, "minmax")
    assert got[0, 0] == 1
    assert np.all(got.ravel()[1:] == 0)


@pytest.mark.parametrize("method", METHODS)
def test_only_pixels_of_the_mask_count(method):
    rng = np.random.default_rng(2)
    images = rng.normal(1e4, 1, (3, 12, 13)).astype(np.float32)
    mask = rng.random((3, 12, 13)) > 0.4
    images[~mask] = -3024  # padding
    got = normalize(images, method, mask=mask)
    expected = naive.normalize(images, method, mask)
    np.testing.assert_allclose(got[mask], expected[mask], rtol=0, atol=2e-6)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_one_mask_serves_all_images(method):
    rng = np.random.default_rng(3)
    images, mask = rng.normal(size=(4, 5, 6)), rng.random((5, 6)) > 0.3
    np.testing.assert_allclose(
        normalize(images, method, mask=mask), naive.normalize(images, method, mask), atol=1e-13
    )


@pytest.mark.parametrize("method", METHODS)
def test_an_image_without_counting_pixels_becomes_zero(method):
    images = np.random.default_rng(4).normal(size=(2, 5, 6))
    mask = np.zeros((2, 5, 6), bool)
    mask[1] = True
    got = normalize(images, method, mask=mask)
    np.testing.assert_array_equal(got[0], 0)
    np.testing.assert_allclose(got[1], naive.normalize(images[1], method), atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_image_with_bad_pixels_becomes_nan_and_no_other(method, bad):
    images = np.random.default_rng(5).normal(size=(2, 5, 6))
    images[0, 1, 1] = bad
    got = normalize(images, method)
    assert np.isnan(got[0]).all()
    np.testing.assert_allclose(got[1], naive.normalize(images[1], method), atol=1e-13)


def test_an_image_of_infinities_is_no_constant():
    assert np.isnan(normalize(np.full((3, 3), np.inf))).all()


def test_any_array_library(xp_any):
    rng = np.random.default_rng(6)
    images, mask = rng.normal(40, 100, (2, 9, 8)).astype(np.float32), rng.random((9, 8)) > 0.3
    there = xp_any.asarray(images)
    np.testing.assert_allclose(
        xp_any.asnumpy(window(there, 40, 400)), naive.window(images, 40, 400), atol=1e-6
    )
    for method in METHODS:
        np.testing.assert_allclose(
            xp_any.asnumpy(normalize(there, method)), naive.normalize(images, method), atol=2e-6
        )
        np.testing.assert_allclose(
            xp_any.asnumpy(normalize(there, method, mask=xp_any.asarray(mask))),
            naive.normalize(images, method, mask),
            atol=2e-6,
        )


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (np.ones(3), {}, ValueError, r"at least 2 axes, got shape \(3,\)"),
        (np.ones((2, 0, 3)), {}, ValueError, r"must hold pixels, got shape \(2, 0, 3\)"),
        (np.eye(3), {"method": "l2"}, ValueError, '`method` must be one of "zscore", "minmax"'),
        (np.eye(3), {"mask": np.ones(4)}, ValueError, r"`mask` must broadcast .*\(4,\).*\(3, 3\)"),
        (np.eye(3) * 1j, {}, ValueError, "Complex data not supported"),
        (None, {}, TypeError, "`images` must be an array, got None"),
    ],
)
def test_normalize_names_wrong_arguments(images, options, error, message):
    with pytest.raises(error, match=message):
        normalize(images, **options)


def test_no_images_give_no_images():
    assert normalize(np.zeros((0, 4, 4))).shape == (0, 4, 4)
