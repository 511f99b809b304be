"""The array contract: who comes in, leaves as what it came, unmoved and unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from array_layouts import LAYOUTS, SHAPE, draw, operators

import fastmm


@operators
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_every_layout_gives_the_same_values_and_stays_unchanged(operator, layout, dtype, tmp_path):
    array = draw(dtype)
    given = layout(array, tmp_path)
    before = np.array(given)
    got = operator(given)
    assert type(got) is np.ndarray
    assert got.dtype.isnative
    assert got.flags.writeable
    assert not np.shares_memory(got, given)
    np.testing.assert_array_equal(got, operator(array))
    np.testing.assert_array_equal(np.array(given), before)


@operators
def test_lists_are_taken(operator):
    array = draw("float64")
    np.testing.assert_array_equal(operator(array.tolist()), operator(array))


@operators
def test_broadcast_arrays_are_taken(operator):
    array = np.broadcast_to(draw()[:1], SHAPE)
    np.testing.assert_array_equal(operator(array), operator(array.copy()))


@operators
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.ma.masked_invalid(draw()), TypeError, "is a masked array.* fill it first"),
        (draw().astype(complex), ValueError, "Complex data not supported"),
        (draw().astype(np.longdouble), TypeError, "at most 64 bits, got dtype"),
        (draw().astype(object), TypeError, "must hold real numbers.* got dtype object"),
        (draw().astype("datetime64[s]"), TypeError, "must hold real numbers"),
    ],
)
def test_what_is_no_array_of_real_numbers_is_refused(operator, given, error, message):
    with pytest.raises(error, match=message):
        operator(given)


@pytest.mark.parametrize("given", ["scan.dcm", b"1234", 5, 2.5, object()])
def test_what_is_no_array_at_all_is_refused(given):
    with pytest.raises(TypeError, match=f"`images` must be an array, got {type(given).__name__}"):
        fastmm.resize(given, (2, 2))


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError, match="`images` does not form an array"):
        fastmm.resize([[1, 2], [3]], (2, 2))
