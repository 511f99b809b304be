"""denoise and equalize against the libraries, one image after the other."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from harness import run_python

from fastmm.image.filters import denoise, equalize

METHODS = ["median", "gaussian", "tv"]


def draw(shape=(3, 40, 50), dtype="float32"):
    return np.random.default_rng(0).normal(60, 20, shape).astype(dtype)


def by_skimage(image, method, **options):
    from skimage import filters, restoration

    if method == "median":
        return filters.median(image, np.ones((options.get("size", 3),) * image.ndim))
    if method == "gaussian":
        return filters.gaussian(image, options.get("sigma", 1.0), preserve_range=True)
    return restoration.denoise_tv_chambolle(image, options.get("weight", 0.1))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("median", {}),
        ("median", {"size": 5}),
        ("gaussian", {}),
        ("gaussian", {"sigma": 2.5}),
        ("tv", {}),
        ("tv", {"weight": 20.0}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equals_scikit_image_image_by_image(method, options, dtype):
    images = draw(dtype=dtype)
    got = denoise(images, method, **options)
    assert got.dtype == dtype
    expected = np.stack([by_skimage(image, method, **options) for image in images])
    np.testing.assert_allclose(got, expected, rtol=1e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_volumes_and_many_images_on_threads(method):
    images = draw((3, 30, 20, 25))
    got = denoise(images, method, spatial=3)
    for volume, found in zip(images, got, strict=True):
        np.testing.assert_allclose(found, by_skimage(volume, method), rtol=1e-6)
    assert denoise(images, method).shape == images.shape


@pytest.mark.parametrize(("method", "size"), [("median", 3), ("median", 5), ("gaussian", None)])
def test_opencv_agrees(method, size):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    image = draw()[0]
    if method == "median":
        got, expected = denoise(image, size=size), cv2.medianBlur(image, size)
    else:
        got = denoise(image, "gaussian")
        expected = cv2.GaussianBlur(image, (9, 9), 1.0, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_equalize_equals_scikit_image():
    from skimage import exposure

    images = draw()
    got = equalize(images, clip_limit=0.02, tile=10)
    assert got.dtype == np.float32
    assert got.min() >= 0
    assert got.max() <= 1
    for image, found in zip(images.astype(np.float64), got, strict=True):
        scaled = (image - image.min()) / (image.max() - image.min())
        expected = exposure.equalize_adapthist(scaled, 10, 0.02)
        np.testing.assert_allclose(found, expected, atol=1e-4)  # its grey levels


def test_equalize_does_not_depend_on_location_and_scale():
    images = draw(dtype="float64")
    np.testing.assert_allclose(equalize(images), equalize(images * 8 - 1024), atol=1e-4)
    wide = images / np.abs(images).max() * np.finfo("float64").max
    np.testing.assert_allclose(equalize(images), equalize(wide), atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "bool", "float16", "int32"])
@pytest.mark.parametrize("method", METHODS)
def test_integers_become_floats_first(method, dtype):
    images = (draw() > 60).astype(dtype) if dtype == "bool" else draw(dtype=dtype)
    wide = images.astype("float64" if dtype == "int32" else "float32")
    got = denoise(images, method)
    assert got.dtype == wide.dtype
    np.testing.assert_array_equal(got, denoise(wide, method))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1024.3, 1e30])
def test_a_constant_image_stays(dtype, value):
    images = np.full((2, 9, 8), value, dtype)
    images[1] = draw((9, 8))
    for method in METHODS:
        got = denoise(images, method)
        np.testing.assert_array_equal(got[0], images[0])
        np.testing.assert_allclose(got[1], denoise(images[1], method))
    got = equalize(images)
    np.testing.assert_array_equal(got[0], 0)
    assert got[1].max() > 0.5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_image_with_bad_pixels_becomes_nan_and_no_other(bad):
    images = draw((2, 9, 8))
    images[0, 2, 2] = bad
    for call in (denoise, equalize, lambda a: denoise(a, "tv"), lambda a: denoise(a, "gaussian")):
        got = call(images)
        assert np.isnan(got[0]).all()
        np.testing.assert_allclose(got[1], call(images[1]))


@pytest.mark.parametrize("last", [3, 4])
def test_a_narrow_volume_is_no_colour_picture(last):
    volume = draw((9, 8, last))
    turned = equalize(volume.transpose(2, 0, 1), spatial=3).transpose(1, 2, 0)
    np.testing.assert_allclose(equalize(volume, spatial=3), turned, atol=1e-6)


@pytest.mark.parametrize("method", [*METHODS, "clahe"])
def test_any_array_library(xp_any, method):
    if xp_any.name == "cupy" and method in ("tv", "clahe"):
        pytest.importorskip("cucim", reason="cuCIM is not installed")
    images = draw((2, 24, 20))
    call = equalize if method == "clahe" else lambda a: denoise(a, method)
    got, expected = xp_any.asnumpy(call(xp_any.asarray(images))), call(images)
    # cuCIM and CuPy sum in another order; CLAHE's grey levels may move by one.
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-3 if method == "clahe" else 1e-3)


def test_inputs_of_any_layout_stay_unchanged():
    images = draw((3, 20, 22))
    for given in (images[:, ::-1, ::2], np.asfortranarray(images)):
        before = given.copy()
        for call in (denoise, equalize):
            np.testing.assert_array_equal(call(given), call(before))
        np.testing.assert_array_equal(given, before)
    images.flags.writeable = False
    assert denoise(images).flags.writeable


def test_no_images_give_no_images():
    assert denoise(np.zeros((0, 4, 4))).shape == (0, 4, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: denoise(np.eye(3), "nlm"), ValueError, '`method` must be one of "median"'),
        (lambda: denoise(np.eye(3), size=4), ValueError, "`size` must be odd, got 4"),
        (lambda: denoise(np.eye(3), size=0), ValueError, "`size` must be a positive integer"),
        (lambda: denoise(np.eye(3), sigma=0), ValueError, "`sigma` must be"),
        (lambda: denoise(np.eye(3), weight=-1), ValueError, "`weight` must be"),
        (lambda: denoise(np.eye(3), spatial=3), ValueError, "at least 3 axes"),
        (lambda: denoise(np.ones((2, 0))), ValueError, "not empty"),
        (lambda: denoise(np.eye(3) * 1j), ValueError, "Complex data not supported"),
        (lambda: equalize(np.eye(3), spatial=1), ValueError, "`spatial` must be 2 or 3"),
        (lambda: equalize(np.eye(3), clip_limit=2), ValueError, "at most 1, got 2"),
        (lambda: equalize(np.eye(3), bins=1), ValueError, "`bins` must be"),
        (lambda: equalize(np.eye(3), tile=1), ValueError, "`tile` must be"),
        (lambda: equalize(None), TypeError, "`images` must be an array, got None"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_missing_library_is_named(monkeypatch):
    for name in ("skimage", "skimage.restoration", "skimage.exposure"):
        monkeypatch.setitem(sys.modules, name, None)
    for call in (equalize, lambda a: denoise(a, "tv")):
        with pytest.raises(ImportError, match=r'needs scikit-image: pip install "fastmm\[app\]"'):
            call(np.eye(8))
    assert denoise(np.eye(8)).shape == (8, 8)  # SciPy's own


def test_importing_the_filters_imports_no_library():
    code = (
        "import sys, fastmm.image.filters; print('skimage' in sys.modules, 'scipy' in sys.modules)"
    )
    assert run_python(code).split() == ["False", "False"]


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e30), ("float64", 1e300)])
def test_total_variation_of_values_whose_squares_overflow(dtype, size):
    image = np.random.default_rng(0).normal(size=(8, 17)).astype(dtype)
    large = denoise(image * np.asarray(size, dtype), "tv", weight=0.1 * size)
    np.testing.assert_allclose(large / size, denoise(image, "tv"), rtol=0, atol=1e-6)
    assert np.isfinite(denoise(image * np.asarray(size, dtype), "tv")).all()
