"""Streams and memory: limits, chunks, private pages and the peak of a process."""

from __future__ import annotations

import numpy as np
import pytest
from harness import run_python

from fastmm.streams.chunks import Chunks, Needs, plan_chunks


def test_regions_cover_a_batch_once():
    rng = np.random.default_rng(4)
    for _ in range(60):
        batch = tuple(rng.integers(1, 6, rng.integers(1, 4)).tolist())
        chunks = plan_chunks(batch, Needs(0, 10, 10), int(rng.integers(10, 400)), 1 << 20)
        seen = np.zeros(batch, int)
        for region in chunks:
            seen[region] += 1
        assert (seen == 1).all()
        assert len(list(chunks)) == len(chunks)
    assert plan_chunks((100,), Needs(0, 10, 10), 400, 1 << 20, ((16,), (8,))).rows == 32
    assert plan_chunks((100,), Needs(0, 10, 10), 100, 1 << 20, ((16,), (8,))).rows == 8
    assert plan_chunks((100,), Needs(0, 10, 10), None, 40, ((16,),)).rows == 16
    assert list(Chunks((), 0, 1)) == [()]


PEAK = """
import gc, numpy as np, fastmm, sys
def value(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key))
{before}
call(some)
gc.collect()
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
before = value("VmRSS")
call(images)
print(value("VmHWM") - before)
"""


def peak(before, cwd):
    try:
        with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123
            file.write("5")
    except OSError as error:
        pytest.skip(f"this system does not tell the peak of memory: {error}")
    return int(run_python(PEAK.format(before=before), cwd=cwd).split()[-1])


def test_peak_memory_is_within_the_budget(tmp_path):
    images = np.lib.format.open_memmap(
        tmp_path / "a.npy", "w+", dtype="float32", shape=(300, 256, 256)
    )
    images[:] = np.random.default_rng(0).normal(size=(256, 256))
    del images
    before = """
images = np.load("a.npy", mmap_mode="r")
out = np.lib.format.open_memmap("out.npy", "w+", dtype="float32", shape=images.shape)
some = images[:2]
def call(x):
    fastmm.denoise(x, "gaussian", memory_limit=20_000_000, out=out[:len(x)])
"""
    used = peak(before, tmp_path)
    assert used <= 1.3 * 20e6
    assert used > 1e6  # something was measured
    without = before.replace(", memory_limit=20_000_000, out=out[:len(x)]", "")
    assert peak(without, tmp_path) > 3 * 20e6
