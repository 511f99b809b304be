"""Images on disk for results on a GPU; where there is none, on a device that queues its work."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import fastmm
from fastmm.streams import sinks, uploads
from fastmm.streams.costs import Cost
from fastmm.streams.mapping import map_in_chunks


class Slices:
    """An array that only knows slices."""

    def __init__(self, array):
        self.shape, self.dtype, self._array = array.shape, array.dtype, array

    def __getitem__(self, key):
        return self._array[key].copy()


class Stream:
    """Work that is done when somebody waits for it, and not before."""

    def __init__(self, non_blocking=False):
        self.todo = []

    def record(self):
        upto = len(self.todo)
        return SimpleNamespace(synchronize=lambda: self._run(upto))

    def synchronize(self):
        self._run(len(self.todo))

    def _run(self, upto):
        for i in range(upto):
            work, self.todo[i] = self.todo[i], None
            if work is not None:
                work()


class Device:
    """A place where copies and kernels are queued."""

    kind, device = "cuda", 0

    def __init__(self):
        self.current, self.taken = Stream(), []
        self.xp = SimpleNamespace(
            cuda=SimpleNamespace(
                Device=lambda number: self,
                Stream=Stream,
                get_current_stream=lambda: self.current,
            ),
            empty=self.empty,
        )

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        return None

    def empty(self, shape, dtype):
        self.taken.append(np.full(shape, 77, dtype))
        return Array(self, self.taken[-1])


class Array:
    """Memory of the device; the host cannot look into it."""

    def __init__(self, device, own):
        self.device, self.own = device, own
        self.shape, self.dtype = own.shape, own.dtype

    def __dlpack__(self):
        raise AssertionError

    def __getitem__(self, key):
        return Array(self.device, self.own[key])

    def __setitem__(self, key, part):
        target = self.own[key]
        self.device.current.todo.append(lambda: np.copyto(target, part.own))

    def view(self, dtype):
        return Array(self.device, self.own.view(dtype))

    def reshape(self, shape):
        return Array(self.device, self.own.reshape(shape))

    def set(self, host, stream):
        assert host.dtype == self.dtype
        stream.todo.append(lambda: np.copyto(self.own, host))


@pytest.fixture
def device(monkeypatch):
    made = Device()
    enter = lambda **named: (made, list(named.values()), lambda array: array)  # noqa: E731
    monkeypatch.setattr(uploads, "enter", enter)
    monkeypatch.setattr(sinks, "enter", enter)
    pinned = SimpleNamespace(empty_pinned=lambda n, kind: np.full(n, 55, kind))
    monkeypatch.setitem(sys.modules, "cupyx", pinned)
    return made


@pytest.mark.parametrize("dtype", ["i2", ">i2", "f4", "u1"])
@pytest.mark.parametrize("count", [1, 2, 3, 11])
def test_no_chunk_is_overwritten_before_its_kernels_have_run(device, dtype, count):
    images = np.random.default_rng(0).integers(0, 200, (count, 4, 5)).astype(dtype)
    out = Array(device, np.zeros(images.shape, "f4"))

    def operator(part):
        made = Array(device, np.zeros(part.shape, "f4"))
        device.current.todo.append(lambda: np.copyto(made.own, 2 * part.own.astype("f4")))
        return made

    device.taken.clear()
    result = map_in_chunks(
        operator, Slices(images), {}, spatial=2, cost=Cost(), memory_limit=700, out=out
    )
    assert result is out
    device.current.synchronize()
    np.testing.assert_array_equal(out.own, 2 * images.astype("f4"))
    rooms = [room for room in device.taken if room.dtype == np.uint8 and room.size]
    assert len(rooms) == 2
    assert all(room.nbytes <= 3 * images[0].nbytes for room in rooms)


def test_a_limit_counts_the_buffers(device):
    images = np.zeros((6, 4, 5), "i2")
    out = Array(device, np.zeros(images.shape, "f4"))
    make = lambda part: Array(device, np.zeros(part.shape, "f4"))  # noqa: E731
    # Five copies of 40 bytes on the way up; as floats, 80 once and 80 for each; 80 of a result.
    with pytest.raises(ValueError, match="`memory_limit` must be at least 440B"):
        map_in_chunks(make, Slices(images), {}, spatial=2, cost=Cost(), memory_limit=100, out=out)


def test_images_on_disk_for_a_result_on_the_device(xp, tmp_path):
    images = np.random.default_rng(1).integers(-900, 900, (5, 8, 9), dtype=np.int16)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    expected = fastmm.window(images, 40, 400)
    for given in (Slices(images), mapped):
        out = xp.asarray(np.zeros_like(expected))
        assert fastmm.window(given, 40, 400, memory_limit="20kB", out=out) is out
        np.testing.assert_allclose(xp.asnumpy(out), expected, atol=1e-6)
    if xp.name != "numpy":
        with pytest.raises(TypeError, match="does not move data silently"):
            fastmm.window(images, 40, 400, out=out)
