"""Chunks that each core makes one of: the same results, from and to any place, within a limit."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from disk_sources import KINDS, on_disk, peak

import fastmm
from fastmm._space import Space

SHAPE, STEP = (40, 36), (4, 4)


@pytest.fixture
def threads(monkeypatch):
    """Serve the names of the threads that kernels are launched on, and let there be three."""
    seen, launch = set(), Space.launch

    def launched(self, *args):
        seen.add(threading.current_thread().name.partition("_")[0])
        launch(self, *args)

    monkeypatch.setattr("fastmm.kernels._jit.cpu_threads", lambda: 3)
    monkeypatch.setattr(Space, "launch", launched)
    return seen


@pytest.fixture
def images():
    return np.random.default_rng(5).normal(size=(45, *SHAPE)).astype("f4")


@pytest.mark.parametrize("kind", KINDS)
def test_patches_are_merged_by_threads(kind, images, threads, tmp_path, monkeypatch):
    monkeypatch.setattr("fastmm.streams.mapping._CAP", {"cpu": 400_000})
    patches = fastmm.extract_patches(images, (8, 8), step=STEP)
    lying, out = on_disk(kind, patches, tmp_path), np.full_like(images, np.nan)
    file = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", "f4", images.shape)
    expected = fastmm.merge_patches(patches, SHAPE, step=STEP)
    threads.clear()
    for place in (out, file):
        fastmm.merge_patches(lying, SHAPE, step=STEP, memory_limit="4MB", out=place)
        np.testing.assert_array_equal(place, expected)
    assert "fastmm-part" in threads


def test_merging_by_threads_stays_within_the_limit(images, threads):
    patches = fastmm.extract_patches(images, (8, 8), step=STEP)
    out = np.empty_like(images)
    fastmm.merge_patches(patches[:2], SHAPE, step=STEP)
    limit = 400_000
    _, held = peak(
        lambda: fastmm.merge_patches(patches, SHAPE, step=STEP, memory_limit=limit, out=out)
    )
    assert held < 1.3 * limit
    np.testing.assert_allclose(out, images, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_patches_are_drawn_by_threads(kind, masked, images, threads, tmp_path):
    mask = np.random.default_rng(2).random(images.shape) > 0.6 if masked else None
    mask = mask if mask is None else np.where(np.arange(45)[:, None, None] == 7, False, mask)
    expected = fastmm.sample_patches(images, (6, 5), 9, mask=mask)
    threads.clear()
    lying = on_disk(kind, images, tmp_path)
    for limit in ("1MB", "4MB", "1GB"):
        found = fastmm.sample_patches(
            lying,
            (6, 5), 9, mask=mask, memory_limit=limit,
        )  # fmt: skip
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
    assert threads == {"fastmm-part"}
