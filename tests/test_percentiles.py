"""normalize by percentiles, against NumPy's and scikit-image's."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from fastmm import normalize
from fastmm.image.intensity import clip_histogram

METHODS = ["zscore", "minmax"]


def by_percentiles(images, low, high):
    """Follow the definition in float64 with NumPy's percentiles, image by image."""
    images = np.asarray(images, np.float64)
    a, b = np.percentile(images, (low, high), axis=(-2, -1), keepdims=True)
    return (images - a) / (b - a)


def drawn(kind, dtype, shape=(3, 60, 70)):
    rng = np.random.default_rng(7)
    if kind == "normal":
        images = rng.normal(60, 20, shape)
    elif kind == "an outlier":
        images = rng.normal(60, 20, shape)
        images[:, 3, 4] = 60_000
    elif kind == "ties":
        images = rng.choice([0, 1, 2, 100], shape, p=[0.7, 0.1, 0.1, 0.1])
    else:  # over many orders of magnitude, where equal bins serve badly
        images = 10.0 ** rng.uniform(-30, 30, shape)
    return images.astype(dtype)


@pytest.mark.parametrize("kind", ["normal", "an outlier", "ties", "magnitudes"])
@pytest.mark.parametrize("percentiles", [(0, 100), (1, 99), (0.5, 99.5), (33.3, 50)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_percentiles_are_numpys(kind, percentiles, dtype):
    images = drawn(kind, dtype)
    low, high = np.percentile(np.asarray(images, np.float64), percentiles, axis=(1, 2))
    got = clip_histogram(images, percentiles)
    np.testing.assert_array_equal(got.min(axis=(1, 2)), low.astype(dtype))
    np.testing.assert_array_equal(got.max(axis=(1, 2)), high.astype(dtype))
    expected = np.clip(images, low.astype(dtype)[:, None, None], high.astype(dtype)[:, None, None])
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "bool", "float16"])
def test_percentiles_of_any_type(dtype):
    images = (drawn("normal", "float64") > 60) if dtype == "bool" else drawn("normal", dtype)
    images = images.astype(dtype)
    got = normalize(images, "percentile", percentiles=(0, 70))
    expected = by_percentiles(np.asarray(images, np.float64), 0, 70)
    assert got.dtype == (np.float64 if dtype == "int32" else np.float32)
    np.testing.assert_allclose(got, expected, atol=2e-6)


@pytest.mark.parametrize("pixels", [1, 2, 3, 25, 63, 1025])
def test_percentiles_of_images_of_any_size(pixels):
    images = np.random.default_rng(8).normal(size=(4, 1, pixels))
    for q in ((0, 1), (10, 90), (50, 100)):
        low, high = np.percentile(images, q, axis=(1, 2))
        got = clip_histogram(images, q)
        np.testing.assert_allclose(got.min(axis=(1, 2)), low, rtol=1e-14)
        np.testing.assert_allclose(got.max(axis=(1, 2)), high, rtol=1e-14)


def test_percentiles_equal_scikit_image():
    exposure = pytest.importorskip("skimage.exposure", reason="scikit-image is not installed")
    image = drawn("normal", "float32")[0]
    low, high = np.percentile(image, (2, 98))
    expected = exposure.rescale_intensity(image, in_range=(low, high), out_range=(0.0, 1.0))
    got = normalize(image, "percentile", percentiles=(2, 98), clip=(0, 1))
    np.testing.assert_allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_opencv_agrees(method):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    image = drawn("normal", "float32")[0]
    if method == "minmax":
        expected = cv2.normalize(image, None, 0, 1, cv2.NORM_MINMAX)
    else:
        mean, deviation = cv2.meanStdDev(image)
        expected = (image - mean[0, 0]) / deviation[0, 0]
    np.testing.assert_allclose(normalize(image, method), expected, atol=2e-6)


def test_percentiles_count_the_mask_alone(xp):
    rng = np.random.default_rng(9)
    for shape in ((3, 5, 6), (2, 9, 11)):
        images, mask = rng.normal(size=shape), rng.random(shape) > 0.4
        images[~mask] = -3024
        got = xp.asnumpy(clip_histogram(xp.asarray(images), (5, 80), mask=xp.asarray(mask)))
        for image, inside, found in zip(images, mask, got, strict=True):
            low, high = np.percentile(image[inside], (5, 80))
            np.testing.assert_allclose(found, np.clip(image, low, high), rtol=1e-14)
        normalize(xp.asarray(images), mask=xp.asarray(mask))  # launches a kernel in any case


@pytest.mark.parametrize("shape", [(3, 5, 6), (2, 12, 13)])
def test_percentile_in_any_array_library(xp, shape):
    images = np.random.default_rng(10).normal(size=shape).astype(np.float32)
    got = xp.asnumpy(normalize(xp.asarray(images), "percentile", percentiles=(5, 90)))
    np.testing.assert_allclose(got, by_percentiles(images, 5, 90), atol=2e-6)


@pytest.mark.parametrize("shape", [(3, 5, 6), (2, 12, 13)])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("method", METHODS)
def test_small_and_large_images_in_any_array_library(xp, method, dtype, shape):
    images = np.random.default_rng(11).normal(60, 20, shape).astype(dtype)
    got = xp.asnumpy(normalize(xp.asarray(images), method))
    tolerance = 1e-13 if dtype == "float64" else 2e-6
    np.testing.assert_allclose(got, naive.normalize(images, method), atol=tolerance)


