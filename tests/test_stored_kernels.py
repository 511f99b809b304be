"""Compiled reading of stored pixels: bits, padding and files, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from fastmm.kernels.loading import fetch, load
from fastmm.kernels.stored import unpack

from fastmm._interp import Rescale, value_maps
from fastmm._taps import near_tables
from fastmm.image.resizing import resize


def extended(raw: np.ndarray, up: int, down: int) -> np.ndarray:
    """Cut out bits and extend the sign, in Python's own integers."""
    bits = raw.itemsize * 8
    values = []
    for number in raw.ravel().tolist():
        value = (number << up) % (1 << bits)
        if raw.dtype.kind == "i" and value >= 1 << (bits - 1):
            value -= 1 << bits
        values.append(value >> down)
    return np.array(values, raw.dtype).reshape(raw.shape)


@pytest.mark.parametrize("kind", ["u1", "i2", "u2"])
@pytest.mark.parametrize(("up", "down"), [(0, 0), (4, 4), (0, 3), (2, 7)])
def test_bits_are_cut_and_extended(kind, up, down):
    limits = np.iinfo(kind)
    raw = np.random.default_rng(0).integers(limits.min, limits.max, (3, 77), kind, endpoint=True)
    found = raw.copy()
    assert unpack(found, up, down, False, 0, 0, True, False) == -1
    np.testing.assert_array_equal(found, extended(raw, up, down))


@pytest.mark.parametrize("largest", [False, True])
@pytest.mark.parametrize("of_values", [False, True])
@pytest.mark.parametrize(("low", "high"), [(-5, 8), (3, 3), (9999, 9999)])
def test_padding_takes_the_lowest_valid_value(low, high, of_values, largest):
    raw = np.random.default_rng(1).integers(-20, 20, (4, 300)).astype("i2")
    found = raw.copy()
    assert unpack(found, 4, 4, True, low, high, of_values, largest) == -1
    values = extended(raw, 4, 4)
    tested = values if of_values else raw
    for row, expected, test in zip(found, values, tested, strict=True):
        padding = (test >= low) & (test <= high)
        valid = expected[~padding]
        expected[padding] = valid.max() if largest else valid.min()
        np.testing.assert_array_equal(row, expected)


def test_an_image_of_nothing_but_padding_is_named():
    raw = np.array([[1, 2], [7, 7], [7, 7]], "u2")
    assert unpack(raw, 0, 0, True, 7, 7, True, False) == 1


def files(tmp_path, stack):
    names, starts = b"", []
    for n, frame in enumerate(stack):
        path = tmp_path / f"{n} ü.raw"
        path.write_bytes(b"head" + frame.tobytes())
        starts.append(len(names))
        names += str(path).encode() + b"\0"
    return np.frombuffer(names, np.uint8), np.array(starts), np.full(len(stack), 4)


BITS = (0, 0, 0, 0, 0, 1)


def test_fetch_reads_each_file_and_says_which_it_could_not(tmp_path):
    stack = np.random.default_rng(2).integers(-999, 999, (4, 6, 5)).astype("i2")
    names, starts, offsets = files(tmp_path, stack)
    (tmp_path / "1 ü.raw").unlink()
    (tmp_path / "2 ü.raw").write_bytes(b"head" + stack[2].tobytes()[:-1])
    out, done = np.zeros((4, 30), "i2"), np.zeros(4, bool)
    fetch(names, starts, offsets, BITS, np.ones(4), out, done)
    assert done.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(out[[0, 3]].reshape(2, 6, 5), stack[[0, 3]])


def test_load_is_read_and_resize(tmp_path):
    rng = np.random.default_rng(3)
    sizes = [(6, 5), (6, 5), (3, 9), (6, 5)]
    stack = [rng.integers(0, 999, size).astype("u2") for size in sizes]
    names, starts, offsets = files(tmp_path, stack)
    (tmp_path / "1 ü.raw").unlink()
    out, done = np.full((6, 1, 4, 7), np.nan, "f4"), np.zeros(4, bool)
    slope, intercept = np.array([1, 2, -3, 4], "f4"), np.array([0, 5, 7, 9], "f4")
    layouts, which = np.array([(6, 5, *BITS), (3, 9, *BITS)]), np.array([0, 0, 1, 0])
    tables = [near_tables((1, *size), (1, 4, 7), "f") for size in ((6, 5), (3, 9))]
    near, weights = (np.stack(table) for table in zip(*tables, strict=True))
    rows = np.array([4, 1, 0, 5])
    maps = value_maps(Rescale(slope, intercept), 4, "f4")
    load(
        names, starts, offsets, np.empty(0, "u2"), layouts, which, rows, out, maps, near, weights,
        done,
    )  # fmt: skip
    assert done.tolist() == [True, False, True, True]
    assert np.isnan(out[[1, 2, 3]]).all()
    for n in (0, 2, 3):
        expected = resize(stack[n] * slope[n] + intercept[n], (4, 7))
        near = 2e-6 * np.abs(expected).max()
        np.testing.assert_allclose(out[rows[n], 0], expected, rtol=0, atol=near)
