"""Memory of large results: taken again only when nobody holds it."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastmm import _memory, resize
from fastmm._memory import empty

_OWN = _memory._SHELF
SHAPE = (2, 1200, 1800)  # of float64: 33 MiB, more than the C library keeps

pytestmark = pytest.mark.skipif(not _memory._ABLE, reason="memory is kept on Linux alone")


@pytest.fixture(autouse=True)
def own_shelf(monkeypatch):
    shelf = _memory._Shelf()
    monkeypatch.setattr(_memory, "_SHELF", shelf)
    return shelf


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", ["u1", "i2", "f2", "f4", "f8", "?"])
def test_an_array_like_any_other(dtype):
    shape = (5, (1 << 25) // np.dtype(dtype).itemsize // 4)
    array = empty(shape, dtype)
    assert type(array) is np.ndarray
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert array.flags.aligned
    array[...] = 1
    assert np.count_nonzero(array) == array.size


def test_taken_again_once_dropped(own_shelf):
    first = empty(SHAPE, "f8")
    first[...] = 7
    place = address(first)
    del first
    assert len(own_shelf._blocks) == 1
    again = empty(SHAPE, "f8")
    assert address(again) == place
    again[...] = 3
    assert (again == 3).all()


@pytest.mark.parametrize(
    "hold",
    [
        lambda a: a[1:, ::2, 5:],
        lambda a: a.reshape(-1).view("u1"),
        lambda a: memoryview(a),
        lambda a: np.from_dlpack(a),
        lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, -1),
    ],
    ids=["part", "bytes", "buffer", "dlpack", "strided"],
)
def test_not_taken_while_a_view_is_held(own_shelf, hold):
    array = empty(SHAPE, "f8")
    array[...] = 7
    view = hold(array)
    del array
    assert not own_shelf._blocks
    other = empty(SHAPE, "f8")
    other[...] = 3
    assert np.array_equal(np.asarray(view), np.asarray(hold(np.full(SHAPE, 7.0))))
    del view
    assert len(own_shelf._blocks) == 1


def test_held_by_torch(own_shelf):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    array = empty(SHAPE, "f8")
    array[...] = 7
    tensors = torch.from_numpy(array), torch.from_dlpack(array)
    del array
    empty(SHAPE, "f8")[...] = 3
    assert all((tensor == 7).all() for tensor in tensors)
    own_shelf.clear()
    del tensors
    assert len(own_shelf._blocks) == 1


def test_no_more_is_kept_than_the_limit(own_shelf, monkeypatch):
    monkeypatch.setattr(_memory, "_MOST", 3 * 36 << 20)
    arrays = [empty(SHAPE, "f8") for _ in range(5)]
    places = [address(array) for array in arrays]
    arrays.clear()
    kept = [block.address for block in own_shelf._blocks]
    assert sum(block.size for block in own_shelf._blocks) <= _memory._MOST
    assert set(kept) < set(places)
    assert len(kept) == 3


def test_neither_small_nor_huge_ones_are_kept(own_shelf):
    for shape in ((1000, 1000), (_memory._MOST // 8 + 1,), (0,)):
        empty(shape, "f8")
    assert not own_shelf._blocks


def test_a_block_serves_only_what_needs_half_of_it(own_shelf):
    large = empty((12 << 20,), "f8")
    place = address(large)
    del large
    small = empty((5 << 20,), "f8")
    assert address(small) != place
    middle = empty((7 << 20,), "f8")
    assert address(middle) == place


def test_no_memory_is_numpys_error(monkeypatch):
    def fail(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(_memory.mmap, "mmap", fail)
    assert empty(SHAPE, "f8").shape == SHAPE


def test_results_of_calls_do_not_share_memory():
    images = np.random.default_rng(0).random((40, 30, 50), np.float32)
    results = [resize(images, (500, 500)) for _ in range(3)]
    assert results[0].base is not None
    for i, result in enumerate(results):
        result += i
    for i, result in enumerate(results):
        np.testing.assert_allclose(result - i, results[0], atol=1e-5)
    copied = pickle.loads(pickle.dumps(results[0][:2]))
    assert np.array_equal(copied, results[0][:2])


def test_threads_get_blocks_of_their_own():
    def write(i):
        array = empty(SHAPE, "f8")
        array[...] = i
        return bool((array == i).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(write, range(40)))


def _kept_in_child(queue):
    queue.put(len(_OWN._blocks))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_begins_with_none():
    _OWN.keep(_memory._Block(1 << 21))
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_kept_in_child, args=(queue,))
    child.start()
    assert queue.get() == 0
    child.join()
    assert _OWN._blocks
    _OWN.clear()


def _write(array):
    array[...] = 7


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_writes_into_memory_of_its_own():
    array = empty(SHAPE, "f8")
    array[...] = 1
    child = multiprocessing.get_context("fork").Process(target=_write, args=(array,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert (array == 1).all()
