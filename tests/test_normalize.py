"""normalize image by image, against a plain loop."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from fastmm import normalize, window

METHODS = ["zscore", "minmax"]


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


def test_any_array_library(xp):
    rng = np.random.default_rng(6)
    images, mask = rng.normal(40, 100, (2, 9, 8)).astype(np.float32), rng.random((9, 8)) > 0.3
    there = xp.asarray(images)
    np.testing.assert_allclose(
        xp.asnumpy(window(there, 40, 400)), naive.window(images, 40, 400), atol=1e-6
    )
    for method in METHODS:
        np.testing.assert_allclose(
            xp.asnumpy(normalize(there, method)), naive.normalize(images, method), atol=2e-6
        )
        np.testing.assert_allclose(
            xp.asnumpy(normalize(there, method, mask=xp.asarray(mask))),
            naive.normalize(images, method, mask),
            atol=2e-6,
        )


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (np.ones(3), {}, ValueError, r"at least 2 axes, got shape \(3,\)"),
        (np.ones((2, 0, 3)), {}, ValueError, r"must hold pixels, got shape \(2, 0, 3\)"),
        (
            np.eye(3),
            {"method": "l2"},
            ValueError,
            '`method` must be one of "zscore", "minmax", "percentile"',
        ),
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
