"""Every method of resize against OpenCV, PyTorch and the definitions of the filters."""

from __future__ import annotations

import cv2
import filters_by_definition as oracle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resize_cases import METHODS, draw, methods, near

from fastmm import resize
from fastmm._interp import Rescale, canonical, resize_into
from fastmm._space import Space

DTYPES = ["float32", "float64", "float16", "uint8", "int8", "int16", "uint16", "bool", "int32"]
SIZES = [
    ((24, 20), (12, 10)),
    ((12, 10), (30, 25)),
    ((12, 25), (30, 7)),
    ((17, 23), (13, 29)),
    ((9, 11), (1, 1)),
    ((1, 1), (4, 3)),
    ((2, 3), (7, 8)),
    ((3, 9), (5, 27)),  # where a centre meets a pixel, that one alone counts
    ((9, 50), (75, 20)),
    ((1, 9), (5, 9)),
    ((11, 9), (11, 4)),
    ((37, 41), (36, 40)),
    ((90, 70), (70, 90)),
    ((150, 130), (9, 7)),
]
VOLUMES = [
    ((4, 6, 5), (7, 3, 8)),
    ((5, 4, 6), (1, 1, 1)),
    ((1, 4, 6), (3, 4, 6)),
    ((6, 5, 4), (3, 5, 4)),
    ((9, 8, 7), (4, 16, 5)),
    ((3, 5, 7), (6, 10, 14)),
]


def dtypes_and_sizes():
    """Pair float32 with every size, and each other dtype with 4 of them, others for each."""
    for i, dtype in enumerate(DTYPES):
        for k, (before, after) in enumerate(SIZES):
            if i == 0 or (k - i) % len(SIZES) in (0, 3, 7, 10):
                yield dtype, before, after


@methods
@pytest.mark.parametrize(("dtype", "before", "after"), list(dtypes_and_sizes()))
def test_equals_the_definition(dtype, before, after, interpolation, antialias):
    images = draw(dtype, (2, *before))
    got = resize(images, after, interpolation=interpolation, antialias=antialias)
    expected = oracle.resize(images, after, interpolation, antialias)
    if interpolation == "nearest":
        assert got.dtype == images.dtype
        np.testing.assert_array_equal(got, expected)
        return
    wide = dtype in ("float64", "int32")
    assert got.dtype == (np.float64 if wide else np.float32)
    near(got, expected, images, 1e-12 if wide else 2e-6)


@methods
@pytest.mark.parametrize(("before", "after"), VOLUMES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_volumes_equal_the_definition(dtype, before, after, interpolation, antialias):
    volumes = draw(dtype, (2, *before))
    got = resize(volumes, after, interpolation=interpolation, antialias=antialias)
    expected = oracle.resize(volumes, after, interpolation, antialias)
    near(got, expected, volumes, 1e-12 if dtype == "float64" else 2e-6)


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize("interpolation", ["cubic", "area", "nearest"])
def test_equals_opencv(interpolation, before, after):
    if interpolation == "area" and any(n > m for m, n in zip(before, after, strict=True)):
        pytest.skip("INTER_AREA interpolates where an axis grows, and averages nothing")
    if interpolation == "nearest" and has_ties(before, after):
        pytest.skip("centres on the border of two pixels go either way in OpenCV's fixed point")
    images = draw("float32", (2, *before))
    flag = {"cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA, "nearest": cv2.INTER_NEAREST_EXACT}
    expected = [cv2.resize(i, after[::-1], interpolation=flag[interpolation]) for i in images]
    near(resize(images, after, interpolation=interpolation), np.stack(expected), images)


@pytest.mark.parametrize("before", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("after", [1, 2, 3, 5, 12, 15, 27, 81])
def test_rows_on_the_centres_of_pixels(before, after):
    images = draw("float32", (before, 7))
    for antialias in (False, True):
        got = resize(images, (after, 9), interpolation="cubic", antialias=antialias)
        near(got, oracle.resize(images, (after, 9), "cubic", antialias), images)


def has_ties(before, after):
    pairs = zip(before, after, strict=True)
    return any(((2 * np.arange(n) + 1) * m % (2 * n) == 0).any() for m, n in pairs)


@pytest.mark.parametrize(("before", "after"), SIZES)
@methods
def test_equals_pytorch(interpolation, antialias, before, after):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if interpolation == "area":
        if any(m % n for m, n in zip(before, after, strict=True)):
            pytest.skip("torch's area takes whole pixels, which differ from their shares here")
        options = {"mode": "area"}
    elif interpolation == "nearest":
        if has_ties(before, after):
            pytest.skip("centres on the border of two pixels may go either way in float32")
        options = {"mode": "nearest-exact"}
    else:
        options = {"mode": f"bi{interpolation}", "align_corners": False, "antialias": antialias}
    images = draw("float32", (2, *before))
    expected = torch.nn.functional.interpolate(torch.from_numpy(images)[None], after, **options)
    got = resize(images, after, interpolation=interpolation, antialias=antialias)
    near(got, expected[0].numpy(), images, 1e-4)


@methods
def test_large_images_take_the_parallel_build(interpolation, antialias):
    images = draw("int16", (3, 200, 180))
    for shape in ((150, 260), (300, 310), (40, 300), (3, 170, 200)):
        got = resize(images, shape, interpolation=interpolation, antialias=antialias)
        expected = oracle.resize(images, shape, interpolation, antialias)
        near(got, expected, images)


@methods
def test_rows_longer_than_a_part_are_resized_in_parts(interpolation, antialias):
    images = draw("int16", (40, 5000))
    rescale = Rescale(2.0, -5.0, -60_000.0, 50_000.0)
    for shape in ((35, 200), (90, 5100)):
        out = np.empty((1, 1, *shape), np.float32)
        src = canonical(images[None], 2)
        resize_into(Space("cpu"), src, out, rescale, interpolation, antialias)
        scaled = np.clip(images * 2.0 - 5, -60_000, 50_000)
        near(out[0, 0], oracle.resize(scaled, shape, interpolation, antialias), scaled)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.integers(1, 40)] * 4), st.floats(-1e6, 1e6, width=32), st.sampled_from(METHODS)
)
def test_a_constant_stays_constant_exactly(sizes, value, method):
    images = np.full(sizes[:2], value, np.float32)
    got = resize(images, sizes[2:], interpolation=method[0], antialias=method[1])
    np.testing.assert_array_equal(got, np.float32(value))
