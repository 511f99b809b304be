"""The validators: what passes, what is refused, and in which words."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmm import _check


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3)])
def test_integer_takes_all_that_count(value):
    result = _check.integer(value, "n")
    assert result == 3
    assert type(result) is int


@pytest.mark.parametrize(
    ("value", "options", "error", "message"),
    [
        (0, {}, ValueError, r"^`n` must be a positive integer, got 0\.$"),
        (1, {"minimum": 2}, ValueError, r"^`n` must be an integer of at least 2, got 1\.$"),
        (2.0, {}, TypeError, r"^`n` must be a positive integer, got 2\.0\.$"),
        ("2", {}, TypeError, r"got '2'\.$"),
        (True, {}, TypeError, r"got True\.$"),
        (np.True_, {}, TypeError, r"got np\.True_\.$"),
        (None, {}, TypeError, r"got None\.$"),
        (np.array([1, 2]), {}, TypeError, r"^`n` must be a positive integer"),
    ],
)
def test_integer_refuses(value, options, error, message):
    with pytest.raises(error, match=message):
        _check.integer(value, "n", **options)


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int8(2), Decimal(2), np.array(2.0)])
def test_number_takes_all_real_numbers(value):
    result = _check.number(value, "a")
    assert result == 2.0
    assert type(result) is float


@pytest.mark.parametrize(
    ("value", "options", "error", "message"),
    [
        (np.nan, {}, ValueError, r"^`a` must be a finite number, got nan\.$"),
        (-np.inf, {}, ValueError, r"got -inf\.$"),
        (0, {"above": 0}, ValueError, r"^`a` must be a finite number greater than 0, got 0\.0\.$"),
        (-1, {"minimum": 0}, ValueError, r"^`a` must be a finite number of at least 0, got -1\.0"),
        (10**400, {}, ValueError, r"got an integer beyond float64\.$"),
        ("1", {}, TypeError, r"got '1'\.$"),
        (1j, {}, TypeError, r"got 1j\.$"),
        (None, {}, TypeError, r"got None\.$"),
        (False, {}, TypeError, r"got False\.$"),
        ([1.0], {}, TypeError, r"got \[1\.0\]\.$"),
    ],
)
def test_number_refuses(value, options, error, message):
    with pytest.raises(error, match=message):
        _check.number(value, "a", **options)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e300, 1e300))
def test_number_draws_its_limits_sharply(value, limit):
    for options, allowed in (
        ({"minimum": limit}, value >= limit),
        ({"above": limit}, value > limit),
    ):
        if allowed:
            assert _check.number(value, "a", **options) == value
        else:
            with pytest.raises(ValueError, match="`a` must be"):
                _check.number(value, "a", **options)


def test_one_of():
    assert _check.one_of("b", "m", ("a", "b")) == "b"
    with pytest.raises(ValueError, match=r'^`m` must be one of "a", "b", got \'c\'\.$'):
        _check.one_of("c", "m", ("a", "b"))
    with pytest.raises(TypeError, match=r'^`m` must be one of "a", "b", got 1\.$'):
        _check.one_of(1, "m", ("a", "b"))


@pytest.mark.parametrize("value", [(2, 3), [2, 3], np.array([2, 3], np.int16), iter((2, 3))])
def test_sizes_takes_all_sequences(value):
    assert _check.sizes(value, "shape") == (2, 3)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (2, TypeError, r"^`shape` must be 2 or 3 positive integers, got 2\.$"),
        ("23", TypeError, r"got '23'\.$"),
        ((1,), ValueError, r"got \(1,\)\.$"),
        ((1, 2, 3, 4), ValueError, r"must be 2 or 3 positive integers"),
        ((2, 0), ValueError, r"^`shape\[1\]` must be a positive integer, got 0\.$"),
        ((2.5, 1), TypeError, r"^`shape\[0\]` must be a positive integer, got 2\.5\.$"),
    ],
)
def test_sizes_refuses(value, error, message):
    with pytest.raises(error, match=message):
        _check.sizes(value, "shape", lengths=(2, 3))


@pytest.mark.parametrize(
    ("dtypes", "result"),
    [
        (["bool", "i1", "u1", "i2", "u2", "f2", "f4", ">f4", ">i2"], "float32"),
        (["i4", "u4", "i8", "u8", "f8", ">f8"], "float64"),
    ],
)
def test_dtype_of_result_holds_every_value(dtypes, result):
    for dtype in dtypes:
        assert _check.dtype_of_result(dtype) == result
        if np.dtype(dtype).kind in "iu" and np.dtype(dtype).itemsize <= 4:
            limits = np.iinfo(dtype)
            for value in (limits.min, limits.max):
                assert int(np.dtype(result).type(value)) == value


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_finite_counts_and_places(dtype):
    array = np.zeros((3, 4, 5), dtype)
    _check.finite(array, "X", np)
    array[1, 2, 3], array[2, 0, 0] = np.nan, -np.inf
    with pytest.raises(ValueError, match=r"`X` contains .*: 2 of 60 .* index \(1, 2, 3\)\."):
        _check.finite(array, "X", np)
    with pytest.raises(ValueError, match=r"1 of 20 values, the first at index 13\."):
        _check.finite(array[1].ravel(), "X", np)


def test_finite_sees_infinities_that_cancel():
    with pytest.raises(ValueError, match="2 of 2 values"):
        _check.finite(np.array([np.inf, -np.inf]), "X", np)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_finite_clears_a_sum_that_overflows(dtype):
    _check.finite(np.full(10, np.finfo(dtype).max), "X", np)


@pytest.mark.parametrize("array", [np.ones(3, np.int64), np.ones(3, bool), np.ones(0)])
def test_finite_takes_what_cannot_be_otherwise(array):
    _check.finite(array, "X", np)


def test_real_takes_every_real_dtype():
    for dtype in ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]:
        _check.real(np.zeros(1, dtype), "X")
