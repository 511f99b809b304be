"""resize on any array library, fused with rescale and window, with labels, ties and limits."""

from __future__ import annotations

import filters_by_definition as oracle
import numpy as np
import parity
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resize_cases import METHODS, draw, methods, near

from fastmm import resize
from fastmm._interp import Rescale, canonical, resize_into
from fastmm._space import Space, enter
from fastmm._taps import nearest_table, taps


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.integers(1, 30)] * 4), st.sampled_from(METHODS), st.integers(0, 99))
def test_any_size_to_any_size(sizes, method, seed):
    images = draw("float64", sizes[:2], seed)
    got = resize(images, sizes[2:], interpolation=method[0], antialias=method[1])
    near(got, oracle.resize(images, sizes[2:], *method), images, 1e-12)


@methods
def test_nan_spreads_to_the_outputs_that_weigh_it_and_no_further(interpolation, antialias):
    for before, after in ((12, 5), (9, 21), (10, 10), (8, 4)):
        images = np.zeros((before, 6))
        images[4, 2] = np.nan
        got = resize(images, (after, 6), interpolation=interpolation, antialias=antialias)
        rows = oracle.matrix(before, after, interpolation, antialias)[:, 4] != 0
        expected = np.zeros((after, 6), bool)
        expected[rows, 2] = True
        np.testing.assert_array_equal(np.isnan(got), expected)


@methods
def test_any_array_library(xp, interpolation, antialias):
    sizes = [((3, 4), (2, 5)), ((5, 3), (2, 2))] if xp.small else [((31, 45), (20, 64))]
    sizes += [((2, 3, 2), (3, 2, 2)), ((9, 8), (1, 1))] if xp.small else [
        ((9, 17, 12), (14, 10, 13)), ((99, 98), (5, 4))]  # fmt: skip
    for before, after in sizes:
        for dtype in ("float32", "float64", "int16", "bool", "float16"):
            images = draw(dtype, (2, *before))
            options = {"interpolation": interpolation, "antialias": antialias}
            got = xp.asnumpy(resize(xp.asarray(images), after, **options))
            near(got, oracle.resize(images, after, interpolation, antialias), images)


@methods
def test_rescale_and_window_are_fused_per_image(xp, interpolation, antialias):
    before, after = ((5, 4), (2, 3)) if xp.small else ((31, 45), (12, 64))
    images = np.random.default_rng(0).integers(0, 200, (3, *before)).astype(np.int16)
    slopes, intercepts = [1.0, 0.5, 2.0], [-100.0, 0.0, 3.5]
    space, (src,), leave = enter(images=xp.asarray(images))
    out = space.xp.empty((3, 1, *after), np.float32)
    rescale = Rescale(slopes, intercepts, -20.0, 150.0)
    resize_into(space, canonical(src, 2), out, rescale, interpolation, antialias)
    pairs = zip(images.astype(np.float64), slopes, intercepts, strict=True)
    rescaled = np.stack([np.clip(i * s + b, -20, 150) for i, s, b in pairs])
    expected = oracle.resize(rescaled, after, interpolation, antialias)
    np.testing.assert_allclose(xp.asnumpy(leave(out))[:, 0], expected, rtol=0, atol=3e-4)


def test_volumes_with_a_rescale():
    volumes = draw("int16", (2, 6, 7, 8))
    for interpolation, antialias in METHODS:
        for after in ((3, 4, 5), (9, 10, 11)):
            out = np.empty((2, *after), np.float32)
            rescale = Rescale([0.5, 2.0], [3.0, 0.0], -2000.0, 2500.0)
            resize_into(Space("cpu"), volumes, out, rescale, interpolation, antialias)
            scaled = volumes * np.array([0.5, 2]).reshape(2, 1, 1, 1)
            scaled = np.clip(scaled + np.array([3.0, 0]).reshape(2, 1, 1, 1), -2000, 2500)
            near(out, oracle.resize(scaled, after, interpolation, antialias), scaled)


def test_nearest_without_a_rescale_may_change_the_dtype():
    images = draw("uint8", (2, 1, 6, 7))
    out = np.empty((2, 1, 4, 9), np.float32)
    resize_into(Space("cpu"), images, out, None, "nearest")
    np.testing.assert_array_equal(out[:, 0], resize(images[:, 0], (4, 9), interpolation="nearest"))


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "float16", "int32", "uint64", "float64"]
)
def test_nearest_keeps_labels_and_payloads(dtype):
    images = draw(dtype, (3, 7, 9))
    got = resize(images, (11, 4), interpolation="nearest")
    assert got.dtype == images.dtype
    rows, columns = nearest_table(7, 11), nearest_table(9, 4)
    np.testing.assert_array_equal(got, images[:, rows][..., columns])
    same = resize(images, (7, 9), interpolation="nearest")
    assert same.dtype == images.dtype


def test_tables_end_inside_the_image_at_every_size():
    for interpolation, antialias in METHODS:
        for before in (1, 2, 3, 7, 1000, 65_537):
            for after in (1, 2, 3, 5, 999):
                spans, weights = taps(before, after, interpolation, antialias, "d")
                ends = spans.astype(np.int64).sum(axis=1)
                assert spans.dtype == np.uint32
                assert ends.max() <= before
                assert spans[:, 1].min() >= 1
                assert spans[:, 1].max() == weights.shape[1]
                np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)


def test_indices_pass_two_to_the_31():
    # 60,000 x 60,000 pixels that take no memory where nothing touches them.
    side = 60_000
    image = np.zeros((side, side), np.uint8)
    last = nearest_table(side, 3)[-1]
    image[last, last] = 200
    assert int(last) * side > 2**31
    for interpolation in ("nearest", "linear", "cubic"):
        spans, weights = taps(side, 3, interpolation, False, "d")
        expected = 200 * weights[-1, last - spans[-1, 0]] ** 2
        for images in (image, [image[:5], image]):
            got = resize(images, (3, 3), interpolation=interpolation)
            assert got[..., -1, -1].max() == pytest.approx(expected, rel=1e-5)
            assert np.count_nonzero(got) == 1


def test_the_parity_table_names_every_method_and_every_peer():
    rows = parity.measure(small=True)
    text = parity.table(rows)
    for interpolation, antialias in METHODS:
        assert f"| {interpolation}{', antialias' if antialias else ''} |" in text
    for peer in ("OpenCV", "PyTorch", "SciPy", "scikit-image"):
        assert peer in text
    for row in rows:
        assert (row.error is None) == bool(row.why)
        assert row.error is None or row.error <= row.tolerance


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"interpolation": "area", "antialias": True}, ValueError, "`antialias` must be False for"),
        ({"interpolation": "nearest", "antialias": True}, ValueError, "`antialias` must be False"),
        ({"antialias": 1}, TypeError, "`antialias` must be True or False, got 1"),
        ({"antialias": "yes"}, TypeError, "`antialias` must be True or False, got 'yes'"),
        ({"interpolation": "Cubic"}, ValueError, '"nearest", "linear", "cubic", "area"'),
    ],
)
def test_wrong_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        resize(np.eye(3), (2, 2), **options)
