"""Tiles made side by side by threads: equal to one call, within the limit, errors told."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from disk_sources import Sliced, peak
from fastmm.kernels.rbf import rbf

import fastmm
from fastmm._blas import NUMPY, numpy_threads
from fastmm._space import Space, on_this_thread
from fastmm.grams import in_tiles
from fastmm.streams.side_by_side import side_by_side

KERNELS = ("linear_kernel", "polynomial_kernel", "rbf_kernel", "laplacian_kernel", "arccos_kernel")


class Store:
    """What takes results by slices, of which no two may be written at a time."""

    def __init__(self, like):
        self.array, self.shape, self.dtype = np.full_like(like, np.nan), like.shape, like.dtype
        self.threads, self._lock = set(), threading.Lock()

    def __setitem__(self, key, part):
        assert self._lock.acquire(blocking=False)
        self.threads.add(threading.current_thread().name)
        time.sleep(1e-3)  # so that another thread would come in between
        self.array[key] = part
        self._lock.release()


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(in_tiles, "numpy_threads", lambda: 3)
    monkeypatch.setattr(in_tiles, "_SIDE", 16)


@pytest.fixture
def rows():
    return np.random.default_rng(3).normal(size=(400, 23)).astype("f4")


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("name", KERNELS)
def test_tiles_equal_one_call(name, rows):
    kernel = getattr(fastmm, name)
    for arrays in ((rows,), (rows, rows[:170] + 1)):
        expected = kernel(*arrays)
        out, store = np.full_like(expected, np.nan), Store(expected)
        kernel(*map(Sliced, arrays), memory_limit="14MB", out=store)
        kernel(*arrays, memory_limit="14MB", out=out)
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6 * abs(expected).max())
        np.testing.assert_array_equal(store.array, out)
        assert {name.partition("_")[0] for name in store.threads} == {"fastmm-part"}


@pytest.mark.usefixtures("three")
def test_rows_on_a_disk_within_the_limit(rows, tmp_path):
    rows = np.repeat(rows, 3, axis=0)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    expected, out = fastmm.rbf_kernel(rows), np.empty((1200, 1200), "f4")
    fastmm.rbf_kernel(rows[:50])
    limit = 14_000_000
    _, held = peak(lambda: fastmm.rbf_kernel(mapped, memory_limit=limit, out=out))
    assert held < 1.3 * limit
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(out, out.T)
    assert (out.diagonal() == 1).all()


@pytest.mark.usefixtures("three")
def test_rows_far_out(rows):
    rows[7] = 1e6  # float32 has no digits left for the distances of the others
    wide = rows.astype("f8")
    apart = ((wide[:, None] - wide) ** 2).sum(axis=-1)
    out = np.empty((400, 400), "f4")
    fastmm.rbf_kernel(rows, gamma=0.05, memory_limit="14MB", out=out)
    np.testing.assert_allclose(out, np.exp(-0.05 * apart), rtol=0, atol=1e-6)
    np.testing.assert_allclose(fastmm.rbf_kernel(rows, gamma=0.05), out, rtol=0, atol=1e-6)


def test_far_pairs_are_looked_through_in_parts(rows, monkeypatch):
    rows = (rows.astype("f8") * 1e5).reshape(2, 200, 23)
    rows[:, ::2] = rows[:, 1::2] + 1e-3
    apart = ((rows[:, :, None] - rows[:, None]) ** 2).sum(axis=-1)
    expected = np.exp(-100 * apart)
    assert ((expected > 0.1) & (expected < 0.999)).any()
    np.testing.assert_allclose(fastmm.rbf_kernel(rows, gamma=100), expected, rtol=0, atol=1e-7)
    monkeypatch.setattr(
        "fastmm.grams.matrices.NEAR_VALUES", {"cpu": 900}
    )  # 4 rows and a rest at a time
    np.testing.assert_allclose(fastmm.rbf_kernel(rows, gamma=100), expected, rtol=0, atol=1e-7)


def test_an_error_stops_all_and_threads_come_back():
    before, begun = numpy_threads(), []

    def fails(place, part):
        begun.append(place)
        if place == 3:
            raise ZeroDivisionError
        time.sleep(1e-3)

    with pytest.raises(ZeroDivisionError):
        side_by_side(range(500), lambda p: p, fails, print, cores=2, together=True)
    assert len(begun) < 500
    assert (numpy_threads(), NUMPY.inside) == (before, 0)


def test_products_take_one_thread_meanwhile():
    before = numpy_threads()
    with NUMPY:
        assert numpy_threads() == 1
    assert numpy_threads() == before


def test_kernels_stay_on_a_thread_that_is_one_of_several(monkeypatch):
    ran = []
    kernel = rbf["float64"]
    monkeypatch.setattr(type(kernel), "run_cpu", lambda *args: ran.append("all"))
    monkeypatch.setattr(type(kernel), "run_serial", lambda *args: ran.append("one"))
    with on_this_thread():
        Space("cpu").launch(kernel, 1, np.ones(1))
        other = threading.Thread(target=Space("cpu").launch, args=(kernel, 1, np.ones(1)))
        other.start()
        other.join()
    Space("cpu").launch(kernel, 1, np.ones(1))
    assert ran == ["one", "all", "all"]
