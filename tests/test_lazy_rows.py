"""Rows on a disk, indexed as if they were in memory."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from disk_sources import Sliced, Store

from fastmm.streams.lazy_rows import LazyRows, lazy_rows, read_ahead, refuse_nonfinite
from fastmm.streams.sources import open_source


@pytest.fixture
def stored(tmp_path):
    return Store(tmp_path)


def test_rows_are_those_of_the_array():
    array = np.arange(60.0).reshape(12, 5).astype(">f4")
    rows = lazy_rows(Sliced(array), 100)
    assert (rows.shape, rows.ndim, rows.size, len(rows)) == ((12, 5), 2, 60, 12)
    assert rows.dtype.isnative
    for index in (slice(2, 5), slice(10, 99), slice(4, 4), [3], [5, 6, 1], [[1, 1], [11, 0]], []):
        index = index if isinstance(index, slice) else np.array(index, int)
        found = rows[index]
        np.testing.assert_array_equal(found, array[index])
        assert found.dtype.isnative
    turned = rows.turned((12, 1, 5), lambda part: part[:, None])
    np.testing.assert_array_equal(turned[np.array([[4, 2]])], array[[[4, 2]]][:, :, None])
    np.testing.assert_array_equal(turned.plain()[3:4], array[3:4])
    assert [part.stop for part in rows.parts(40)] == [2, 4, 6, 8, 10, 12]


def test_what_is_in_memory_stays_there(tmp_path):
    assert lazy_rows(np.zeros((2, 2)), 9) is None
    assert lazy_rows([[1.0]], 9) is None
    assert lazy_rows(Sliced(np.zeros((2, 2))), None) is None
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    # Its pages may hold what the file does not.
    assert lazy_rows(np.load(tmp_path / "a.npy", mmap_mode="c"), 9) is None
    da = pytest.importorskip("dask.array", reason="dask is not installed")
    with pytest.raises(TypeError, match="`memory_limit` must be None for dask arrays"):
        lazy_rows(da.zeros((2, 2)), 9)


def test_chunks_of_a_store_are_not_cut(stored):
    source = open_source(stored("zarr", np.zeros((20, 3))))
    assert [part.start for part in LazyRows(source).parts(24 * 10)] == [0, 7, 14]


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="pages are told on Linux alone")
def test_rows_here_and_there_leave_no_pages_behind(tmp_path):
    np.save(tmp_path / "rows.npy", np.ones((4000, 1024), "f4"))
    rows = lazy_rows(np.load(tmp_path / "rows.npy", mmap_mode="r"), 9)

    def resident():
        told = Path("/proc/self/smaps").read_text().partition("rows.npy")[2]
        return int(re.search(r"Rss:\s*(\d+) kB", told)[1])

    np.random.default_rng(0).shuffle(index := np.arange(0, 4000, 40))
    for part in np.split(index, 10):
        assert rows[part].all()
    assert resident() < 100


def test_reading_ahead_keeps_order_and_tells_of_errors():
    assert list(read_ahead(abs, iter([-2, 3, -5]), True)) == [(-2, 2), (3, 3), (-5, 5)]
    assert list(read_ahead(abs, [], True)) == []

    def fail(part):
        raise OSError(part)

    with pytest.raises(OSError, match="7"):
        list(read_ahead(fail, [7], True))


def test_values_that_are_none_are_counted_with_their_first_place():
    array = np.zeros((9, 4))
    array[5, 2], array[8, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"`z` contains NaN or infinity: 2 of 36 .* \(5, 2\)\."):
        refuse_nonfinite(lazy_rows(Sliced(array), 9), "z", 8 * 32 * 2)
    big = np.full((3, 2), 1e308)  # their sum is infinite, they are not
    refuse_nonfinite(lazy_rows(Sliced(big), 9), "z", 10**6)
