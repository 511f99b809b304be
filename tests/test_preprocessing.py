"""The chain in one pass: the values of its single operators, wherever the images live."""

from __future__ import annotations

import numpy as np
import pytest

from fastmm.image import preprocessing
from fastmm.image.intensity import normalize, window
from fastmm.image.patches import extract_patches
from fastmm.image.preprocessing import preprocess
from fastmm.image.resizing import resize


def by_steps(images, shape, *, slope=1, intercept=0, center_width=None, patch_size=None, step=1,
             method=None, **options):  # fmt: skip
    values = images.astype(np.float64) * slope + intercept
    if center_width is not None:
        values = window(values, *center_width)
    values = resize(values, shape, **options)
    if method is not None:
        values = normalize(values, method, spatial=len(shape))
    return values if patch_size is None else extract_patches(values, patch_size, step=step)


@pytest.mark.parametrize("kind", ["i2", "u1", "f4", "f8", "f2"])
@pytest.mark.parametrize("method", [None, "zscore", "minmax", "percentile"])
@pytest.mark.parametrize("patch_size", [None, (4, 3)])
def test_the_chain_is_its_operators(xp, kind, method, patch_size):
    images = np.random.default_rng(0).integers(0, 200, (2, 3, 17, 13)).astype(kind)
    if xp.small:
        images = images[:1, :2]
    options = {"slope": 0.5, "intercept": -3, "patch_size": patch_size, "step": 2}
    found = preprocess(xp.asarray(images), (9, 8), window=(40, 60), normalize=method, **options)
    expected = by_steps(images, (9, 8), center_width=(40, 60), method=method, **options)
    found = xp.asnumpy(found)
    assert found.dtype == (np.float64 if kind == "f8" else np.float32)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-6 * scale)


@pytest.mark.parametrize(
    "options",
    [
        {"interpolation": "nearest"},
        {"interpolation": "cubic"},
        {"interpolation": "area"},
        {"interpolation": "linear", "antialias": True},
    ],
)
def test_every_interpolation(options):
    images = np.random.default_rng(1).normal(size=(5, 20, 24))
    found = preprocess(images, (7, 9), **options)
    np.testing.assert_allclose(found, resize(images, (7, 9), **options), rtol=0, atol=1e-12)


def test_volumes_and_single_images():
    volume = np.random.default_rng(2).normal(size=(6, 8, 10))
    options = {"patch_size": (2, 3, 2), "step": (1, 2, 2)}
    found = preprocess(volume, (4, 6, 6), normalize="zscore", **options)
    expected = by_steps(volume, (4, 6, 6), method="zscore", **options)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert preprocess(volume[0], (4, 4)).shape == (4, 4)
    assert preprocess(volume[:0], (4, 6)).shape == (0, 4, 6)


def test_blocks_change_nothing(monkeypatch):
    images = np.random.default_rng(3).normal(size=(11, 20, 24)).astype("f4")
    options = {"normalize": "minmax", "patch_size": (3, 3), "window": (0, 2)}
    whole = preprocess(images, (7, 9), **options)
    monkeypatch.setattr(preprocessing, "_CPU_BYTES", 1)
    np.testing.assert_array_equal(preprocess(images, (7, 9), **options), whole)


def test_any_layout_and_the_input_stays(monkeypatch):
    images = np.random.default_rng(4).normal(size=(6, 20, 24)).astype("f4")
    expected = preprocess(images, (7, 9), normalize="zscore", patch_size=(2, 2))
    for other in (np.asfortranarray(images), images[::-1][::-1], images.copy()):
        other.flags.writeable = False
        found = preprocess(other, (7, 9), normalize="zscore", patch_size=(2, 2))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("arguments", "error", "what"),
    [
        ({"shape": (4,)}, ValueError, "shape"),
        ({"window": (0, 0.5)}, ValueError, "width"),
        ({"window": 3}, TypeError, "window"),
        ({"normalize": "l2"}, ValueError, "method|normalize"),
        ({"interpolation": "spline"}, ValueError, "interpolation"),
        ({"patch_size": (5, 2)}, ValueError, "patch_size"),
        ({"patch_size": (2,)}, ValueError, "patch_size"),
        ({"slope": np.nan}, ValueError, "slope"),
    ],
)
def test_wrong_arguments(arguments, error, what):
    with pytest.raises(error, match=what):
        preprocess(np.zeros((2, 8, 8)), **{"shape": (4, 4), **arguments})