def test_no_counting_pixel_leaves_a_clipped_image_as_it_is():
    images = np.random.default_rng(12).normal(size=(5, 6))
    mask = np.zeros((5, 6), bool)
    np.testing.assert_array_equal(clip_histogram(images, mask=mask), images)
    np.testing.assert_array_equal(normalize(images, "percentile", mask=mask), 0)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.7, 1e30])
def test_percentiles_of_a_constant_image(value):
    images = np.full((2, 9, 9), value, np.float32)
    np.testing.assert_array_equal(clip_histogram(images), images)
    np.testing.assert_array_equal(normalize(images, "percentile"), 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_percentiles_of_bad_pixels_are_nan_unless_masked(bad):
    images = np.random.default_rng(13).normal(size=(2, 12, 13))
    images[0, 1, 1] = bad
    for call in (clip_histogram, lambda a, **k: normalize(a, "percentile", **k)):
        got = call(images)
        assert np.isnan(got[0]).all()
        assert np.isfinite(got[1]).all()
        got = call(images, mask=np.isfinite(images))
        assert np.isfinite(got).sum() >= images.size - 1


# The simulator computes in float64, and tells of the first round's overflow when it stores.
@pytest.mark.filterwarnings("ignore:.*overflow encountered in cast")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", [*METHODS, "percentile"])
@pytest.mark.parametrize("extent", ["largest", "squares overflow", "squares vanish", "subnormal"])
def test_every_range_of_the_type_is_served(xp, method, dtype, extent):
    info = np.finfo(dtype)
    size = {
        "largest": float(info.max),
        "squares overflow": float(info.max) ** 0.7,
        "squares vanish": float(info.tiny) ** 0.7,
        "subnormal": float(info.smallest_subnormal) * 1024,
    }[extent]
    for shape in ((2, 5, 6), (2, 10, 11)):
        grid = np.random.default_rng(14).integers(-1024, 1025, shape)  # exact at any scale
        grid[0, 0, :2] = -1024, 1024
        images = (grid / 1024 * size).astype(dtype)
        assert np.isfinite(images).all()
        got = xp.asnumpy(normalize(xp.asarray(images), method))
        if method == "percentile":
            expected = by_percentiles(grid, 1, 99)
            # Between two pixels subnormal numbers have no more digits.
            tolerance = 2e-3 if extent == "subnormal" else 1e-6
        else:
            expected, tolerance = naive.normalize(grid, method), 1e-6
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)
    normalize(xp.asarray(images))  # launches a kernel in any case


@pytest.mark.parametrize("method", [*METHODS, "percentile"])
def test_a_batch_shares_its_statistics(xp, method):
    images = np.random.default_rng(15).normal(60, 20, (3, 9, 10)).astype(np.float32)
    got = xp.asnumpy(normalize(xp.asarray(images), method, per="batch"))
    one = images.reshape(1, 1, -1)
    expected = (
        by_percentiles(one, 1, 99) if method == "percentile" else naive.normalize(one, method)
    )
    np.testing.assert_allclose(got, expected.reshape(images.shape), atol=2e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_volume_is_one_image(method):
    volumes = np.random.default_rng(16).normal(60, 20, (2, 70, 60, 50)).astype(np.float32)
    got = normalize(volumes, method, spatial=3)
    expected = naive.normalize(volumes.reshape(2, 1, -1), method).reshape(volumes.shape)
    np.testing.assert_allclose(got, expected, atol=2e-6)
    got = normalize(volumes, method, spatial=3, mask=np.ones(volumes.shape[1:], bool))
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_many_images_in_one_read_equal_few_in_parts():
    images = np.random.default_rng(17).normal(1e3, 1, (17, 100, 90)).astype(np.float32)
    together = normalize(images)
    for image, got in zip(images, together, strict=True):
        np.testing.assert_allclose(got, naive.normalize(image), atol=2e-6)


def test_an_outlier_in_the_first_pixel_costs_nothing():
    images = np.random.default_rng(18).normal(0, 1, (400, 500))
    images[0, 0] = 1e6
    np.testing.assert_allclose(normalize(images), naive.normalize(images), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("method", [*METHODS, "percentile"])
def test_clip_cuts_and_keeps_nan(method):
    images = np.random.default_rng(19).normal(size=(2, 12, 13))
    images[1, 0, 0] = np.nan
    got = normalize(images, method, clip=(-0.5, 0.75))
    np.testing.assert_array_equal(got[0], np.clip(normalize(images[0], method), -0.5, 0.75))
    assert np.isnan(got[1]).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"per": "slice"}, ValueError, '`per` must be one of "image", "batch"'),
        ({"spatial": 4}, ValueError, "`spatial` must be 1, 2 or 3, got 4"),
        ({"spatial": 3}, ValueError, r"at least 3 axes, got shape \(3, 3\)"),
        ({"percentiles": 5}, TypeError, r"`percentiles` must be \(low, high\), got 5"),
        ({"percentiles": (5, 5)}, ValueError, r"`percentiles\[1\]` must be .* greater than 5"),
        ({"percentiles": (-1, 5)}, ValueError, r"`percentiles\[0\]` must be .* at least 0"),
        ({"percentiles": (1, 101)}, ValueError, "between 0 and 100, got 101"),
        ({"clip": 1}, TypeError, r"`clip` must be \(low, high\) or None, got 1"),
        ({"clip": (1, 0)}, ValueError, r"`clip\[1\]` must be .* greater than 1"),
    ],
)
def test_normalize_names_wrong_options(options, error, message):
    with pytest.raises(error, match=message):
        normalize(np.eye(3), **options)
