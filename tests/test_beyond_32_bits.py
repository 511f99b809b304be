"""Indices past 2^32 elements, in the CPU builds and in those for CUDA.

Arrays are as large as that and take no memory where nothing touches them: of each launch
over such an array only the last tasks, or the last threads, are run.
"""

from __future__ import annotations

import mmap
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from fastmm.kernels._jit import scalar
from fastmm.kernels._overloading import with_names
from fastmm.kernels.selecting import select
from harness import SIMULATED

from fastmm import extract_patches, normalize, resize, window
from fastmm._space import Space

LARGE = 2**32
COUNT, SHAPE = 4200, (256, 4004)  # images, and their pixels
_NO_RESERVE = 0x4000  # Linux: no memory is set aside

pytestmark = [
    pytest.mark.skipif(SIMULATED, reason="these builds are run here without the simulator"),
    pytest.mark.skipif(
        not hasattr(mmap, "MAP_POPULATE"), reason="only Linux gives more addresses than memory"
    ),
]


def untouched(shape, dtype):
    """Return zeros that take no memory until they are written."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE
    return np.frombuffer(mmap.mmap(-1, size, flags=kind), dtype).reshape(shape)


def last_tasks(count):
    # Of the type that a parallel loop counts with.
    return range(np.uint64(count - 2), np.uint64(count))


@cache
def cpu_build(kernel):
    return scalar(with_names(kernel._cpu, prange=scalar(last_tasks)))


def run_end(build, kernel, work, args):
    """Run the last two tasks of the CPU build, or the last 40 threads of CUDA's, in Python."""
    if build == "cpu":
        cpu_build(kernel)(*args)
    else:
        threads = SimpleNamespace(grid=lambda _: work - 40, gridsize=lambda _: 1)
        with_names(kernel._cuda, cuda=threads, **kernel._helpers)(work, *args)


@pytest.fixture(params=["cpu", "cuda"])
def build(request, monkeypatch):
    """Let operators write to arrays that take no memory, and only to the end of them."""
    launch = Space.launch

    def launch_end(self, kernel, work, *args):
        large = [a for a in args if isinstance(a, np.ndarray) and a.size > LARGE]
        if not large or kernel.name == "measure":  # which writes little, but needs all of it
            launch(self, kernel, work, *args)
        else:
            run_end(request.param, kernel, max(a.size for a in large), args)

    def empty(shape, dtype=float):
        return (untouched if np.prod(shape) > LARGE else np.empty)(shape, dtype)

    spaces = SimpleNamespace(**vars(np) | {"empty": empty})
    monkeypatch.setattr(Space, "launch", launch_end)
    monkeypatch.setattr(Space, "xp", property(lambda self: spaces))
    monkeypatch.setattr(Space, "empty", lambda self, shape, dtype: empty(shape, dtype))
    return request.param


def assert_ends_alike(got, expected, at_least):
    """Check that the end of `got` is that of `expected`, and that nothing else was written."""
    assert got.size > LARGE
    flat, end = got.reshape(-1), expected.reshape(-1)[-at_least:]
    assert np.count_nonzero(end) > at_least / 2
    np.testing.assert_allclose(flat[-at_least:], end, rtol=1e-5, atol=1e-5)
    for place in (0, flat.size - LARGE, flat.size // 2):  # where indices of 32 bits would lead
        assert not flat[max(place - 5000, 0) : place + 1000].any()


@pytest.mark.parametrize(
    ("before", "options"),
    [
        ((260, 16), {"interpolation": "linear"}),
        ((24, 21), {"interpolation": "linear"}),
        ((24, 21), {"interpolation": "cubic"}),
        ((24, 21), {"interpolation": "area"}),
        ((300, 21), {"interpolation": "cubic", "antialias": True}),
        ((260, 16), {"interpolation": "nearest"}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_resized(build, before, options):
    image = np.random.default_rng(0).standard_normal(before, np.float32)
    images = np.broadcast_to(image, (COUNT, *before))
    got = resize(images, SHAPE, **options)
    assert_ends_alike(got, resize(image, SHAPE, **options), 4004 if build == "cpu" else 40)


def test_volumes_resized(build):
    volume = np.random.default_rng(0).standard_normal((30, 40, 8), np.float32)
    got = resize(np.broadcast_to(volume, (181, *volume.shape)), (700, 40, 850))
    expected = resize(volume, (700, 40, 850))
    assert_ends_alike(got, expected, 850 if build == "cpu" else 40)


def test_windowed(build):
    images = untouched((COUNT, *SHAPE), np.uint8)
    images[-1] = np.random.default_rng(0).integers(20, 200, SHAPE)
    got = window(images, 100, 256)
    assert_ends_alike(got, window(images[-1], 100, 256), 4004 if build == "cpu" else 40)


@pytest.mark.parametrize("method", ["zscore", "minmax"])
def test_normalized_one_by_one(build, method):
    if build == "cuda":
        pytest.skip("a thread does a small image alone; so many of them take memory")
    images = untouched((COUNT, *SHAPE), np.float32)
    images[-1] = np.random.default_rng(0).standard_normal(SHAPE)
    got = normalize(images, method)
    assert_ends_alike(got, normalize(images[-1], method), images[-1].size)


@pytest.mark.parametrize("method", ["zscore", "minmax"])
def test_normalized_as_one(build, method):
    images = untouched((COUNT, *SHAPE), np.uint8)
    images[-1] = np.random.default_rng(0).integers(20, 200, SHAPE)
    images[-1, -1, -1] = 255
    mean = images[-1].mean() / COUNT
    square = (images[-1].astype(float) ** 2).mean() / COUNT
    shift, scale = (mean, np.sqrt(square - mean**2)) if method == "zscore" else (0, 255)
    got = normalize(images, method, per="batch")
    assert_ends_alike(got, (images[-1] - shift) / scale, 4004 if build == "cpu" else 40)


@pytest.mark.parametrize("which", ["cpu", "cuda"])
def test_percentiles(which):
    images = untouched((LARGE // 60 + 2, 60), np.uint8)
    images[-1] = np.random.default_rng(0).integers(20, 200, 60)
    values = untouched((len(images), 2), np.float64)
    no_mask, like = np.zeros((1, 0), np.uint8), np.empty(0, np.float32)
    args = images, no_mask, like, np.array([0.01, 0.6]), values
    run_end(which, select, values.size, args)
    expected = np.percentile(images[-1], [1, 60])
    np.testing.assert_allclose(values[-1], expected, rtol=1e-12)
    assert images.size > LARGE
    assert not values[-40:-1].any()  # images of zeros
    assert not any(values[n : n + 40].any() for n in (0, len(images) - LARGE // 60))


def test_patches(build):
    image = np.random.default_rng(0).standard_normal((130, 140), np.float32)
    images = np.broadcast_to(image, (1900, *image.shape))
    got = extract_patches(images, (25, 30))
    expected = extract_patches(image, (25, 30))
    assert_ends_alike(got, expected, expected[-1].size if build == "cpu" else 40)
