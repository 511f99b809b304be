"""Results of chunks are made where they belong, without a copy, wherever that can be."""

from __future__ import annotations

import tracemalloc
from functools import partial

import numpy as np
import pytest

import fastmm
from fastmm._lazy import streamed
from fastmm._memory import empty, made_in

OPERATORS = {
    "window": partial(fastmm.window, center=40, width=400),
    "normalize": fastmm.normalize,
    "resize": partial(fastmm.resize, shape=(192, 160)),
    "resize cubic": partial(fastmm.resize, shape=(192, 160), interpolation="cubic"),
    "resize nearest": partial(fastmm.resize, shape=(192, 160), interpolation="nearest"),
    "extract_patches": partial(fastmm.extract_patches, patch_size=(8, 8), step=8),
    "patch_statistics": partial(fastmm.patch_statistics, patch_size=(4, 4), step=2),
}


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(-900, 900, (24, 128, 96), dtype=np.int16)


def target(kind, like, tmp_path):
    """Return an array to be written, in one of many layouts."""
    if kind == "mapped":
        return np.lib.format.open_memmap(tmp_path / "o.npy", "w+", like.dtype, like.shape)
    if kind == "byte-swapped":
        return np.zeros(like.shape, like.dtype.newbyteorder())
    if kind == "Fortran":
        return np.zeros(like.shape, like.dtype, order="F")
    if kind == "strided":
        return np.zeros((like.shape[0], *(2 * n for n in like.shape[1:])), like.dtype)[
            (slice(None), *(slice(None, None, 2) for _ in like.shape[1:]))
        ]
    if kind == "not aligned":
        room = np.zeros(like.nbytes + 1, np.uint8)
        return room[1:].view(like.dtype).reshape(like.shape)
    return np.zeros_like(like)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_nothing_of_the_size_of_a_chunk_is_made(name, images):
    operator = OPERATORS[name]
    expected = operator(images)
    out = np.zeros_like(expected)
    operator(images[:2], out=out[:2])
    tracemalloc.start()
    operator(images, out=out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(out, expected)
    assert peak < expected.nbytes / 4


@pytest.mark.parametrize(
    "kind", ["plain", "mapped", "byte-swapped", "Fortran", "strided", "not aligned"]
)
@pytest.mark.parametrize("name", ["window", "resize", "patch_statistics"])
def test_places_of_any_layout(name, kind, images, tmp_path):
    operator, images = OPERATORS[name], images[:7, :32, :32]
    expected = operator(images)
    out = target(kind, expected, tmp_path)
    limit = 3 * expected[:1].nbytes + (64 << 10) + (out.nbytes if kind == "mapped" else 0)
    assert operator(images, out=out, memory_limit=limit) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("first", ["scratch", "result", "other size", "turned"])
def test_a_place_that_something_else_takes(first, images):
    @streamed(2)
    def operator(pixels, *, memory_limit=None, out=None):
        shape = pixels.shape
        if first == "turned":  # the place, but not as it is to be read
            made = empty((shape[0], shape[2], shape[1]), "f4")
            made[...] = pixels.transpose(0, 2, 1)
            return made.transpose(0, 2, 1)
        scratch = empty((shape[0] + 1, *shape[1:]) if first == "other size" else shape, "f4")
        scratch[...] = 7
        result = scratch if first == "result" else empty(shape, "f4")
        result[...] = pixels
        scratch[-1:] += 0 if first == "result" else 1
        return result

    out = np.zeros(images.shape, "f4")
    operator(images, out=out, memory_limit=9 * images[0].nbytes)
    np.testing.assert_array_equal(out, images)


def test_a_place_is_offered_once_and_not_beyond_its_call():
    place = np.zeros((2, 3))
    with made_in(place):
        assert empty((2, 3), "f4") is not place
        assert np.shares_memory(empty((6,), "f8"), place)
        assert not np.shares_memory(empty((6,), "f8"), place)
    with pytest.raises(ZeroDivisionError), made_in(place):
        raise ZeroDivisionError
    assert not np.shares_memory(empty((2, 3), "f8"), place)
